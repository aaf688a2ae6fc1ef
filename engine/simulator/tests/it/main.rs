//! The simulator as a test: what failed once, a few seeds, and that its own verdicts can be trusted.

use ringkeep_simulator::failure::Check;
use ringkeep_simulator::plan::{Action, End, Leaves, Life, Plan, Promise, Step};
use ringkeep_simulator::{corpus, draw, run, shrink};

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
        cuts_while_opening: Vec::new(),
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
    }];
    // There is no such key: the simulator itself gives up, which is a verdict like others.
    let failure = run(&plan, None).verdict.expect_err("it cannot pass");
    assert_eq!(failure.check, Check::Panic);
    let (shorter, failure) = shrink::shrink(&plan, &failure, 100);
    assert_eq!(failure.check, Check::Panic);
    assert_eq!(shorter.steps(), 1, "{:?}", shorter.lives);
}
