//! The end of a shard whose disk is full, or whose work has failed: it comes, nothing that was answered is lost with it, and
//! nobody is busy with waiting for it.

use ringkeep_io::{Crash, Doing, SimulatedOptions, Times};
use ringkeep_shard::{Call, Durability, Error, Op, Reply, ShardId, ShardOptions};

use crate::cross::{Database, put};
use crate::world::{World, tiny_options};

const EIO: i32 = 5;

/// Nothing becomes durable by the way, and nothing is flushed unless it is asked for.
fn options(tail_bytes: usize) -> ShardOptions {
    ShardOptions {
        memtable_bytes: 1 << 20,
        tail_bytes,
        idle_close_after: 1 << 50,
        ..tiny_options()
    }
}

fn world(tail_bytes: usize) -> World {
    World::new(3, options(tail_bytes), SimulatedOptions::default())
}

fn delete(number: u64) -> Op {
    Op::Delete {
        key: number.to_be_bytes().into(),
    }
}

fn fill_disk(world: &World, left: u64) {
    let used: u64 = world.disk.files().iter().map(|(_, bytes)| bytes).sum();
    world.disk.set_capacity_bytes(used + left);
}

#[test]
fn what_was_answered_is_durable_at_the_end_although_a_flush_failed() {
    const EVERY: u64 = 500_000_000;
    for end in [|| Call::Close, || Call::Stop] {
        for tail_bytes in [0, 8 << 10] {
            for durability in [Durability::Periodic(EVERY), Durability::Buffered] {
                let mut world = world(tail_bytes);
                let promised = world.put(b"promised", b"x", durability);
                assert!(matches!(world.wait(promised), Reply::Written(_)));
                world.disk.fail_next(Doing::Create, EIO, Times::Once);
                let flushed = world.done(Call::Flush);
                assert!(matches!(flushed, Err(Error::Failed { .. })), "{flushed:?}");
                assert_eq!(world.stats().log_syncs, 0, "the flush failed in good time");
                let ended = world.done(end());
                assert!(matches!(ended, Ok(()) | Err(Error::Failed { .. })));
                assert_eq!(world.disk.now() / EVERY, 0, "and so did the end");
                world.lose_power(Crash::LoseAll);
                world.open().expect("opens again");
                assert_eq!(world.get(b"promised"), Ok(Some(b"x".to_vec())));
                world.check("after the failed flush");
            }
        }
    }
}

/// The log is what failed: another sync of it would promise what nobody knows.
#[test]
fn a_log_that_has_failed_is_not_synced_at_the_end() {
    for doing in [Doing::Write, Doing::Sync] {
        for end in [|| Call::Close, || Call::Stop] {
            let mut world = world(0);
            let buffered = world.put(b"buffered", b"x", Durability::Buffered);
            assert!(matches!(world.wait(buffered), Reply::Written(_)));
            world.disk.fail_next(doing, EIO, Times::Once);
            let synced = world.put(b"synced", b"x", Durability::Sync);
            let reply = world.wait(synced);
            assert!(matches!(reply, Reply::Failed(Error::Unknown { .. })));
            let syncs = world.stats().log_syncs;
            let ended = world.done(end());
            assert!(matches!(ended, Ok(()) | Err(Error::Failed { .. })));
            assert_eq!(world.stats().log_syncs, syncs);
        }
    }
}

#[test]
fn what_was_answered_is_durable_at_the_end_although_the_log_is_full() {
    for end in [|| Call::Close, || Call::Stop] {
        for tail_bytes in [0, 8 << 10] {
            let mut world = world(tail_bytes);
            for number in 0..100 {
                let token = world.write(vec![put(number, 1)], Durability::Buffered);
                assert!(matches!(world.wait(token), Reply::Written(_)));
            }
            assert_eq!(world.done(Call::Flush), Ok(()));
            world.run(10_000);
            fill_disk(&world, 0);
            // The log takes deletes until its last page.
            let deleted = (0..100).find(|number| {
                // Without company in its frame.
                let token = world.write(vec![delete(*number)], Durability::Buffered);
                let reply = world.wait(token);
                world.run(50);
                matches!(reply, Reply::Failed(Error::Full { .. }))
            });
            let deleted = deleted.expect("the log is full");
            assert!(deleted > 5, "{deleted}");
            let ended = world.done(end());
            assert!(matches!(ended, Ok(()) | Err(Error::Full { .. })));
            world.lose_power(Crash::LoseAll);
            world.disk.set_capacity_bytes(1 << 40);
            world.open().expect("opens again");
            for number in 0..100u64 {
                let found = world.get(&number.to_be_bytes());
                let expected = (number >= deleted).then(|| 1u64.to_be_bytes().to_vec());
                assert_eq!(found, Ok(expected), "{number} of {deleted}");
            }
        }
    }
}

