//! Values that end.

use std::sync::Arc;

use ringkeep_io::SimulatedOptions;
use ringkeep_shard::{Call, Durability, Op, Pin};

use crate::rows::shown;
use crate::world::{World, tiny_options};

const SECOND: u64 = 1_000;

type Step = fn(&mut World);

fn world() -> World {
    World::new(1, tiny_options(), SimulatedOptions::default())
}

/// Milliseconds since 1970.
fn now(world: &World) -> u64 {
    world.io.wall_clock() / 1_000_000
}

fn sleep_until(world: &World, millis: u64) {
    let wait = (millis * 1_000_000).saturating_sub(world.io.wall_clock());
    world.disk.advance_to(world.io.now() + wait);
}

fn put_until(world: &mut World, key: &[u8], value: &[u8], until: u64) {
    let (key, value) = (key.into(), value.into());
    let op = Op::PutUntil { key, value, until };
    let token = world.write(vec![op], Durability::Sync);
    world.wait(token);
}

fn put(world: &mut World, key: &[u8], value: &[u8]) {
    let token = world.put(key, value, Durability::Sync);
    world.wait(token);
}

fn is_there(world: &mut World, key: &[u8]) -> bool {
    let by_get = world.get(key).expect("an answer").is_some();
    let pin = pin(world);
    let found = world.scan(&pin, false, 4096).expect("a page");
    assert_eq!(found.contains_key(key), by_get);
    let reverse = world.scan(&pin, true, 4096).expect("a page");
    assert_eq!(found, reverse);
    by_get
}

fn pin(world: &World) -> Pin {
    let pins = world.pins.as_ref().expect("open");
    pins.hear(now(world));
    Arc::clone(pins).pin()
}

fn flush(world: &mut World) {
    assert_eq!(world.done(Call::Flush), Ok(()));
}

fn compact(world: &mut World) {
    assert_eq!(world.done(Call::Compact), Ok(()));
}

#[test]
fn a_value_is_there_until_its_millisecond_wherever_it_lies() {
    let places: [(&str, Step); 4] = [
        ("in the memtable", |_| {}),
        ("in a table", flush),
        ("merged", |world| {
            put(world, b"other", b"one");
            flush(world);
            compact(world);
        }),
        ("replayed", |world| {
            world.kill();
            world.open().expect("it opens");
        }),
    ];
    for (place, bring) in places {
        let mut world = world();
        let until = now(&world) + 100 * SECOND;
        put_until(&mut world, b"key", b"value", until);
        bring(&mut world);
        assert!(now(&world) < until - SECOND, "{place}");
        assert!(is_there(&mut world, b"key"), "{place}");
        sleep_until(&world, until - 1);
        assert!(world.get(b"key").expect("an answer").is_some(), "{place}");
        sleep_until(&world, until);
        assert!(!is_there(&mut world, b"key"), "{place}");
        assert!(world.stats().expired_read > 0, "{place}");
        put(&mut world, b"key", b"again");
        assert!(is_there(&mut world, b"key"), "{place}");
    }
}

#[test]
fn what_has_ended_hides_what_is_older_until_nothing_older_is_left() {
    let mut world = world();
    put(&mut world, b"key", b"old");
    put(&mut world, b"last", b"so that the first run is never empty");
    flush(&mut world);
    let until = now(&world) + SECOND;
    put_until(&mut world, b"key", b"new", until);
    sleep_until(&world, until);
    assert!(!is_there(&mut world, b"key"));
    // The flush makes it a removal, which the run below still needs.
    flush(&mut world);
    assert_eq!(world.stats().expired_dropped, 1);
    assert_eq!(world.stats().tombstones, 1);
    assert!(!is_there(&mut world, b"key"));
    compact(&mut world);
    assert_eq!(world.stats().tombstones, 0);
    assert_eq!(world.stats().table_entries, 1);
    assert!(!is_there(&mut world, b"key"));
}

#[test]
fn a_pinned_moment_sees_what_had_not_ended_then_for_ever() {
    let mut world = world();
    let until = now(&world) + SECOND;
    put_until(&mut world, b"key", b"value", until);
    let before = pin(&world);
    sleep_until(&world, until);
    let after = pin(&world);
    assert_eq!(before.version(), after.version(), "only time has passed");
    let steps: [Step; 3] = [|_| {}, flush, compact];
    for step in steps {
        step(&mut world);
        let seen = world.scan(&before, false, 4096).expect("a page");
        assert_eq!(seen.len(), 1);
        let seen = world.scan(&after, true, 4096).expect("a page");
        assert_eq!(seen.len(), 0);
    }
    drop(before);
    put(&mut world, b"other", b"so that there is something to merge");
    flush(&mut world);
    compact(&mut world);
    let stats = world.stats();
    assert_eq!((stats.table_entries, stats.expired_dropped), (1, 1));
}

#[test]
fn a_table_in_which_all_has_ended_is_cleaned_out_by_itself() {
    let mut world = world();
    let until = now(&world) + SECOND;
    for number in 0..50u8 {
        put_until(&mut world, &[number], b"value", until);
    }
    flush(&mut world);
    assert_eq!(world.stats().table_entries, 50);
    sleep_until(&world, until);
    // Whatever makes the shard look for work.
    put(&mut world, b"other", b"value");
    flush(&mut world);
    world.run(1000);
    assert_eq!(world.stats().table_entries, 1);
}

#[test]
fn no_other_thread_is_shown_a_value_that_ends() {
    let mut world = world();
    let until = now(&world) + SECOND;
    put_until(&mut world, b"ends", b"value", until);
    put(&mut world, b"lasts", b"value");
    let rows = world.shard().rows();
    for _ in 0..4 {
        world.get(b"ends").expect("an answer");
        world.get(b"lasts").expect("an answer");
    }
    assert!(shown(&rows, b"lasts").is_some());
    assert_eq!(shown(&rows, b"ends"), None);
}

#[test]
fn a_clock_that_is_set_back_brings_nothing_back() {
    let mut world = world();
    let until = now(&world) + SECOND;
    put_until(&mut world, b"key", b"value", until);
    // Some caller's clock is ahead of the shard's.
    world.pins.as_ref().expect("open").hear(until);
    assert!(!is_there(&mut world, b"key"));
    flush(&mut world);
    world.kill();
    world.open().expect("it opens");
    assert!(
        !is_there(&mut world, b"key"),
        "what was let go is on record"
    );
}
