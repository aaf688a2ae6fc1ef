//! Writes that are answered before the log has them, and stops of all kinds behind them.

use ringkeep_io::{Crash, Doing, SimulatedOptions, Times};
use ringkeep_shard::{Call, Durability, Error, Reply};

use super::world::{World, tiny_options};

const EIO: i32 = 5;

fn world(seed: u64) -> World {
    World::new(seed, tiny_options(), SimulatedOptions::default())
}

/// Answered without any help of the disk.
fn put(world: &mut World, number: u32) {
    let key = (number % 40).to_be_bytes();
    let token = world.put(&key, &number.to_be_bytes(), Durability::Buffered);
    let reply = world.wait(token);
    assert!(matches!(reply, Reply::Written(_)), "{reply:?}");
}

#[test]
fn what_was_answered_outlives_the_process_wherever_it_is() {
    for turns in 0..40 {
        let mut world = world(turns);
        for number in 0..30 {
            put(&mut world, number);
        }
        world.run(turns as usize);
        for number in 30..50 {
            put(&mut world, number);
        }
        assert!(world.stats().early_groups > 30);
        world.kill();
        world.open().expect("opens after the end of a process");
        world.check("after the end of a process");
        assert_eq!(
            world.get(&9u32.to_be_bytes()),
            Ok(Some(49u32.to_be_bytes().to_vec()))
        );
        world.lose_power(Crash::LoseAll);
        world.open().expect("opens after a power cut");
        world.check("what an opening has found is durable");
    }
}

/// Of several full frames that were in flight the power takes any, and the process may end before any: what the tail has
/// leads on from the first that is missing.
#[test]
fn what_several_frames_in_flight_were_to_carry_comes_back() {
    for seed in 0..60 {
        let mut options = tiny_options();
        options.memtable_bytes = 1 << 20;
        (options.tail_bytes, options.segment_bytes) = (256 << 10, 256 << 10);
        let mut world = World::new(seed, options, SimulatedOptions::default());
        for round in 0..3u32 {
            let mut tokens = Vec::new();
            for number in 0..16u32 {
                let value = vec![round as u8; 5000];
                let key = (number % 5).to_be_bytes();
                tokens.push(world.put(&key, &value, Durability::Buffered));
                world.turn();
            }
            if round == 0 {
                let answered = tokens.iter().filter(|token| world.is_answered(**token));
                assert_eq!(answered.count(), 16, "more than two frames have room for");
            }
            match seed % 2 {
                0 => world.kill(),
                _ => world.lose_power(Crash::Random),
            }
            world.open().expect("opens");
            world.check("with frames in flight");
        }
    }
}

#[test]
fn a_tail_that_shall_be_larger_is_emptied_into_the_log_before_it_grows() {
    let mut world = world(3);
    for _ in 0..2 {
        for number in 0..50 {
            put(&mut world, number);
        }
        world.kill();
        world.options.tail_bytes *= 4;
        world.open().expect("opens");
        world.check("after the tail has grown");
        let files = world.disk.files();
        let tail = files.iter().find(|(path, _)| path.ends_with("/tail"));
        assert_eq!(
            tail.map(|(_, bytes)| *bytes),
            Some(world.options.tail_bytes as u64)
        );
    }
}

#[test]
fn an_opening_that_is_killed_too_takes_nothing_along() {
    for spared in 0..60 {
        let mut world = world(spared);
        for number in 0..50 {
            put(&mut world, number);
        }
        world.kill();
        for again in [spared, spared / 2] {
            // All that was written stays, as after the end of a process, and what was in flight as well.
            world.disk.crash_at(1 + again, Crash::KeepAll);
            if world.open().is_err() {
                world.lose_power(Crash::KeepAll);
            } else {
                world.kill();
            }
        }
        world.disk.crash_at(u64::MAX, Crash::KeepAll);
        world.open().expect("opens at last");
        world.check("after openings that were cut");
    }
}

#[test]
fn after_a_power_cut_the_tail_only_leads_on_from_the_log() {
    for seed in 0..200 {
        let mut world = world(seed);
        for round in 0..3 {
            for number in 0..40 {
                put(&mut world, 40 * round + number);
                if (u64::from(number) + seed) % 13 == 0 {
                    world.run(3);
                }
            }
            world.lose_power(Crash::Random);
            world.open().expect("opens after a power cut");
            world.check("after a power cut");
        }
    }
}

/// The log is what fails, after the answers were given: reads go on to show them, and the next opening has them.
#[test]
fn what_was_answered_before_the_log_failed_comes_back() {
    let mut world = world(1);
    for number in 0..20 {
        put(&mut world, number);
    }
    world.disk.fail_next(Doing::Write, EIO, Times::Once);
    let synced = world.put(b"synced", b"x", Durability::Sync);
    let reply = world.wait(synced);
    assert!(matches!(reply, Reply::Failed(Error::Unknown { .. })));
    let later = world.put(b"later", b"x", Durability::Buffered);
    let reply = world.wait(later);
    assert!(matches!(reply, Reply::Failed(Error::Failed { .. })));
    let expected = Ok(Some(19u32.to_be_bytes().to_vec()));
    assert_eq!(world.get(&19u32.to_be_bytes()), expected);
    world.kill();
    world.open().expect("opens again");
    assert_eq!(world.get(&19u32.to_be_bytes()), expected);
    world.check("after the log failed");
}

#[test]
fn a_flush_and_a_close_have_all_of_it() {
    let mut world = world(1);
    for number in 0..20 {
        put(&mut world, number);
    }
    world.done(Call::Flush).expect("it flushes");
    put(&mut world, 20);
    world.done(Call::Close).expect("it closes");
    world.lose_power(Crash::LoseAll);
    world.open().expect("opens again");
    assert_eq!(world.stats().recovered_frames, 0);
    let expected = Ok(Some(20u32.to_be_bytes().to_vec()));
    assert_eq!(world.get(&20u32.to_be_bytes()), expected);
}

/// Older databases have none, and neither has one whose folder was full.
#[test]
fn a_tail_that_is_missing_or_foreign_is_nothing() {
    let mut world = world(1);
    for number in 0..20 {
        put(&mut world, number);
    }
    world.done(Call::Close).expect("it closes");
    world.shard = None;
    world.disk.remove("/shard/tail");
    world.open().expect("opens without");
    put(&mut world, 21);
    world.kill();
    let foreign = vec![0xee; 8 << 10];
    world.disk.overwrite("/shard/tail", 0, &foreign);
    world.open().expect("opens with rubbish");
    put(&mut world, 23);
    assert!(world.stats().early_groups > 0);
}

#[test]
fn what_an_earlier_process_left_in_the_tail_does_not_come_between() {
    let mut world = world(1);
    // Few large groups reach the second half; later the first one has many small ones, of the same numbers.
    for number in 0..14u32 {
        let token = world.put(&number.to_be_bytes(), &[7; 400], Durability::Buffered);
        world.wait(token);
    }
    world.done(Call::Close).expect("closes");
    world.open().expect("opens");
    for number in 0..30 {
        put(&mut world, number);
    }
    world.kill();
    world.open().expect("opens after the end of a process");
    world.check("in the tail, and not in the log");
    let newest = Ok(Some(29u32.to_be_bytes().to_vec()));
    assert_eq!(world.get(&29u32.to_be_bytes()), newest);
}
