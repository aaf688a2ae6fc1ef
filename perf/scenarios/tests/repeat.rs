//! Two runs of one binary cost the same to the last byte, and different work has a different identity.

use ringkeep_scenarios::{Clocks, CountingAllocator, Outcome, SCENARIOS, Scenario};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn without_times(outcome: Outcome) -> Outcome {
    Outcome {
        cpu_ns: 0,
        wall_ns: 0,
        ..outcome
    }
}

#[test]
fn a_run_repeats() {
    for scenario in SCENARIOS {
        let ops = scenario.ops.min(3_000);
        let once = without_times(scenario.run(ops, Clocks::Running));
        let again = without_times(scenario.run(ops, Clocks::Stopped));
        assert_eq!(once, again, "{}", scenario.name);
        // What is cached, or known to be absent, is told without any.
        let allocations = once.counts.get("allocations").copied();
        let none = ["get_memtable", "get_hit", "get_miss", "get_row"].contains(&scenario.name);
        assert_eq!(allocations == Some(0), none, "{}", scenario.name);
    }
}

#[test]
fn other_work_is_told_apart() {
    let scenario = Scenario::named("put").expect("a scenario");
    let workload = |ops| scenario.run(ops, Clocks::Stopped).workload;
    assert_ne!(workload(10), workload(11));
    assert!(Scenario::named("no such").is_none());
}

#[test]
fn each_path_costs_what_it_is_known_to_cost() {
    let run = |name: &str| {
        let scenario = Scenario::named(name).expect("a scenario");
        scenario.run(scenario.ops, Clocks::Stopped)
    };
    let put = run("put");
    assert_eq!(
        (put.counts["durable_writes"], put.counts["syncs"]),
        (put.ops, 0)
    );
    assert_eq!(run("get_hit").counts["device_reads"], 0);
    assert_eq!(run("get_miss").counts["device_reads"], 0);
    let cold = run("get_cold");
    assert!(cold.counts["device_reads"] * 100 <= cold.ops * 105);
    let flush = run("flush");
    assert!(flush.counts["device_write_bytes"] > flush.live_bytes / 2);
    let overwrite = run("overwrite");
    assert!(overwrite.space_bytes > overwrite.live_bytes);
    assert!(overwrite.counts["device_write_bytes"] > overwrite.user_bytes);
}

#[test]
fn messages_are_those_of_the_protocol() {
    for (name, each) in [
        // There and back, and nobody is asked for what a reader finds by itself.
        ("put_through", 2),
        ("get_through", 2),
        ("get_row", 0),
        ("multi_get_across", 2 * 2),
        // To the coordinator and back; between it and the other prepare, vote, outcome and receipt.
        ("batch_across", 2 + 4),
    ] {
        let scenario = Scenario::named(name).expect("a scenario");
        let outcome = scenario.run(100, Clocks::Stopped);
        assert_eq!(outcome.counts["messages"], 100 * each, "{name}");
    }
}
