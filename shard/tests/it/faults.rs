//! Faults one at a time, each with what must come of it.

use ringkeep_io::{Crash, Doing, SimulatedOptions, Times};
use ringkeep_shard::{Call, Durability, Error, Op, Reply, ShardOptions};

use crate::world::{World, tiny_options};

const EIO: i32 = 5;

fn world() -> World {
    World::new(3, tiny_options(), SimulatedOptions::default())
}

fn fill(world: &mut World, keys: std::ops::Range<u32>) {
    for number in keys {
        let token = world.put(
            &number.to_be_bytes(),
            &[number as u8; 100],
            Durability::Sync,
        );
        assert!(matches!(world.wait(token), Reply::Written(_)));
    }
}

#[test]
fn after_a_failed_log_write_nothing_is_written_and_reads_go_on() {
    let mut world = world();
    fill(&mut world, 0..10);
    world.disk.fail_next(Doing::Write, EIO, Times::Once);
    let failed = world.put(b"lost?", b"x", Durability::Sync);
    assert!(matches!(
        world.wait(failed),
        Reply::Failed(Error::Unknown { .. })
    ));
    assert_eq!(
        world.get(b"lost?"),
        Ok(None),
        "nobody was told that it is there"
    );
    let later = world.put(b"later", b"x", Durability::Sync);
    assert!(matches!(
        world.wait(later),
        Reply::Failed(Error::Failed { .. })
    ));
    assert_eq!(world.get(&3u32.to_be_bytes()), Ok(Some(vec![3; 100])));
    world.lose_power(Crash::Random);
    world.open().expect("opens again");
    world.check("after a failed write");
    fill(&mut world, 20..30);
}

#[test]
fn a_failed_sync_stops_writes_although_the_next_one_would_succeed() {
    // With a tail both would be in one frame, which needs no sync.
    let options = ShardOptions {
        tail_bytes: 0,
        ..tiny_options()
    };
    let mut world = World::new(3, options, SimulatedOptions::default());
    let token = world.put(b"buffered", b"x", Durability::Buffered);
    world.wait(token);
    world.disk.fail_next(Doing::Sync, EIO, Times::Once);
    let synced = world.put(b"synced", b"x", Durability::Sync);
    assert!(matches!(
        world.wait(synced),
        Reply::Failed(Error::Unknown { .. })
    ));
    let later = world.put(b"later", b"x", Durability::Sync);
    assert!(matches!(
        world.wait(later),
        Reply::Failed(Error::Failed { .. })
    ));
    world.lose_power(Crash::LoseAll);
    world.open().expect("opens again");
    world.check("after a failed sync");
}

/// The kernel reports a failed sync once, to the process that is gone, and takes the data for clean.
#[test]
fn what_a_failed_sync_left_behind_is_durable_once_it_was_replayed() {
    let mut world = world();
    fill(&mut world, 0..10);
    let frames = world.stats().log_frames;
    for number in 10..40u32 {
        let token = world.put(&number.to_be_bytes(), b"buffered", Durability::Buffered);
        world.wait(token);
    }
    // What is durable behind a plain frame takes a sync.
    while world.stats().log_frames == frames {
        world.run(1);
    }
    world.disk.fail_next(Doing::Sync, EIO, Times::Once);
    let synced = world.put(b"synced", b"x", Durability::Sync);
    assert!(matches!(
        world.wait(synced),
        Reply::Failed(Error::Unknown { .. })
    ));
    world.kill();
    world.open().expect("opens after the end of a process");
    let key = 39u32.to_be_bytes();
    assert_eq!(world.get(&key), Ok(Some(b"buffered".to_vec())));
    world.lose_power(Crash::LoseAll);
    world.open().expect("opens after the power cut");
    world.check("what was read after the first opening is still there");
    assert_eq!(world.get(&key), Ok(Some(b"buffered".to_vec())));
}

/// A merge could not read a table, and what had been answered a moment before was never synced; nor, where it was answered
/// from the tail, written.
#[test]
fn a_periodic_promise_is_kept_although_a_flush_failed_meanwhile() {
    for tail_bytes in [0, 8 << 10] {
        let options = ShardOptions {
            tail_bytes,
            idle_close_after: 1 << 50,
            ..tiny_options()
        };
        let mut world = World::new(3, options, SimulatedOptions::default());
        fill(&mut world, 0..10);
        let every = 500_000_000;
        let promised = world.put(b"promised", b"x", Durability::Periodic(every));
        assert!(matches!(world.wait(promised), Reply::Written(_)));
        world.disk.fail_next(Doing::Create, EIO, Times::Once);
        let flushed = world.done(Call::Flush);
        assert!(matches!(flushed, Err(Error::Failed { .. })), "{flushed:?}");
        assert_eq!(world.stats().log_syncs, 0, "the flush failed in good time");
        let later = world.put(b"later", b"x", Durability::Buffered);
        assert!(matches!(world.wait(later), Reply::Failed(_)));
        world.run(1000);
        world.lose_power(Crash::LoseAll);
        world.open().expect("opens again");
        assert_eq!(world.get(b"promised"), Ok(Some(b"x".to_vec())));
        world.check("after the failed flush");
    }
}

