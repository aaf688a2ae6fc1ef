//! The targets that this build can open.

use ringkeep_bench::suite::nearest;
use ringkeep_bench::target::{BUILT_IN, TargetKind};

use crate::exit::Fault;

/// Targets that a plain build leaves out, each with the feature that brings it in.
pub const PEERS: [(&str, &str); 5] = [
    ("fjall", "peers"),
    ("lmdb", "peers"),
    ("redb", "peers"),
    ("sled", "peers"),
    ("rocksdb", "rocksdb"),
];

/// All of them, the default first.
pub fn all() -> Vec<TargetKind> {
    let mut all = vec![ringkeep_target_engine::RINGKEEP];
    all.extend_from_slice(BUILT_IN);
    all.extend_from_slice(&[
        #[cfg(feature = "fjall")]
        ringkeep_target_fjall::FJALL,
        #[cfg(feature = "lmdb")]
        ringkeep_target_lmdb::LMDB,
        #[cfg(feature = "redb")]
        ringkeep_target_redb::REDB,
        #[cfg(feature = "rocksdb")]
        ringkeep_target_rocksdb::ROCKSDB,
        #[cfg(feature = "sled")]
        ringkeep_target_sled::SLED,
    ]);
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
        let kind = all
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| unknown(name, names, &all))?;
        if !chosen.iter().any(|other| other.name == kind.name) {
            chosen.push(*kind);
        }
    }
    Ok(chosen)
}

fn unknown(name: &str, asked: &[String], all: &[TargetKind]) -> Fault {
    let missing = |(peer, _): &&(&str, &str)| {
        asked.iter().any(|name| name == peer) && !all.iter().any(|kind| kind.name == *peer)
    };
    let mut features: Vec<&str> = PEERS.iter().filter(missing).map(|peer| peer.1).collect();
    features.dedup();
    if PEERS.iter().any(|(peer, _)| *peer == name) {
        return Fault::usage(format!(
            "the target `{name}` is not built in; build it with\n  \
             cargo run --release --bin loadgen --features {} -- run --target {}{}",
            features.join(","),
            asked.join(","),
            match features.contains(&"rocksdb") {
                true =>
                    "\nRocksDB is compiled from source: it takes g++, libclang-dev and most of an hour of one core",
                false => "",
            }
        ));
    }
    let known: Vec<&str> = all.iter().map(|kind| kind.name).collect();
    let near = nearest(name, known.iter().copied(), 1);
    let hint = near
        .first()
        .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Fault::usage(format!(
        "there is no target `{name}`{hint} Known: {}",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let fault = choose(&names).err().expect("it is refused");
        assert_eq!(fault.code, crate::exit::Code::Usage);
        fault.to_string()
    }

    #[test]
    #[cfg(not(any(feature = "fjall", feature = "rocksdb")))]
    fn a_peer_that_is_not_built_in_comes_with_its_command() {
        let text = refusal(&["ringkeep", "fjall"]);
        assert!(
            text.contains("--features peers -- run --target ringkeep,fjall"),
            "{text}"
        );
        let text = refusal(&["rocksdb", "lmdb"]);
        assert!(text.contains("--features peers,rocksdb --"), "{text}");
    }

    #[test]
    fn a_misspelt_target_is_told_the_near_one() {
        let text = refusal(&["ringkep"]);
        assert!(text.contains("did you mean `ringkeep`?"), "{text}");
    }
}