/// With a put of several frames of which some are in the log, and no room for the others.
fn half_written() -> (World, u64) {
    let mut world = world(8 << 10);
    for number in 0..3 {
        let token = world.write(vec![put(number, 1)], Durability::Buffered);
        assert!(matches!(world.wait(token), Reply::Written(_)));
    }
    fill_disk(&world, 0);
    let large = world.put(b"large", &[7; 200_000], Durability::Sync);
    world.run(200);
    assert!(world.stats().log_frames > 2, "it has begun");
    (world, large)
}

/// The shard had something to do at each turn, and so its host took a core for itself.
#[test]
fn nobody_is_busy_with_waiting_for_room() {
    let (mut world, _) = half_written();
    let began = world.disk.now();
    for _ in 0..1000 {
        if !world.turn() {
            let deadline = world.shard().next_deadline();
            world.io.park(deadline);
        }
    }
    // In a thousand turns without a sleep less than a millisecond passes.
    assert!(world.disk.now() - began > 1_000_000_000);
}

#[test]
fn behind_half_a_group_deletes_are_answered_and_reads_go_on() {
    let (mut world, _) = half_written();
    let token = world.write(vec![delete(0)], Durability::Sync);
    let reply = world.wait(token);
    assert!(
        matches!(reply, Reply::Failed(Error::Full { .. })),
        "{reply:?}"
    );
    let expected = Ok(Some(1u64.to_be_bytes().to_vec()));
    assert_eq!(world.get(&0u64.to_be_bytes()), expected);
}

#[test]
fn half_a_group_that_finds_room_is_whole() {
    let (mut world, large) = half_written();
    world.disk.set_capacity_bytes(1 << 40);
    assert!(matches!(world.wait(large), Reply::Written(_)));
    assert_eq!(world.done(Call::Close), Ok(()));
    world.lose_power(Crash::LoseAll);
    world.open().expect("opens again");
    assert_eq!(world.get(b"large"), Ok(Some(vec![7; 200_000])));
}