#[test]
fn a_full_disk_refuses_puts_keeps_deletes_and_reads_and_heals_by_itself() {
    let mut world = world();
    fill(&mut world, 0..50);
    world.run(1000);
    let used: u64 = world.disk.files().iter().map(|(_, bytes)| bytes).sum();
    world.disk.set_capacity_bytes(used);
    let mut refused = 0;
    for number in 50..2000u32 {
        let token = world.put(&number.to_be_bytes(), &[1; 100], Durability::Sync);
        match world.wait(token) {
            Reply::Written(_) => {}
            Reply::Failed(Error::Full { .. }) => refused += 1,
            other => panic!("{other:?}"),
        }
        if refused > 20 {
            break;
        }
    }
    assert!(refused > 20, "the disk never filled");
    assert_eq!(world.get(&7u32.to_be_bytes()), Ok(Some(vec![7; 100])));
    let key = 7u32.to_be_bytes();
    let delete = world.write(vec![Op::Delete { key: key.into() }], Durability::Sync);
    assert!(
        matches!(world.wait(delete), Reply::Written(_)),
        "deletes go on"
    );
    world.check("full");
    world.disk.set_capacity_bytes(1 << 40);
    let mut answered = false;
    for _ in 0..100 {
        let token = world.put(b"again", b"x", Durability::Sync);
        answered = matches!(world.wait(token), Reply::Written(_));
        if answered {
            break;
        }
        world.run(20);
    }
    assert!(answered, "writes resume when space returns");
    world.lose_power(Crash::Random);
    world.open().expect("opens");
    world.check("after the full disk");
}

#[test]
fn a_flush_on_a_full_disk_is_answered_before_there_is_space() {
    let mut world = world();
    fill(&mut world, 0..50);
    world.run(1000);
    let used: u64 = world.disk.files().iter().map(|(_, bytes)| bytes).sum();
    world.disk.set_capacity_bytes(used);
    let flushed = world.call(Call::Flush);
    assert!(matches!(
        world.wait(flushed),
        Reply::Failed(Error::Full { .. })
    ));
    world.disk.set_capacity_bytes(1 << 40);
    // By itself, at the next try.
    while world.stats().flushes == 0 {
        world.run(20);
    }
    assert_eq!(world.done(Call::Flush), Ok(()));
    world.check("after the flush");
}

/// What the last try found, a moment ago, is no answer to whoever has made room since.
#[test]
fn a_flush_asked_for_where_room_was_made_is_not_refused_for_an_earlier_try() {
    let mut world = world();
    fill(&mut world, 0..50);
    world.run(1000);
    let used: u64 = world.disk.files().iter().map(|(_, bytes)| bytes).sum();
    world.disk.set_capacity_bytes(used);
    let refused = world.done(Call::Flush);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    world.disk.set_capacity_bytes(1 << 40);
    assert_eq!(world.done(Call::Flush), Ok(()));
    world.check("after the flush");
}

/// Merging values that nobody has deleted yet took more room than there was, and was tried again for ever, although all
/// of them had been deleted since.
#[test]
fn what_was_deleted_on_a_full_disk_is_given_back_by_compacting() {
    let options = ShardOptions {
        memtable_bytes: 4 << 20,
        table_bytes: 4 << 20,
        ..tiny_options()
    };
    let mut world = World::new(5, options, SimulatedOptions::default());
    for run in 0..2u32 {
        for number in 0..150u32 {
            let key = (2 * number + run).to_be_bytes();
            let token = world.put(&key, &[1; 3000], Durability::Buffered);
            assert!(matches!(world.wait(token), Reply::Written(_)));
        }
        assert_eq!(world.done(Call::Flush), Ok(()));
        world.run(10_000);
    }
    assert_eq!(
        world.stats().runs,
        2,
        "nothing is merged before it is asked for"
    );
    let used: u64 = world.disk.files().iter().map(|(_, bytes)| bytes).sum();
    world.disk.set_capacity_bytes(used + (200 << 10));
    let refused = world.done(Call::Compact);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    let keys = (0..300u32).map(|number| number.to_be_bytes().into());
    let deletes = keys.map(|key| Op::Delete { key }).collect();
    let token = world.write(deletes, Durability::Sync);
    let deleted = world.wait(token);
    assert!(matches!(deleted, Reply::Written(_)), "{deleted:?}");
    assert_eq!(world.done(Call::Compact), Ok(()));
    assert_eq!(world.stats().table_bytes, 0);
    world.check("compacted");
    let token = world.put(b"again", &[1; 100_000], Durability::Sync);
    let written = world.wait(token);
    assert!(matches!(written, Reply::Written(_)), "{written:?}");
}

