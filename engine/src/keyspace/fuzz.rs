//! A door to the decoder for `engine/fuzz`. No part of the interface.

use ringkeep_shard::Retention;
use ringkeep_shard::keyspace::KeyspaceId;

use super::Kept;
use super::format::{Entry, Record};

/// The catalog of keyspaces.
pub fn keyspaces(input: &[u8]) {
    if let Ok(record) = Record::decode(input) {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

/// None, some with and without a time to stay and a window, and a gap where one was dropped.
pub fn keyspaces_seeds() -> Vec<Vec<u8>> {
    let entry = |(number, stay, retention, name): (u32, u64, Option<Retention>, &str)| Entry {
        id: KeyspaceId(number),
        kept: Kept { stay, retention },
        name: name.to_owned(),
    };
    let three = [
        (1, 0, None, "orders"),
        (2, 60_000, Some(Retention::None), "sessions"),
        (5, 1, Some(Retention::Versions(9)), "é"),
    ];
    let record = Record {
        sequence: 7,
        next: 6,
        entries: three.map(entry).into(),
    };
    vec![Record::default().encode(), record.encode()]
}
