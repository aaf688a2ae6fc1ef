//! A file system that loses what was not synced, tears it, fails, fills up and takes its time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ringkeep::{Backend, Batch, Database};

use crate::fuse::Mount;
use crate::fuse::disk::{Call, Disk, Fault};
use crate::random::Random;
use crate::record::{self, Acknowledgement, PAIR_WRITERS, WRITERS, key, pair, value};
use crate::rig::skip;

const EIO: i32 = 5;
const ALL: std::ops::Range<u8> = 0..WRITERS + PAIR_WRITERS;

struct Bench {
    mount: Mount,
    root: PathBuf,
}

impl Bench {
    /// Nothing where the machine lacks the means.
    fn new(test: &str) -> Option<Bench> {
        let root = crate::folder(test);
        match Mount::new(&root.join("fs")) {
            Ok(mount) => Some(Bench { mount, root }),
            Err(reason) => {
                skip(test, &reason);
                None
            }
        }
    }

    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.mount.disk()
    }

    fn db(&self) -> PathBuf {
        self.mount.path().join("db")
    }

    fn open(&self, backend: Backend) -> Database {
        let opened = Database::open(self.db(), crate::options(backend));
        opened.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable);
    text.ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// What each writer was answered last.
type Acknowledged = [u64; (WRITERS + PAIR_WRITERS) as usize];

/// Everything acknowledged is there, and at most one write more. What is there counts as acknowledged then.
fn compare(database: &Database, acknowledged: &mut Acknowledged, story: &str) {
    for writer in ALL {
        let counts = record::counts(database, writer);
        let newest = counts.iter().flatten().copied().max().unwrap_or(0);
        let due = &mut acknowledged[usize::from(writer)];
        assert!(
            (*due..=*due + 1).contains(&newest),
            "{story}: the newest of writer {writer} is {newest}, {due} was acknowledged"
        );
        record::assert_whole(writer, newest, &counts);
        *due = newest;
    }
}

/// Starts a child, kills it at some moment after so many answers, and gives those that came.
fn child(
    bench: &Bench,
    backend: &str,
    promise: &str,
    least: usize,
    moment: u64,
) -> Vec<Acknowledgement> {
    let mut child = crate::start(&bench.db(), backend, 0, Some(promise));
    let pipe = child.stdout.take().expect("its output");
    let (told, tells) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || record::read_stamped(pipe, || told.send(())));
    for _ in 0..least {
        tells.recv().expect("it writes");
    }
    std::thread::sleep(Duration::from_millis(moment));
    child.kill().expect("to kill it");
    child.wait().expect("its end");
    let answers = reader.join().expect("the reader");
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Rounds of a child, a kill and a power cut that leaves any part of what was not synced.
fn cuts(test: &str, backend: &str, direct: bool) {
    let Some(bench) = Bench::new(test) else {
        return;
    };
    bench.disk().direct = direct;
    let mut random = Random::from_environment();
    let (mut acknowledged, mut answers) = (Acknowledged::default(), 0);
    let rounds = number("RINGKEEP_FAULT_ROUNDS", 12);
    for round in 0..rounds {
        for answer in child(&bench, backend, "durable", 0, 60 + random.below(250)) {
            acknowledged[usize::from(answer.writer)] = answer.count;
            answers += 1;
        }
        let how = round % 3;
        bench.disk().cut_power(|| match how {
            0 => false,
            1 => true,
            _ => random.below(2) == 0,
        });
        let database = bench.open(Backend::Auto);
        let story = format!("round {round}");
        compare(&database, &mut acknowledged, &story);
        if round % 2 == 0 {
            database.close().expect("closes");
        }
    }
    println!("{test}: {rounds} power cuts, {answers} answers, none lost");
}

/// What nobody synced is gone, or these cuts would prove nothing.
#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn a_power_cut_takes_what_was_not_to_be_durable() {
    let Some(bench) = Bench::new("cuts-control") else {
        return;
    };
    // A log that was full or idle at the right moment may have been synced all the same.
    let is_lost = (0..20).any(|_| {
        let answers = child(&bench, "auto", "buffered", 500, 0);
        bench.disk().cut_power(|| false);
        let database = bench.open(Backend::Auto);
        let newest = |writer| {
            let counts = record::counts(&database, writer);
            counts.into_iter().flatten().max()
        };
        let mut last = answers.iter().rev().take(20);
        last.any(|answer| newest(answer.writer).unwrap_or(0) < answer.count)
    });
    assert!(is_lost, "these cuts take nothing");
}