#[test]
fn after_a_failed_superblock_write_nothing_that_it_may_refer_to_is_written_over() {
    // Whichever write fails, and whatever of it is done all the same: another edit of the manifest
    // that follows must not go into the file that the failed one went into.
    for spared in 0..12 {
        for seed in 0..8 {
            let options = tiny_options();
            let mut world = World::new(seed, options, SimulatedOptions::default());
            fill(&mut world, 0..100);
            world
                .disk
                .fail_at(Doing::Write, spared, EIO, Times::Count(2));
            let flush = world.call(Call::Flush);
            for number in 100..140u32 {
                world.put(&number.to_be_bytes(), &[1; 3000], Durability::Buffered);
            }
            world.wait(flush);
            world.run(300);
            world.disk.heal();
            world.lose_power(Crash::Random);
            let opened = world.open();
            assert_eq!(opened, Ok(()), "write {spared} failed, seed {seed}");
            world.check("after the failed write");
        }
    }
}

/// A closing records where the log ends. It counted in the frame that closes an idle log when that failed as the last thing
/// in flight: the next opening missed it before the recorded end, and refused a good log as a damaged one.
#[test]
fn a_closing_frame_that_fails_while_closing_is_not_missed_by_the_next_opening() {
    for idle in 0..100 {
        let options = ShardOptions {
            idle_close_after: 1 + 10_000 * idle,
            ..tiny_options()
        };
        let mut world = World::new(idle, options, SimulatedOptions::default());
        fill(&mut world, 0..10);
        let files = world.disk.files().into_iter().map(|(path, _)| path);
        for log in files.filter(|path| path.contains("/log-")) {
            world
                .disk
                .fail_file_at(&log, Doing::Write, 0, EIO, Times::Once);
        }
        let _ = world.done(Call::Close);
        world.disk.heal();
        world.kill();
        assert_eq!(world.open(), Ok(()), "idle for {idle}0 us");
        world.check("after a closing that failed");
    }
}

#[test]
fn a_superblock_that_a_power_cut_left_half_written_is_whole_before_the_next_one() {
    const SUPERBLOCK: &str = "/shard/superblock";
    for spared in 0..40 {
        let options = tiny_options();
        let mut world = World::new(spared, options, SimulatedOptions::default());
        fill(&mut world, 0..20);
        world.done(Call::Close).expect("it closes");
        let before = world.disk.read_raw(SUPERBLOCK).expect("a superblock");
        // The opening writes the next one; the cut came between its halves.
        world.shard = None;
        world.open().expect("it opens");
        world.lose_power(Crash::LoseAll);
        let half = before.len() / 2;
        world
            .disk
            .overwrite(SUPERBLOCK, half as u64, &before[half..]);
        // And now another, in the midst of writing the one after that.
        world.disk.crash_at(spared + 2, Crash::Random);
        let _ = world.open();
        world.lose_power(Crash::Random);
        assert_eq!(world.open(), Ok(()), "after {spared} operations");
        world.check("after two cuts");
    }
}

/// It was reported as damage, for which a backup is the remedy; a cable may be all that is wrong.
#[test]
fn a_superblock_that_cannot_be_read_is_not_called_damaged() {
    let mut world = world();
    fill(&mut world, 0..10);
    world.done(Call::Close).expect("it closes");
    world.shard = None;
    world
        .disk
        .fail_file_at("/shard/superblock", Doing::Read, 0, EIO, Times::Always);
    let refused = world.open();
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    world.disk.heal();
    assert_eq!(world.open(), Ok(()));
    world.check("after the device came back");
}

#[test]
fn a_group_of_several_frames_that_is_in_tables_may_be_half_gone_from_the_log() {
    for seed in 0..60 {
        let mut world = World::new(seed, tiny_options(), SimulatedOptions::default());
        // Three frames and one, none of them synced; the flush puts both writes in tables.
        for bytes in [40_000, 10] {
            let token = world.put(b"key", &vec![7; bytes], Durability::Buffered);
            assert!(matches!(world.wait(token), Reply::Written(_)));
        }
        assert_eq!(world.done(Call::Flush), Ok(()));
        world.lose_power(Crash::Random);
        assert_eq!(world.open(), Ok(()), "seed {seed}");
        world.check("after the cut");
    }
}

