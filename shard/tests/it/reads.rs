//! Reads beside writes.

use ringkeep_io::{Doing, SimulatedOptions};
use ringkeep_shard::{Call, Durability, Op, Reply};

use crate::world::{World, tiny_options};

#[test]
fn all_values_of_a_multi_get_are_from_one_instant_also_when_some_must_be_fetched() {
    let mut world = World::new(1, tiny_options(), SimulatedOptions::default());
    let put = |key: &[u8], value: &[u8]| Op::Put {
        key: key.into(),
        value: value.into(),
    };
    let both = |value: &[u8]| vec![put(b"fetched", value), put(b"at hand", value)];
    let token = world.write(both(b"old"), Durability::Sync);
    world.wait(token);
    assert_eq!(world.done(Call::Flush), Ok(()));
    let token = world.put(b"at hand", b"old", Durability::Sync);
    world.wait(token);

    world.disk.stick_next(Doing::Read);
    let keys = [&b"at hand"[..], b"fetched"].map(Box::from).to_vec();
    let asked = world.call(Call::MultiGet { keys, at: None });
    world.run(10);
    let token = world.write(both(b"new"), Durability::Sync);
    world.wait(token);
    assert_eq!(world.done(Call::Flush), Ok(()));
    assert_eq!(world.done(Call::Compact), Ok(()));
    world.disk.unstick();
    let Reply::Values(values) = world.wait(asked) else {
        panic!("no values");
    };
    let old = Some(Box::from(&b"old"[..]));
    assert_eq!(values, [old.clone(), old]);
}

#[test]
fn a_scan_in_pages_of_a_few_entries_shows_everything_wherever_blocks_end() {
    let mut world = World::new(1, tiny_options(), SimulatedOptions::default());
    for number in 0..300u32 {
        world.put(&number.to_be_bytes(), &[7; 100], Durability::Buffered);
    }
    world.done(Call::Compact).expect("compacts");
    for entries in 1..70 {
        world.entries_max = entries;
        let pin = world.pins.as_ref().expect("open").pin();
        for reverse in [false, true] {
            let found = world.scan(&pin, reverse, 1 << 20).expect("a scan");
            assert_eq!(found.len(), 300, "in pages of {entries}");
        }
    }
}

/// The device stood still while 32 callers were answered, and they while it read for all of them, until what a new call wants
/// to read no longer waited behind all reads that had ended.
#[test]
fn a_new_read_is_with_the_device_before_all_that_ended_are_answered() {
    let mut world = World::new(1, tiny_options(), SimulatedOptions::default());
    let key = |number: u32| number.to_be_bytes().to_vec();
    for number in 0..33 {
        let token = world.put(&key(number), &[7; 3000], Durability::Sync);
        world.wait(token);
    }
    assert_eq!(world.done(Call::Compact), Ok(()));
    let get = |number: u32| Call::Get {
        key: key(number),
        at: None,
        room: Vec::new(),
    };

    let asked: Vec<u64> = (0..32).map(|number| world.call(get(number))).collect();
    assert_eq!(world.io.in_flight(), 32, "each is on its way at once");
    while world.io.in_flight() > 0 {
        world.io.park(None);
        world.io.turn();
    }
    world.turn();
    // An answer, or the next block.
    let answered = asked.iter().filter(|token| world.is_answered(**token));
    assert_eq!(
        answered.count() + world.io.in_flight(),
        8,
        "a fourth goes on"
    );
    let before = world.io.in_flight();
    let late = world.call(get(32));
    assert_eq!(world.io.in_flight(), before + 1);
    for token in asked.into_iter().chain([late]) {
        let Reply::Value(got) = world.wait(token) else {
            panic!("no value");
        };
        assert_eq!(got.value, [7; 3000]);
    }
}