#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn a_power_cut_takes_nothing_acknowledged_on_the_ring() {
    cuts("cuts-ring", "auto", false);
}

#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn a_power_cut_takes_nothing_acknowledged_on_the_portable_door() {
    cuts("cuts-portable", "portable", false);
}

/// The reference's fourth finding: such a file system takes a durable write, says that it is, and syncs nothing.
#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn where_durable_writes_are_not_the_engine_syncs_by_itself() {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let Some(bench) = Bench::new("no-dsync") else {
        return;
    };
    bench.disk().direct = true;
    let mut options = std::fs::File::options();
    options
        .write(true)
        .create_new(true)
        .custom_flags(rustix::fs::OFlags::DSYNC.bits() as i32);
    let mut file = options
        .open(bench.mount.path().join("control"))
        .expect("a file");
    for _ in 0..100 {
        file.write_all(&[1; 4096])
            .expect("a write that claims to be durable");
    }
    assert_eq!(bench.disk().syncs, 0, "this file system drops O_DSYNC");
    drop((file, bench));
    cuts("cuts-no-dsync", "auto", true);
}

/// Writes until something fails or every writer has come so far. Each writer stops at its first error.
fn write(database: &Database, acknowledged: &mut Acknowledged, further: u64) -> usize {
    let mut failed = [false; (WRITERS + PAIR_WRITERS) as usize];
    for round in 0..further {
        for writer in ALL {
            let at = usize::from(writer);
            if failed[at] {
                continue;
            }
            let count = acknowledged[at] + 1;
            match put(database, writer, count) {
                Ok(()) => acknowledged[at] = count,
                Err(error) => {
                    assert!(!error.is_corruption(), "{error}");
                    failed[at] = true;
                }
            }
        }
        if round == further / 2 {
            // Tables and manifests are written and synced as well.
            let _ = database.flush();
        }
    }
    failed.iter().filter(|failed| **failed).count()
}

fn put(database: &Database, writer: u8, count: u64) -> ringkeep::Result<()> {
    let bytes = value(writer, count);
    if writer < WRITERS {
        return database.put(key(writer, count), bytes).map(drop);
    }
    let mut batch = Batch::new();
    for key in pair(writer, count) {
        batch.put(&key, &bytes);
    }
    database.write(batch).map(drop)
}

/// A call fails once or for ever; what was acknowledged, before and after, outlives the power cut that follows.
fn fails(test: &str, call: Call) {
    let Some(bench) = Bench::new(test) else {
        return;
    };
    let mut acknowledged = Acknowledged::default();
    let (mut struck, mut went_on) = (0, 0);
    let mut random = Random::from_environment();
    let cases = number("RINGKEEP_FAULT_ROUNDS", 12);
    for case in 0..cases {
        let sticky = case % 2 == 1;
        let spared = random.below(120);
        let story = format!("case {case}: {call:?} fails after {spared}, sticky: {sticky}");
        let database = bench.open(Backend::Auto);
        let fault = Fault {
            call,
            spared,
            errno: EIO,
            sticky,
        };
        bench.disk().faults.push(fault);
        let failed = write(&database, &mut acknowledged, 40);
        struck += u64::from(failed > 0);
        if failed > 0 && !sticky {
            // A sync that failed is never tried again: the next one would succeed and mean nothing.
            let alive =
                (0..64).filter(|probe: &u64| database.put(format!("probe-{probe}"), "").is_ok());
            let alive = alive.count();
            assert!(alive < 64, "{story}: the shard that failed takes writes");
            // The other one stops only where the outcome of a batch over both got lost.
            went_on += u64::from(alive > 0);
        }
        drop(database);
        let mut disk = bench.disk();
        disk.faults.clear();
        disk.cut_power(|| case % 3 == 1);
        drop(disk);
        compare(&bench.open(Backend::Auto), &mut acknowledged, &story);
    }
    assert!(struck > 0, "nothing ever failed");
    assert!(went_on > 0, "the other shard always stopped as well");
    println!("{test}: {cases} cases, {struck} with failed writes, nothing acknowledged lost");
}

