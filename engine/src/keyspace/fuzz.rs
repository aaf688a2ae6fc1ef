//! A door to the decoder for `engine/fuzz`. No part of the interface.

use ringkeep_shard::keyspace::KeyspaceId;

use super::format::{Entry, Record};

/// The catalog of keyspaces.
pub fn keyspaces(input: &[u8]) {
    if let Ok(record) = Record::decode(input) {
        assert_eq!(record.encode(), input);
    }
}

/// None, some with and without a time to stay, and a gap where one was dropped.
pub fn keyspaces_seeds() -> Vec<Vec<u8>> {
    let entry = |(number, stay, name): (u32, u64, &str)| Entry {
        id: KeyspaceId(number),
        stay,
        name: name.to_owned(),
    };
    let three = [(1, 0, "orders"), (2, 60_000, "sessions"), (5, 1, "é")];
    let record = Record {
        sequence: 7,
        next: 6,
        entries: three.map(entry).into(),
    };
    vec![Record::default().encode(), record.encode()]
}
