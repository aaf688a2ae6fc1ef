//! Ladders, searches and plans.

use super::{Folder, loadgen};

#[test]
fn a_sweep_has_a_row_for_each_load_and_a_knee() {
    let done = loadgen(&[
        "sweep", "--quick", "--target", "memory", "--from", "2k", "--to", "8k", "--steps", "3",
    ])
    .expect(0);
    for load in ["2k/s", "5k/s", "8k/s", "knee ", "wall "] {
        assert!(done.out.contains(load), "{load}: {}", done.out);
    }
    let done = loadgen(&[
        "sweep", "--quick", "--target", "memory", "--over", "clients", "--from", "1", "--to", "8",
        "--steps", "4",
    ])
    .expect(0);
    assert!(done.out.contains("8 clients"), "{}", done.out);
    assert!(done.out.contains("scaling law"), "{}", done.out);
}

#[test]
fn a_search_ends_with_a_conclusion() {
    let done = loadgen(&[
        "search",
        "--quick",
        "--target",
        "memory",
        "--filter",
        "bench/load/scan_readers_100",
        "--duration",
        "100ms",
        "--budget",
        "4s",
        "--slo",
        "scan.p50 < 1h",
    ])
    .expect(0);
    assert!(done.out.contains("SLO rate"), "{}", done.out);
    assert!(done.out.contains("wall "), "{}", done.out);
}

#[test]
fn what_cannot_be_turned_or_searched_is_said() {
    for (arguments, message) in [
        (vec!["sweep", "--filter", "ycsb/*"], "name it with --filter"),
        (
            vec!["sweep", "--from", "9k", "--to", "1k"],
            "--from is above --to",
        ),
        (
            vec!["sweep", "--duration", "1M", "--from", "1k", "--to", "2k"],
            "needs a time",
        ),
        (
            vec!["search", "--confidence", "7"],
            "--confidence is a share",
        ),
        (vec!["search", "--filter", "bench/op/get"], "no objective"),
    ] {
        let done = loadgen(&[&arguments[..], &["--quick", "--target", "null"]].concat()).expect(2);
        assert!(done.err.contains(message), "{arguments:?}: {}", done.err);
    }
}

const NEED: &str = "read=1k/s; read.p50<1h; keys=10k; value=100";

#[test]
fn a_plan_without_evidence_knows_nothing() {
    let done = loadgen(&["plan", "--need", NEED]).expect(3);
    assert!(
        done.out.starts_with("UNKNOWN: nothing usable"),
        "{}",
        done.out
    );
    let done = loadgen(&["plan", "--need", "read=fast"]).expect(2);
    assert!(done.err.contains("is not a rate"), "{}", done.err);
}

#[test]
fn a_plan_from_saved_runs_names_resources_and_reaches_only_so_far() {
    let folder = Folder::new("plan");
    let out = folder.file("run");
    loadgen(&[
        "run",
        "--keys",
        "20k",
        "--duration",
        "400ms",
        "--warmup",
        "0",
        "--rate",
        "4k/s",
        "--out",
        &out,
        "--set",
        "dataset.kv.value.size=100",
        "--suite",
        "macro",
        "--filter",
        "bench/load/concurrent_readers_100",
    ]);
    let place = folder.file("box.toml");
    let text = "cores = 2\nram = \"8GiB\"\ndisk = \"100GB\"\nreads_per_s = \"100k\"\nwrites_per_s = \"500MB\"\n";
    std::fs::write(&place, text).unwrap();
    let plan = |need: &str, more: &[&str]| {
        let all = ["plan", "--need", need, "--from", &out, "--box", &place];
        loadgen(&[&all[..], more].concat())
    };
    let near = plan(NEED, &["--extrapolate"]).expect(0);
    for part in [
        "x headroom, limited by",
        "CPU",
        "disk",
        "RAM",
        "cores x RAM",
        "evidence",
    ] {
        assert!(near.out.contains(part), "{part}: {}", near.out);
    }
    let far = plan("read=1k/s; keys=100M; value=100", &[]).expect(3);
    assert!(far.out.contains("keys: 100000000 asked"), "{}", far.out);
    let huge = plan("read=1k/s; keys=10G; value=1KiB", &[]).expect(1);
    assert!(huge.out.starts_with("NO: "), "{}", huge.out);
    let writes = plan("write=1k/s; keys=10k; value=100", &[]).expect(3);
    assert!(
        writes.out.contains("no usable run has writes"),
        "{}",
        writes.out
    );

    let samples = folder.file("samples.csv");
    std::fs::write(&samples, "2026-01-01,10GB\n2026-01-11,20GB\n").unwrap();
    let growing = plan(NEED, &["--extrapolate", "--samples", &samples]).expect(0);
    assert!(
        growing.out.contains("is reached in 60 days"),
        "{}",
        growing.out
    );
}

#[test]
fn a_plan_can_measure_for_itself() {
    let done = loadgen(&["plan", "--need", NEED, "--verify", "--quick"]);
    assert!([0, 1, 3].contains(&done.code), "{}", done.err);
    assert!(done.out.contains("plan/verify"), "{}", done.out);
    assert!(done.out.contains("evidence"), "{}", done.out);
}
