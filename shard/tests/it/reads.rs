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
