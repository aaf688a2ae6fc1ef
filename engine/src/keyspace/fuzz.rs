//! A door to the decoder for `engine/fuzz`. No part of the interface.

use ringkeep_shard::keyspace::KeyspaceId;
use ringkeep_shard::{Codec, Retention};

use super::Kept;
use super::format::{Entry, Record};

/// The catalog of keyspaces.
pub fn keyspaces(input: &[u8]) {
    if let Ok(record) = Record::decode(input) {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

/// None, some with and without a time to stay, a window and a codec, and a gap where one was dropped.
pub fn keyspaces_seeds() -> Vec<Vec<u8>> {
    let entry = |(number, stay, retention, codec, name): (u32, _, _, _, &str)| Entry {
        id: KeyspaceId(number),
        kept: Kept {
            stay,
            retention,
            codec,
        },
        name: name.to_owned(),
    };
    let three = [
        (1, 0, None, None, "orders"),
        (
            2,
            60_000,
            Some(Retention::None),
            Some(Codec::Lz4),
            "sessions",
        ),
        (5, 1, Some(Retention::Versions(9)), Some(Codec::Raw), "é"),
    ];
    let record = Record {
        sequence: 7,
        next: 6,
        entries: three.map(entry).into(),
    };
    vec![Record::default().encode(), record.encode()]
}
