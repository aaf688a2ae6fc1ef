//! The suites that come with loadgen, and the reading of others.

use ringkeep_bench::suite::{Suite, nearest};

use crate::exit::Fault;

/// Name and text of each.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("macro", include_str!("suites/macro.toml")),
    ("micro", include_str!("suites/micro.toml")),
    ("ycsb", include_str!("suites/ycsb.toml")),
    ("dbbench", include_str!("suites/dbbench.toml")),
    ("peers", include_str!("suites/peers.toml")),
    ("meta", include_str!("suites/meta.toml")),
    ("twitter", include_str!("suites/twitter.toml")),
    ("apps", include_str!("suites/apps.toml")),
];

/// Name and text of the suites asked for; of all built-in ones if none is.
pub fn texts(wanted: &[String]) -> Result<Vec<(String, String)>, Fault> {
    let owned = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
    if wanted.is_empty() {
        return Ok(BUILT_IN.iter().map(owned).collect());
    }
    wanted
        .iter()
        .map(|wanted| {
            if let Some(found) = BUILT_IN.iter().find(|(name, _)| name == wanted) {
                return Ok(owned(found));
            }
            match std::fs::read_to_string(wanted) {
                Ok(text) => Ok((wanted.clone(), text)),
                Err(error) => Err(unknown(wanted, &error)),
            }
        })
        .collect()
}

fn unknown(wanted: &str, error: &std::io::Error) -> Fault {
    let names = BUILT_IN.iter().map(|(name, _)| *name);
    let hint = nearest(wanted, names.clone(), 1);
    let hint = hint
        .first()
        .map_or(String::new(), |name| format!(" Did you mean `{name}`?"));
    let known: Vec<&str> = names.collect();
    Fault::usage(format!(
        "`{wanted}` is neither a built-in suite ({}) nor a file that can be read ({error}).{hint}",
        known.join(", ")
    ))
}

/// The suites asked for, read and checked.
pub fn read(wanted: &[String], set: &[String]) -> Result<Vec<Suite>, Fault> {
    texts(wanted)?
        .iter()
        .map(|(place, text)| Suite::parse(place, text, set).map_err(Fault::usage))
        .collect()
}
