//! From a run's settings to the engine's options.

use ringkeep::{Backend, Database, Direct, Options};
use ringkeep_bench::target::{Failure, OpenOptions};
use ringkeep_bench::workload::Durability;

use crate::RingkeepTarget;

/// The least that a shard can work with, with room for a useful cache.
const MEMORY_PER_SHARD_MIN: u64 = 8 << 20;

/// Opens a new or existing database in the run's directory.
pub(crate) fn open(wanted: &OpenOptions) -> Result<RingkeepTarget, Failure> {
    let mut options = Options {
        durability: durability(wanted.durability),
        ..Options::default()
    };
    if let Some(shards) = wanted.shards {
        let shards =
            u16::try_from(shards).map_err(|_| Failure(format!("{shards} shards are too many")))?;
        options.shards = Some(shards);
    }
    for (name, value) in &wanted.extra {
        set(&mut options, name, value)?;
    }
    // As many as the engine makes of its own, or a few more.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = options.shards.map_or(cores, usize::from) as u64;
    if let Some(memory) = wanted.memory_bytes {
        options.memory_bytes = memory.max(shards * MEMORY_PER_SHARD_MIN) as usize;
    }
    let database = Database::open(&wanted.dir, options.clone()).map_err(Failure::new)?;
    let stats = database.stats().map_err(Failure::new)?;
    let door = stats.hosts.first().map_or("", |host| &host.door);
    let mut shown = vec![
        ("shards".to_string(), stats.shards.len().to_string()),
        ("threads".to_string(), stats.hosts.len().to_string()),
        ("pinned".to_string(), options.pin_threads.to_string()),
        (
            "memory".to_string(),
            format!("{} MiB", options.memory_bytes >> 20),
        ),
        ("durability".to_string(), wanted.durability.to_string()),
    ];
    shown.extend(door_facts(door));
    Ok(RingkeepTarget {
        database,
        options: shown,
    })
}

pub(crate) fn durability(wanted: Durability) -> ringkeep::Durability {
    match wanted {
        Durability::Sync => ringkeep::Durability::Sync,
        Durability::Periodic { interval } => ringkeep::Durability::Periodic(interval.ns),
        Durability::Buffered => ringkeep::Durability::Buffered,
    }
}

fn set(options: &mut Options, name: &str, value: &str) -> Result<(), Failure> {
    let refuse = |known: &str| Err(Failure(format!("target setting {name}={value}: {known}")));
    match (name, value) {
        ("backend", "auto") => options.backend = Backend::Auto,
        ("backend", "ring") => options.backend = Backend::Ring,
        ("backend", "portable") => options.backend = Backend::Portable,
        ("backend", _) => return refuse("write auto, ring or portable"),
        ("direct", "required") => options.direct = Direct::Required,
        ("direct", "optional") => options.direct = Direct::Optional,
        ("direct", _) => return refuse("write required or optional"),
        ("pin", "true") => options.pin_threads = true,
        ("pin", "false") => options.pin_threads = false,
        ("pin", _) => return refuse("write true or false"),
        ("threads", _) => match value.parse() {
            Ok(threads) => options.threads = Some(threads),
            Err(_) => return refuse("write a number"),
        },
        _ => return refuse("known are backend, direct, pin and threads"),
    }
    Ok(())
}

/// From the engine's report on its door to the kernel: which one it is, and how it treats files.
fn door_facts(door: &str) -> Vec<(String, String)> {
    let line = |name: &str| {
        door.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let backend = line("backend").and_then(|text| text.split(':').next());
    let files = line("directory")
        .and_then(|text| text.split_once(": "))
        .map(|(_, facts)| facts);
    [("backend", backend), ("files", files)]
        .into_iter()
        .filter_map(|(name, fact)| Some((name.to_string(), fact?.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_is_described_in_a_few_words() {
        let door = "kernel          6.1\nbackend         ring (io_uring): set up\n\
                    directory       /a on ext4: direct I/O, alignment 512\n";
        let facts = door_facts(door);
        assert_eq!(
            facts[0],
            ("backend".to_string(), "ring (io_uring)".to_string())
        );
        assert_eq!(
            facts[1],
            ("files".to_string(), "direct I/O, alignment 512".to_string())
        );
        assert!(door_facts("nothing known").is_empty());
    }
}
