//! Every suite runs, on every target that this build has, with every read proven.

use super::loadgen;

fn quick(suite: &str, target: &str) {
    let done = loadgen(&[
        "run",
        "--quick",
        "--suite",
        suite,
        "--target",
        target,
        "--validate",
    ])
    .expect(0);
    let listed = loadgen(&["list", "--suite", suite])
        .expect(0)
        .out
        .lines()
        .count();
    let run = done
        .out
        .lines()
        .filter(|line| line.contains(&format!("  on {target}")))
        .count();
    assert_eq!(run, listed, "every workload of {suite} is in the report");
    assert!(!done.out.contains("FAILED"), "{}", done.out);
}

/// One test per suite and target, so that they run side by side and fail by name.
macro_rules! suites {
    ($($test:ident: $suite:literal on $target:literal;)*) => {$(
        #[test]
        fn $test() {
            quick($suite, $target);
        }
    )*};
}

suites! {
    macro_on_null: "macro" on "null";
    macro_on_memory: "macro" on "memory";
    macro_on_ringkeep: "macro" on "ringkeep";
    micro_on_null: "micro" on "null";
    micro_on_memory: "micro" on "memory";
    micro_on_ringkeep: "micro" on "ringkeep";
    ycsb_on_null: "ycsb" on "null";
    ycsb_on_memory: "ycsb" on "memory";
    ycsb_on_ringkeep: "ycsb" on "ringkeep";
    dbbench_on_null: "dbbench" on "null";
    dbbench_on_memory: "dbbench" on "memory";
    dbbench_on_ringkeep: "dbbench" on "ringkeep";
    peers_on_null: "peers" on "null";
    peers_on_memory: "peers" on "memory";
    peers_on_ringkeep: "peers" on "ringkeep";
    meta_on_null: "meta" on "null";
    meta_on_memory: "meta" on "memory";
    meta_on_ringkeep: "meta" on "ringkeep";
    twitter_on_null: "twitter" on "null";
    twitter_on_memory: "twitter" on "memory";
    twitter_on_ringkeep: "twitter" on "ringkeep";
    apps_on_null: "apps" on "null";
    apps_on_memory: "apps" on "memory";
    apps_on_ringkeep: "apps" on "ringkeep";
}

#[test]
fn whether_a_snapshot_was_held_is_said() {
    let run = |target| {
        let filter = "bench/load/overwrite_under_snapshot";
        let arguments = [
            "run", "--quick", "--suite", "macro", "--filter", filter, "--target", target,
        ];
        loadgen(&arguments).expect(0).out
    };
    assert!(run("ringkeep").contains("a snapshot was held open throughout"));
    assert!(run("memory").contains("no snapshot was held open"));
}

#[test]
fn no_suite_is_left_out() {
    let all = loadgen(&["list"]).expect(0).out;
    let tested = [
        "macro", "micro", "ycsb", "dbbench", "meta", "twitter", "apps", "peers",
    ];
    for line in all.lines() {
        assert!(
            tested
                .iter()
                .any(|suite| line.contains(&format!("[{suite}]"))),
            "{line}"
        );
    }
}
