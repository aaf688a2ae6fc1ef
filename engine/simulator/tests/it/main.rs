//! The simulator as a test: what failed once, a few seeds, and that its own verdicts can be trusted.

use ringkeep_simulator::failure::Check;
use ringkeep_simulator::plan::{Action, End, Leaves, Life, Plan, Promise, Setting, Step};
use ringkeep_simulator::sweep::sweep;
use ringkeep_simulator::{content, corpus, draw, run, shrink, tails};

#[test]
fn what_failed_once_holds_now() {
    for (name, plan) in corpus::plans() {
        let verdict = run(&plan, None).verdict;
        assert!(verdict.is_ok(), "{name}: {verdict:?}");
    }
}

/// More: `cargo run --release -p ringkeep-simulator -- --budget 10m`. One: `-- --seed 7`.
#[test]
fn whatever_a_seed_draws_every_promise_is_kept() {
    for seed in 0..12 {
        let verdict = run(&draw::plan(seed), None).verdict;
        assert!(
            verdict.is_ok(),
            "replay with: cargo run --release -p ringkeep-simulator -- --seed {seed}: {verdict:?}"
        );
    }
}

/// The same: `-- --tails --budget 10m`, `-- --tails --seed 7`.
#[test]
fn whoever_is_killed_behind_an_answer_takes_nothing_along() {
    for seed in 0..12 {
        let verdict = run(&tails::plan(seed), None).verdict;
        assert!(
            verdict.is_ok(),
            "replay with: cargo run --release -p ringkeep-simulator -- --tails --seed {seed}: {verdict:?}"
        );
    }
}

/// All of it: `cargo run --release -p ringkeep-simulator -- --every-operation`.
#[test]
fn every_so_many_th_operation_of_the_canonical_traces_can_be_cut_or_fail() {
    let swept = sweep(23, 0, "transactions, three shards", 2);
    for (name, swept) in &swept {
        assert!(swept.failures.is_empty(), "{name}: {:?}", swept.failures);
    }
    assert!(swept.values().map(|swept| swept.points).sum::<u64>() > 20);
}

#[test]
fn a_clock_that_jumps_changes_no_data_and_ends_nothing_early() {
    let step = |action| Step { client: 0, action };
    // As long as a plan can say.
    let (stay, year) = (4_000, 365 * 86_400_000);
    let moves = |millis| step(Action::MoveClock { millis });
    let ending = |key| {
        step(Action::Write(
            key,
            Some(content::staying(50, stay)),
            Promise::Sync,
        ))
    };
    let read = || {
        let all = step(Action::Scan {
            from: 0,
            to: 8,
            reverse: false,
        });
        [
            all,
            step(Action::AsOf {
                back: 1,
                reverse: false,
            }),
            step(Action::AsOfTime {
                back: 5,
                reverse: false,
            }),
        ]
    };
    let mut plan = draw::plan(2);
    plan.setting = Setting {
        keys: 8,
        retention: 100,
        clients: 1,
        ..plan.setting
    };
    let mut steps = vec![ending(0), step(Action::Write(1, Some(9), Promise::Sync))];
    for millis in [
        i64::from(stay) / 2,
        -2 * year,
        10 * year,
        -20 * year,
        10 * year,
        -i64::from(stay),
    ] {
        steps.push(moves(millis));
        steps.extend(read());
        steps.push(ending(2));
        steps.extend(read());
        steps.extend([step(Action::Flush), step(Action::Compact)]);
    }
    let end = End::Kill { spared: 1 << 30 };
    let life = Life {
        steps,
        end,
        ..Life::default()
    };
    plan.lives = vec![life; 3];
    let run = run(&plan, None);
    assert!(run.verdict.is_ok(), "{:?}", run.verdict);
    assert!(run.totals.past > 30, "{}", run.totals);
}

#[test]
fn the_same_seed_is_the_same_history() {
    let hash = |seed| run(&draw::plan(seed), None).hash;
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}

#[test]
fn a_seed_draws_the_same_plan_again_and_a_plan_survives_its_file() {
    let plan = draw::plan(9);
    assert_eq!(plan, draw::plan(9));
    let text = serde_json::to_string(&plan).expect("a plan is data");
    assert_eq!(plan, serde_json::from_str::<Plan>(&text).expect("a plan"));
}

/// A disk that fails without being asked to is an error without a cause, and a shorter plan shows it too.
#[test]
fn an_error_without_a_cause_is_a_failure_and_is_shortened() {
    let mut plan = draw::plan(2);
    let step = |action| Step { client: 0, action };
    let write = |key| step(Action::Write(key, Some(10), Promise::Sync));
    plan.lives = vec![Life {
        steps: vec![
            write(0),
            write(1),
            step(Action::Wait),
            write(9999),
            write(2),
        ],
        end: End::Cut {
            spared: 1000,
            leaves: Leaves::Random,
        },
        ..Life::default()
    }];
    // There is no such key: the simulator itself gives up, which is a verdict like others.
    let failure = run(&plan, None).verdict.expect_err("it cannot pass");
    assert_eq!(failure.check, Check::Panic);
    let (shorter, failure) = shrink::shrink(&plan, &failure, 100);
    assert_eq!(failure.check, Check::Panic);
    assert_eq!(shorter.steps(), 1, "{:?}", shorter.lives);
}
