//! Short plans that between them do everything that a database does, each on its own, so that all can be gone
//! through: what happens if exactly this operation is the last one, or fails.

use crate::content;
use crate::plan::{Action, End, Leaves, Life, Plan, Promise, Setting, SpaceAction, Step, Transact};

const SYNC: Promise = Promise::Sync;
/// More operations than there are: all steps are taken.
const LATE: u64 = 1 << 40;

/// Every trace in every setting, with its name.
pub fn traces() -> Vec<(String, Plan)> {
    let mut traces = Vec::new();
    for (place, setting) in settings().into_iter().enumerate() {
        for (name, lives) in lives() {
            let name = format!("{name}, {}", setting.0);
            let plan = Plan {
                seed: place as u64,
                setting: setting.1.clone(),
                lives,
                ways: 0,
            };
            traces.push((name, plan));
        }
    }
    traces
}

fn settings() -> [(&'static str, Setting); 4] {
    let three = Setting {
        shards: 3,
        hosts: 2,
        clients: 3,
        keys: 12,
        memtable_bytes: 4096,
        cache_bytes: 8 << 10,
        rows_bytes: 4 << 10,
        segment_bytes: 16384,
        group_bytes: 4096,
        table_bytes: 8192,
        runs_max: 2,
        idle_close_after: 1_000_000,
        tail_bytes: 8 << 10,
        retention: 0,
        windows: Vec::new(),
        codecs: Vec::new(),
        blob_bytes: None,
        latency_least: 10_000,
        latency_most: 100_000,
        tail_per_mille: 0,
        tail_factor: 1,
        short_per_mille: 0,
        failing_factor: 1,
    };
    let one = Setting {
        shards: 1,
        hosts: 1,
        ..three.clone()
    };
    // Whatever is submitted together ends in any order and in parts, and the past is kept.
    let unruly = Setting {
        shards: 2,
        hosts: 1,
        retention: 100,
        windows: Vec::new(),
        codecs: Vec::new(),
        blob_bytes: Some(100),
        latency_least: 1_000,
        latency_most: 2_000_000,
        short_per_mille: 200,
        ..three.clone()
    };
    // All of it in memory, one group after another.
    let roomy = Setting {
        shards: 2,
        hosts: 2,
        memtable_bytes: 65536,
        cache_bytes: 0,
        rows_bytes: 0,
        segment_bytes: 65536,
        group_bytes: 16384,
        runs_max: 5,
        ..three.clone()
    };
    [
        ("three shards", three),
        ("one shard", one),
        ("unruly disk", unruly),
        ("in memory", roomy),
    ]
}

fn lives() -> Vec<(&'static str, Vec<Life>)> {
    let cut = End::Cut {
        spared: LATE,
        leaves: Leaves::Random,
    };
    let ending = |steps: Vec<Step>, end: &End| Life {
        steps,
        end: end.clone(),
        ..Life::default()
    };
    let one = |steps| vec![ending(steps, &End::CLOSE)];
    // What the first life leaves when its power goes is what the second one recovers.
    let two = |steps: Vec<Step>, end: &End| {
        let more = vec![write(0, 90), write(1, 90), step(Action::Wait)];
        vec![ending(steps, end), ending(more, &End::CLOSE)]
    };
    let kill = End::Kill { spared: LATE };
    vec![
        ("put, flush, merge", one(puts())),
        ("batches over shards", one(batches())),
        ("transactions", one(transactions())),
        ("keyspaces and ends", one(keyspaces())),
        ("range deletes", one(ranges())),
        ("a log that grows and shrinks", one(log())),
        ("large values", one(large())),
        ("recovery of batches", two(batches(), &cut)),
        (
            "recovery with tables",
            two([puts(), ranges(), batches()].concat(), &cut),
        ),
        (
            "recovery after a kill",
            two([transactions(), keyspaces()].concat(), &kill),
        ),
    ]
}

fn step(action: Action) -> Step {
    Step { client: 0, action }
}

fn by(client: usize, action: Action) -> Step {
    Step { client, action }
}

fn write(key: u32, bytes: u32) -> Step {
    step(Action::Write(key, Some(bytes), SYNC))
}

fn puts() -> Vec<Step> {
    let round = |bytes| (0..4).map(move |key| write(key, bytes));
    let mut steps: Vec<Step> = round(700).collect();
    steps.push(by(1, Action::Write(5, Some(50), Promise::Buffered)));
    steps.push(by(2, Action::Write(6, Some(50), Promise::Periodic(50_000))));
    steps.extend([step(Action::Flush), by(1, Action::Write(1, None, SYNC))]);
    steps.extend(round(900));
    steps.extend([step(Action::Flush), by(1, Action::Get(2)), write(3, 10)]);
    steps.extend([step(Action::Compact), step(Action::Wait), write(7, 20)]);
    steps.push(step(Action::Idle));
    steps
}

fn batches() -> Vec<Step> {
    let batch = |client: usize, first: u32, promise| {
        let ops = (first..first + 4).map(|key| (key, Some(40 + key)));
        by(client, Action::Batch(ops.collect(), promise))
    };
    vec![
        batch(0, 0, SYNC),
        batch(1, 2, SYNC),
        batch(2, 4, Promise::Buffered),
        write(3, 30),
        step(Action::MultiGet(vec![0, 1, 2, 3, 4, 5])),
        step(Action::Flush),
        batch(1, 6, SYNC),
        batch(0, 1, SYNC),
        step(Action::Wait),
        batch(2, 3, Promise::Periodic(100_000)),
        step(Action::Idle),
    ]
}

fn transactions() -> Vec<Step> {
    let transact = |client, reads: &[u32], keys: &[u32], serializable| {
        let mut ops: Vec<_> = keys.iter().map(|key| (*key, Some(25))).collect();
        ops.sort_by_cached_key(|(key, _)| content::key(*key));
        by(
            client,
            Action::Transact(Transact {
                reads: reads.to_vec(),
                range: None,
                removes: None,
                ops,
                think: 2,
                serializable,
                promise: SYNC,
            }),
        )
    };
    let append = |client, reads: &[u32], appends: &[u32], serializable| {
        by(
            client,
            Action::Append {
                reads: reads.to_vec(),
                appends: appends.to_vec(),
                think: 1,
                serializable,
            },
        )
    };
    vec![
        transact(0, &[1, 2], &[3, 4, 5], true),
        transact(1, &[3], &[1, 6], true),
        append(2, &[0], &[1, 2], true),
        append(1, &[1], &[0, 3], false),
        append(0, &[2, 3], &[0, 4], true),
        step(Action::Flush),
        transact(2, &[6], &[0, 3], false),
        append(0, &[], &[1], false),
        append(1, &[0, 1, 4], &[2, 3], true),
        step(Action::Idle),
    ]
}

fn keyspaces() -> Vec<Step> {
    let space = |space, action| step(Action::Space { space, action });
    vec![
        space(0, SpaceAction::Make),
        space(0, SpaceAction::Put(1, 300)),
        space(1, SpaceAction::Make),
        space(1, SpaceAction::Put(2, 300)),
        step(Action::Write(1, Some(content::staying(60, 1)), SYNC)),
        step(Action::Write(2, Some(content::staying(60, 500)), SYNC)),
        step(Action::Flush),
        space(0, SpaceAction::Drop),
        space(1, SpaceAction::DeleteRange(0, 5)),
        space(0, SpaceAction::Make),
        space(0, SpaceAction::Put(3, 20)),
        step(Action::Compact),
        step(Action::Idle),
    ]
}

fn ranges() -> Vec<Step> {
    let remove = |from, to, after| {
        step(Action::DeleteRange {
            before: vec![(from, Some(15))],
            from,
            to,
            after,
            promise: SYNC,
        })
    };
    let mut steps: Vec<Step> = (0..6).map(|key| write(key, 200)).collect();
    steps.extend([
        step(Action::Flush),
        remove(1, 4, vec![(2, Some(33))]),
        write(1, 40),
        step(Action::Flush),
        remove(3, 12, vec![]),
        step(Action::Compact),
        write(5, 44),
        step(Action::Idle),
    ]);
    steps
}

fn log() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..3 {
        steps.extend((0..3).map(|key| {
            by(
                key as usize % 3,
                Action::Write(key + round, Some(3500), SYNC),
            )
        }));
        steps.push(by(1, Action::Write(9, Some(20), Promise::Buffered)));
    }
    steps.extend([
        step(Action::Idle),
        write(0, 20),
        step(Action::Flush),
        write(1, 20),
    ]);
    steps.push(step(Action::Idle));
    steps
}

fn large() -> Vec<Step> {
    vec![
        write(0, 20_000),
        by(1, Action::Write(1, Some(9_000), SYNC)),
        write(2, 5_000),
        step(Action::Flush),
        write(0, 12_000),
        by(1, Action::Write(1, None, SYNC)),
        step(Action::Compact),
        step(Action::Get(0)),
        step(Action::Idle),
    ]
}
