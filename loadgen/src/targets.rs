//! The targets that this build can open.

use ringkeep_bench::suite::nearest;
use ringkeep_bench::target::{BUILT_IN, TargetKind};

use crate::exit::Fault;

/// All of them, the default first.
pub fn all() -> Vec<TargetKind> {
    let mut all = vec![ringkeep_target_engine::RINGKEEP];
    all.extend_from_slice(BUILT_IN);
    all
}

/// Those asked for; the default if none is.
pub fn choose(names: &[String]) -> Result<Vec<TargetKind>, Fault> {
    let all = all();
    if names.is_empty() {
        return Ok(vec![all[0]]);
    }
    let mut chosen: Vec<TargetKind> = Vec::new();
    for name in names {
        let kind = all.iter().find(|kind| kind.name == name).ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|kind| kind.name).collect();
            let near = nearest(name, known.iter().copied(), 1);
            let hint = near
                .first()
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            Fault::usage(format!(
                "there is no target `{name}`{hint} Known: {}",
                known.join(", ")
            ))
        })?;
        if !chosen.iter().any(|other| other.name == kind.name) {
            chosen.push(*kind);
        }
    }
    Ok(chosen)
}