#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn a_failed_sync_stops_its_shard_and_loses_nothing_acknowledged() {
    fails("sync-fails", Call::Sync);
}

#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn a_failed_write_stops_its_shard_and_loses_nothing_acknowledged() {
    fails("write-fails", Call::Write);
}

#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn a_full_file_system_refuses_writes_and_takes_them_again() {
    let Some(bench) = Bench::new("full") else {
        return;
    };
    let (mut acknowledged, mut refused) = (Acknowledged::default(), 0);
    for cycle in 0..6u64 {
        let database = bench.open(Backend::Auto);
        let room = bench.disk().used() + (cycle << 19);
        bench.disk().capacity = room;
        refused += write_and_fill(&database, &mut acknowledged);
        bench.disk().capacity = u64::MAX;
        write_with_room(&database, &mut acknowledged, 20);
        drop(database);
        bench.disk().cut_power(|| false);
        compare(
            &bench.open(Backend::Auto),
            &mut acknowledged,
            "after a full disk",
        );
    }
    println!("full: {refused} writes refused, nothing acknowledged lost, no reopening");
}

/// Large values until the disk refuses some; how many it did.
pub fn write_and_fill(database: &Database, acknowledged: &mut Acknowledged) -> u64 {
    let (mut refused, mut fill) = (0, 0u64);
    while refused < 50 && fill < 4_000 {
        fill += 1;
        match database.put(format!("fill-{fill:06}"), vec![fill as u8; 16 << 10]) {
            Ok(_) => {}
            Err(error) if error.is_full() => {
                refused += 1;
                assert!(database.get(key(0, acknowledged[0])).is_ok(), "reads go on");
            }
            Err(error) => panic!("a full disk says: {error}"),
        }
    }
    refused
}

/// The reference's first finding: a killed process goes on writing. Whoever opens the database waits for that.
#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn an_opener_waits_for_the_writes_of_a_killed_process() {
    let Some(bench) = Bench::new("zombies") else {
        return;
    };
    let (mut acknowledged, mut zombies) = (Acknowledged::default(), 0);
    for round in 0..number("RINGKEEP_FAULT_ROUNDS", 12) {
        let mut child = crate::start(&bench.db(), "auto", round, Some("durable"));
        let pipe = child.stdout.take().expect("its output");
        let reader = std::thread::spawn(move || record::read(pipe));
        std::thread::sleep(Duration::from_millis(80));
        // What is asked for from now on lands long after its process is gone; what is asked for after that, at once.
        bench.disk().delay = Duration::from_millis(400);
        while bench.disk().in_flight.is_empty() && child.try_wait().expect("its state").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("to kill it");
        child.wait().expect("its end");
        bench.disk().delay = Duration::ZERO;
        let theirs = bench.disk().in_flight.clone();
        zombies += theirs.len();
        for answer in reader.join().expect("the reader") {
            acknowledged[usize::from(answer.writer)] = answer.count;
        }
        let database = bench.open(Backend::Auto);
        let late = bench.disk().in_flight.intersection(&theirs).count();
        assert_eq!(
            late, 0,
            "round {round}: opened with writes of a dead process on their way"
        );
        compare(&database, &mut acknowledged, &format!("round {round}"));
        database.close().expect("closes");
    }
    println!(
        "zombies: {zombies} writes landed after their process was gone, none after the next opening"
    );
}

/// Where the database is.
pub fn check_reopened(path: &Path, acknowledged: &mut Acknowledged) {
    let database = Database::open(path, crate::options(Backend::Auto));
    let database = database.unwrap_or_else(|error| panic!("{error}"));
    compare(&database, acknowledged, "reopened");
}

/// Writes of every writer where there is room, or was made a moment ago: a shard that was refused looks again by
/// itself, and until then says that the disk is full. It never takes more than that, and no other error.
pub fn write_with_room(database: &Database, acknowledged: &mut Acknowledged, further: u64) {
    for _ in 0..further {
        for writer in ALL {
            let count = &mut acknowledged[usize::from(writer)];
            loop {
                match put(database, writer, *count + 1) {
                    Ok(()) => break,
                    Err(error) if error.is_full() => std::thread::yield_now(),
                    Err(error) => panic!("there is room, but: {error}"),
                }
            }
            *count += 1;
        }
    }
}

pub fn nothing_yet() -> Acknowledged {
    Acknowledged::default()
}
