//! Flags of `run` that other tests have no use for, and interval logs.

use super::{Folder, loadgen};

#[test]
fn a_dataset_is_loaded_once_and_used_twice() {
    let folder = Folder::new("reuse");
    let dir = folder.file("data");
    let run = |filter: &str| {
        let all = [
            "run",
            "--quick",
            "--filter",
            filter,
            "--dir",
            &dir,
            "--reuse-dataset",
            "--validate",
        ];
        loadgen(&all).expect(0).out
    };
    assert!(run("bench/op/get").contains("loaded in"));
    assert!(!run("bench/op/get").contains("loaded in"));
    assert!(run("bench/op/delete").contains("bench/op/delete"));
    assert!(
        run("bench/op/get").contains("loaded in"),
        "deletes use a dataset up"
    );
}

/// Percentiles of nothing are no result.
#[test]
fn a_window_in_which_nothing_is_answered_is_invalid() {
    let paced = ["--rate", "1", "--duration", "50ms", "--warmup", "0s"];
    let run = [
        "run",
        "--filter",
        "bench/op/get",
        "--target",
        "memory",
        "--keys",
        "100",
    ];
    let done = loadgen(&[&run[..], &paced[..]].concat()).expect(3);
    assert!(done.err.contains("nothing was answered"), "{}", done.err);
}

#[test]
fn cores_placement_and_baseline() {
    let folder = Folder::new("flags");
    let out = folder.file("out");
    let quick = [
        "run",
        "--quick",
        "--filter",
        "bench/op/get",
        "--target",
        "memory",
    ];
    loadgen(&[&quick[..], &["--cpus", "0", "--out", &out]].concat()).expect(0);
    let done = loadgen(
        &[
            &quick[..],
            &["--placement", "colocated", "--baseline", &out],
        ]
        .concat(),
    )
    .expect(0);
    assert!(done.out.contains("--placement colocated"), "{}", done.out);
    assert!(done.out.contains("bench/op/get get get"), "{}", done.out);
    loadgen(&[&quick[..], &["--cpus", "4000"]].concat()).expect(2);
    loadgen(&[&quick[..], &["--cpus", "3-1"]].concat()).expect(2);
    let (log, both) = (format!("{out}/report.hlog"), folder.file("both.hlog"));
    let done = loadgen(&["hdr", &log, &log, "--tag", "*response", "--merge", &both]).expect(0);
    assert!(
        done.out.contains("get.get.response") && !done.out.contains("slip"),
        "{}",
        done.out
    );
    let again = loadgen(&["hdr", &both]).expect(0);
    assert_eq!(done.out, again.out);
    loadgen(&["hdr", &log, "--tag", "nothing"]).expect(2);
    loadgen(&["hdr", &format!("{out}/report.md")]).expect(2);
}

#[test]
fn a_run_that_is_not_steady_can_be_refused() {
    let unsteady = [
        "run",
        "--target",
        "memory",
        "--keys",
        "1k",
        "--rate",
        "2k/s",
        "--duration",
        "50ms",
        "--set",
        "defaults.warmup={min = \"10ms\", max = \"20ms\"}",
        "--filter",
        "bench/load/scan_readers_100",
    ];
    loadgen(&[&unsteady[..], &["--require-steady"]].concat()).expect(3);
}

#[test]
fn clients_that_live_on_the_shards_find_what_was_written_and_take_closed_loads_only() {
    let quick = ["run", "--quick", "--drive", "resident", "--validate"];
    let run = |more: &[&str]| loadgen(&[&quick[..], more].concat());
    let done = run(&["--suite", "ycsb", "--filter", "ycsb/[ab]", "--clients", "4"]).expect(0);
    assert!(done.out.contains("resident x4"), "{}", done.out);
    assert!(!done.out.contains("achieved 0/s"), "{}", done.out);
    let paced = run(&["--suite", "ycsb", "--filter", "ycsb/a", "--rate", "1k/s"]).expect(4);
    assert!(
        paced.err.contains("closed loads without think time"),
        "{}",
        paced.err
    );
    let elsewhere = run(&[
        "--suite", "ycsb", "--filter", "ycsb/a", "--max", "--target", "memory",
    ]);
    assert!(elsewhere.expect(4).err.contains("cannot host clients"));
}

#[test]
fn a_target_that_is_killed_or_closed_behind_the_load_has_every_key() {
    for workload in ["peers/reopen", "peers/open"] {
        let reopen = [
            "run",
            "--quick",
            "--suite",
            "peers",
            "--filter",
            workload,
            "--validate",
        ];
        let done = loadgen(&reopen).expect(0);
        assert!(done.out.contains("open again in"), "{}", done.out);
        // What keeps nothing is loaded as usual.
        let memory = loadgen(&[&reopen[..], &["--target", "memory"]].concat()).expect(0);
        assert!(!memory.out.contains("open again"), "{}", memory.out);
    }
}