/// A close of it never came to an end.
#[test]
fn half_a_group_that_finds_no_room_is_given_up_at_the_end() {
    for crash in [Crash::LoseAll, Crash::Random, Crash::KeepAll] {
        for drains in [true, false] {
            let (mut world, large) = half_written();
            if drains {
                world.shard().drain();
                let reply = world.wait(large);
                assert!(matches!(reply, Reply::Failed(Error::Full { .. })));
            }
            let closed = world.done(Call::Close);
            assert!(matches!(closed, Err(Error::Full { .. })), "{closed:?}");
            if !drains {
                let reply = world.wait(large);
                assert!(matches!(reply, Reply::Failed(Error::Full { .. })));
            }
            world.lose_power(crash);
            world.disk.set_capacity_bytes(1 << 40);
            world.open().expect("opens again");
            assert_eq!(world.get(b"large"), Ok(None));
            let expected = Ok(Some(1u64.to_be_bytes().to_vec()));
            assert_eq!(world.get(&2u64.to_be_bytes()), expected);
            world.check("without the half");
            assert_eq!(world.done(Call::Close), Ok(()));
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_the_rest_of_a_group() {
    let (mut world, _) = half_written();
    assert_eq!(world.done(Call::Stop), Ok(()));
    world.lose_power(Crash::LoseAll);
    world.disk.set_capacity_bytes(1 << 40);
    world.open().expect("opens again");
    assert_eq!(world.get(b"large"), Ok(None));
    let expected = Ok(Some(1u64.to_be_bytes().to_vec()));
    assert_eq!(world.get(&2u64.to_be_bytes()), expected);
}

/// Shard 1 has heard that a batch is committed, and its log has no room to say so: the batch took the last page
/// of its last segment, of `segments`.
fn outcome_without_room(segments: u64) -> Database {
    let mut database = Database::new(1, options(0));
    let write = |database: &mut Database, shard, op: Op| {
        let call = Call::Write {
            ops: vec![op],
            durability: Durability::Sync,
        };
        let token = database.call(shard, call);
        let reply = answer(database, token);
        assert!(matches!(reply, Reply::Written(_)), "{reply:?}");
    };
    const FRAMES: u64 = 16;
    write(&mut database, 0, put(1, 7));
    let last = segments * FRAMES - 1;
    for number in 0..last {
        // The next segment is made in the second half of the one before.
        if number == (segments - 1) * FRAMES + 1 {
            let used: u64 = database.disk.files().iter().map(|(_, bytes)| bytes).sum();
            database.disk.set_capacity_bytes(used);
        }
        let op = match number {
            0 => put(2, 7),
            _ => delete(1000 + number),
        };
        write(&mut database, 1, op);
    }
    let parts = vec![(ShardId(0), vec![delete(1)]), (ShardId(1), vec![delete(2)])];
    let token = database.call(0, Call::Commit { parts });
    let reply = answer(&mut database, token);
    assert!(matches!(reply, Reply::Written(_)), "{reply:?}");
    run(&mut database, 200);
    database
}

/// The batch has deleted what was there.
fn check_batch(database: &mut Database) {
    for (shard, key) in [(0, 1u64), (1, 2)] {
        let get = Call::Get {
            key: key.to_be_bytes().into(),
            at: None,
            room: Vec::new(),
        };
        let token = database.call(shard, get);
        match answer(database, token) {
            Reply::Value(got) => assert!(!got.found, "{key} is still there"),
            other => panic!("{other:?}"),
        }
    }
}

/// Turns of all shards; a sleep after each that leaves nothing to do.
fn run(database: &mut Database, turns: usize) {
    for _ in 0..turns {
        turn(database);
    }
}

fn turn(database: &mut Database) {
    let Database {
        shards,
        replies,
        io,
        ..
    } = database;
    io.turn();
    let mut more = false;
    for index in 0..shards.len() {
        more |= shards[index].turn();
        let letters: Vec<_> = shards[index].letters().collect();
        more |= !letters.is_empty();
        for (to, letter) in letters {
            shards[usize::from(to.0)].deliver(letter);
        }
        replies.extend(shards[index].replies());
    }
    if !more {
        let deadlines = shards.iter().filter_map(|shard| shard.next_deadline());
        io.park(deadlines.min());
    }
}

fn answer(database: &mut Database, token: u64) -> Reply {
    for _ in 0..100_000 {
        if let Some(reply) = database.replies.remove(&token) {
            return reply;
        }
        turn(database);
    }
    panic!("call {token} is never answered");
}

#[test]
fn nobody_is_busy_with_an_outcome_that_has_no_room() {
    let mut database = outcome_without_room(1);
    let began = database.disk.now();
    run(&mut database, 1000);
    assert!(database.disk.now() - began > 1_000_000_000);
}

/// A close of it never came to an end, nor did its host come to rest.
#[test]
fn an_outcome_that_has_no_room_is_told_again_after_the_end() {
    for end in [|| Call::Close, || Call::Stop] {
        for left in [0, 40 << 10] {
            let mut database = outcome_without_room(1);
            let used: u64 = database.disk.files().iter().map(|(_, bytes)| bytes).sum();
            database.disk.set_capacity_bytes(used + left);
            let token = database.call(1, end());
            let ended = answer(&mut database, token);
            let is_full = matches!(ended, Reply::Failed(Error::Full { .. }));
            assert!(is_full || matches!(ended, Reply::Done), "{ended:?}");
            database.disk.set_capacity_bytes(1 << 40);
            database.lose_power(Crash::LoseAll);
            run(&mut database, 1000);
            check_batch(&mut database);
            for shard in 0..3 {
                let token = database.call(shard, Call::Close);
                let closed = answer(&mut database, token);
                assert!(matches!(closed, Reply::Done), "{closed:?}");
            }
        }
    }
}

#[test]
fn a_close_that_needs_room_in_the_log_flushes_for_it() {
    let mut database = outcome_without_room(2);
    let used: u64 = database.disk.files().iter().map(|(_, bytes)| bytes).sum();
    database.disk.set_capacity_bytes(used + (40 << 10));
    let token = database.call(1, Call::Close);
    let closed = answer(&mut database, token);
    assert!(matches!(closed, Reply::Done), "{closed:?}");
    assert!(database.shards[1].is_closed());
    database.lose_power(Crash::LoseAll);
    check_batch(&mut database);
}
