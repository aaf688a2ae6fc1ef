//! When other threads may see a row without asking: with its answer and not before, and never beside a newer value.

use std::sync::Arc;

use ringkeep_io::{Doing, SimulatedOptions};
use ringkeep_shard::{Call, Durability, Moment, Reply, Rows, Version};
use xxhash_rust::xxh3::xxh3_64;

use crate::world::{World, tiny_options};

pub fn shown(rows: &Rows, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    rows.read(xxh3_64(key), key, &mut value).then_some(value)
}

/// A shard with one key whose value is `old`, and what others see of it.
fn world() -> (World, Arc<Rows>) {
    let mut world = World::new(1, tiny_options(), SimulatedOptions::default());
    let token = world.put(b"key", b"old", Durability::Sync);
    world.wait(token);
    let rows = world.shard().rows();
    assert_eq!(shown(&rows, b"key"), None, "nobody has asked for it");
    (world, rows)
}

fn get(at: Option<Version>) -> Call {
    let key = b"key".as_slice().into();
    Call::Get {
        key,
        at: at.map(|version| Moment { millis: 0, version }),
        room: Vec::new(),
    }
}

#[test]
fn a_row_is_shown_with_its_answer_and_not_before() {
    let (mut world, rows) = world();
    world.call(get(None));
    world.shard().turn();
    world.shard().letters();
    assert_eq!(shown(&rows, b"key"), None, "letters come first");
    world.shard().replies();
    assert_eq!(shown(&rows, b"key"), Some(b"old".to_vec()));
}

#[test]
fn a_row_is_hidden_while_a_newer_value_is_on_its_way_and_until_somebody_asks_again() {
    let (mut world, rows) = world();
    world.get(b"key").expect("an answer");
    world.disk.stick_next(Doing::Write);
    let token = world.put(b"key", b"new", Durability::Sync);
    world.turn();
    assert_eq!(shown(&rows, b"key"), None, "the write is in flight");
    assert_eq!(world.get(b"key"), Ok(Some(b"old".to_vec())));
    assert_eq!(
        shown(&rows, b"key"),
        None,
        "at any moment it will not be true any more"
    );
    world.disk.unstick();
    world.wait(token);
    assert_eq!(shown(&rows, b"key"), None);
    world.get(b"key").expect("an answer");
    assert_eq!(shown(&rows, b"key"), Some(b"new".to_vec()));
}

#[test]
fn an_answer_that_waits_to_be_shown_is_forgotten_when_its_key_is_written() {
    let (mut world, rows) = world();
    world.call(get(None));
    world.put(b"key", b"new", Durability::Buffered);
    world.shard().turn();
    world.shard().replies();
    assert_eq!(shown(&rows, b"key"), None);
}

#[test]
fn a_read_of_the_past_shows_nothing() {
    let (mut world, rows) = world();
    let token = world.put(b"key", b"new", Durability::Sync);
    let Reply::Written(written) = world.wait(token) else {
        panic!("it was not written");
    };
    let token = world.call(get(Some(Version(written.version.0 - 1))));
    let Reply::Value(got) = world.wait(token) else {
        panic!("no value");
    };
    assert_eq!((got.found, &got.value[..]), (true, &b"old"[..]));
    assert_eq!(shown(&rows, b"key"), None);
}
