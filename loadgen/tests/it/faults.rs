//! What cannot be done is said before any load, with exit code 2, and nothing is touched.

use super::{Folder, loadgen};

/// Arguments after `run`, and what the message must hold.
#[test]
fn arguments_that_cannot_be_used() {
    for (arguments, message) in [
        (vec!["--filter", "ycsb/aa"], "near it:\n  ycsb/a"),
        (vec!["--filter", "zzz"], "`loadgen list` shows them all"),
        (vec!["--filter", "ycsb/[a"], "--filter `ycsb/[a`"),
        (vec!["--suite", "marco"], "Did you mean `macro`?"),
        (vec!["--target", "rinkeep"], "did you mean `ringkeep`?"),
        (vec!["--slo", "read.p99"], "compares nothing"),
        (vec!["--rate", "fast"], "is not a rate"),
        (vec!["--rate", "1k/s", "--max"], "cannot be used with"),
        (vec!["--warmup", "soon"], "is not a time"),
        (vec!["--set", "dataset.kw.keys=5"], "no dataset `kw`"),
        (vec!["--keys", "900G"], "needs about"),
        (vec!["--keys", "900G", "--target", "memory"], "of memory"),
        (vec!["--target-set", "colour=red"], "known are backend"),
        (vec!["--dir", "/proc/self/nothing/here"], "cannot use"),
        (vec!["--out", "/proc/self/nothing/here"], "cannot write"),
        (vec!["--think", "5ms"], "--clients"),
    ] {
        let mut all = vec!["run", "--keys", "1k", "--duration", "10ms"];
        if arguments.contains(&"--keys") {
            all.drain(1..3);
        }
        all.extend(arguments);
        let done = loadgen(&all).expect(2);
        assert!(done.err.contains(message), "{all:?}: {}", done.err);
    }
}

#[test]
fn what_is_there_is_never_overwritten() {
    let folder = Folder::new("occupied");
    std::fs::write(folder.file("precious"), "x").unwrap();
    let path = folder.0.display().to_string();
    for flag in ["--dir", "--out"] {
        let done = loadgen(&["run", "--quick", "--target", "null", flag, &path]).expect(2);
        assert!(done.err.contains("is not empty"), "{}", done.err);
    }
    let left: Vec<_> = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["precious"]);
}

#[test]
fn a_dry_run_prints_the_plan_and_makes_nothing() {
    let folder = Folder::new("dry");
    let out = folder.file("out");
    let done = loadgen(&["run", "--dry-run", "--out", &out]).expect(0);
    assert!(done.err.contains("estimate: about"), "{}", done.err);
    assert!(
        done.err.contains("fitted to about two minutes"),
        "{}",
        done.err
    );
    assert!(done.out.is_empty() && !std::path::Path::new(&out).exists());
}

#[test]
fn a_missed_objective_has_its_own_code() {
    let one_client = [
        "run",
        // A workload without objectives of its own: a busy machine may miss those.
        "--filter",
        "bench/op/get",
        "--target",
        "memory",
        "--keys",
        "1k",
        "--duration",
        "20ms",
        "--warmup",
        "0",
        "--clients",
        "1",
    ];
    let run = |slo: &str| loadgen(&[&one_client[..], &["--slo", slo]].concat());
    let missed = run("get.service.max < 1ns").expect(1);
    assert!(
        missed.out.contains("SLO get.service.max < 1ns: MISSED"),
        "{}",
        missed.out
    );
    run("get.service.max < 1h").expect(0);
}

#[test]
fn a_suite_file_of_ones_own() {
    let folder = Folder::new("suite");
    let exported = loadgen(&["list", "--suite", "ycsb", "--export"])
        .expect(0)
        .out;
    let path = folder.file("mine.toml");
    std::fs::write(&path, exported.replace("ycsb/", "mine/")).unwrap();
    let done = loadgen(&[
        "run", "--quick", "--suite", &path, "--filter", "mine/c", "--target", "memory",
    ])
    .expect(0);
    assert!(done.out.contains("mine/c  on memory"), "{}", done.out);

    std::fs::write(&path, exported.replace("weight = 0.5", "wieght = 0.5")).unwrap();
    let done = loadgen(&["run", "--quick", "--suite", &path]).expect(2);
    assert!(
        done.err.contains("mine.toml") && done.err.contains("did you mean `weight`?"),
        "{}",
        done.err
    );
}