#[test]
fn rot_in_acknowledged_log_is_refused_by_name_and_a_torn_tail_is_cut() {
    let mut world = world();
    fill(&mut world, 0..10);
    world.lose_power(Crash::LoseAll);
    // The third frame of the first segment: seven later ones say that it was durable.
    world.disk.flip_bit("/shard/log-0000", 2 * 4096 + 100, 3);
    match world.open() {
        Err(Error::CorruptAcked { file, offset, .. }) => {
            assert_eq!((file.as_str(), offset), ("log-0000", 2 * 4096));
        }
        other => panic!("{other:?}"),
    }
    world.disk.flip_bit("/shard/log-0000", 2 * 4096 + 100, 3);
    // The last frame has no witness: it counts as torn.
    world.disk.flip_bit("/shard/log-0000", 9 * 4096 + 100, 3);
    world.open().expect("a torn tail is no damage");
    assert_eq!(world.get(&8u32.to_be_bytes()), Ok(Some(vec![8; 100])));
    assert_eq!(world.get(&9u32.to_be_bytes()), Ok(None));
}

#[test]
fn an_idle_logs_last_frame_has_a_witness() {
    let mut world = world();
    fill(&mut world, 0..10);
    world.run(1000);
    world.lose_power(Crash::LoseAll);
    world.disk.flip_bit("/shard/log-0000", 9 * 4096 + 100, 3);
    assert!(matches!(world.open(), Err(Error::CorruptAcked { .. })));
}

#[test]
fn records_cut_off_never_come_back_behind_new_ones() {
    // Two frames in flight; the second reaches the disk, the first does not. The tail is cut, and
    // the frame written in place of the lost one must not make the old second valid again.
    for seed in 0..200 {
        let mut world = World::new(seed, tiny_options(), SimulatedOptions::default());
        fill(&mut world, 0..3);
        for round in 0..3u8 {
            for number in 10..14u32 {
                world.put(&number.to_be_bytes(), &[round; 300], Durability::Sync);
            }
            world.run(2);
            world.lose_power(Crash::Writes);
            world.open().expect("opens");
            world.check(&format!("seed {seed} round {round}"));
        }
    }
}

#[test]
fn lost_truncated_and_foreign_files_have_typed_errors() {
    let expect = |break_it: &dyn Fn(&mut World), expected: &dyn Fn(&Error) -> bool| {
        let mut world = world();
        fill(&mut world, 0..10);
        world.done(Call::Flush).expect("flushes");
        fill(&mut world, 10..20);
        world.lose_power(Crash::LoseAll);
        break_it(&mut world);
        let error = world.open().expect_err("a broken shard");
        assert!(expected(&error), "{error:?}");
    };
    let missing = |name: &'static str| move |e: &Error| matches!(e, Error::Missing { file } if file.starts_with(name));
    let table = |world: &World| {
        let files = world.disk.files();
        let table = files.iter().find(|(path, _)| path.contains("table-"));
        table.expect("a table").0.clone()
    };
    expect(
        &|w| w.disk.remove("/shard/superblock"),
        &missing("superblock"),
    );
    expect(&|w| w.disk.remove("/shard/log-0000"), &missing("log-0000"));
    expect(
        &|w| w.disk.truncate("/shard/log-0000", 8192),
        &missing("log-0000"),
    );
    expect(&|w| w.disk.remove(&table(w)), &missing("table-"));
    expect(&|w| w.disk.truncate(&table(w), 4096), &missing("table-"));
    for copy in 0..3 {
        let mut world = world();
        world.lose_power(Crash::LoseAll);
        for damaged in 0..=copy {
            world
                .disk
                .flip_bit("/shard/superblock", damaged * (64 << 10) + 40, 0);
        }
        world
            .open()
            .expect("one good copy is enough when none disagrees");
    }
    expect(
        &|w| (0..4).for_each(|c| w.disk.flip_bit("/shard/superblock", c * (64 << 10) + 40, 0)),
        &|e| matches!(e, Error::Corrupt { file, .. } if file == "superblock"),
    );
}

/// Found by the model, seed 775. A flushed memtable had covered a plain frame that the power cut then
/// took from the log. The next incarnation gave that frame's sequence to its first write; the manifest
/// said that this sequence was in tables; so the next recovery passed over an acknowledged write.
#[test]
fn a_log_shorter_than_its_tables_does_not_use_their_sequences_again() {
    let mut world = world();
    let token = world.put(b"buffered", b"1", Durability::Buffered);
    world.wait(token);
    world.done(Call::Flush).expect("flushes");
    world.lose_power(Crash::LoseAll);
    world.open().expect("opens");
    assert_eq!(world.get(b"buffered"), Ok(Some(b"1".to_vec())));
    let token = world.put(b"synced", b"2", Durability::Sync);
    assert!(matches!(world.wait(token), Reply::Written(_)));
    world.lose_power(Crash::LoseAll);
    world.open().expect("opens");
    assert_eq!(world.get(b"synced"), Ok(Some(b"2".to_vec())));
}
