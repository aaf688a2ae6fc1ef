//! A snapshot shows one version, whatever is written, flushed and merged after it.

use std::collections::BTreeMap;

use ringkeep::{Batch, Database, Error};

use crate::folder::{Folder, tiny};

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Writes and removes about half of the keys.
fn change(db: &Database, content: &mut Content, round: u32) {
    let mut batch = Batch::new();
    for key in 0..400_u32 {
        let name = format!("key {key:04}").into_bytes();
        match (key * 7 + round * 13) % 5 {
            0 | 1 => {
                let value = format!("{round}").repeat(20).into_bytes();
                batch.put(&name, &value);
                content.insert(name, value);
            }
            2 => {
                batch.delete(&name);
                content.remove(&name);
            }
            _ => {}
        }
    }
    db.write(batch).unwrap();
}

#[test]
fn snapshots_stay_as_they_were_through_writes_flushes_and_merges() {
    let folder = Folder::new();
    let db = Database::open(folder.db(), tiny(3)).unwrap();
    let mut content = Content::new();
    let mut kept = Vec::new();
    for round in 0..12 {
        change(&db, &mut content, round);
        kept.push((db.snapshot().unwrap(), content.clone()));
        if round % 3 == 0 {
            db.flush().unwrap();
        }
        if round % 5 == 4 {
            db.compact().unwrap();
        }
        // Some go while others stay.
        if round % 4 == 3 {
            kept.remove(1);
        }
        for (snapshot, content) in &kept {
            let seen: Result<Vec<_>, _> = snapshot.scan(..).collect();
            let expected: Vec<_> = content.clone().into_iter().collect();
            assert_eq!(seen.unwrap(), expected);
            let keys = (0..400).step_by(37).map(|key| format!("key {key:04}"));
            let keys: Vec<String> = keys.collect();
            let values = snapshot.multi_get(&keys).unwrap();
            for (key, value) in keys.iter().zip(values) {
                assert_eq!(value.as_ref(), content.get(key.as_bytes()));
                assert_eq!(snapshot.get(key).unwrap(), value);
            }
        }
    }
    assert_eq!(db.stats().unwrap().pins, kept.len());
    let (one, content) = kept.swap_remove(0);
    drop(kept);
    let other = one.clone();
    drop(one);
    db.compact().unwrap();
    assert_eq!(other.scan(..).count(), content.len());
    drop(other);
    assert_eq!(db.stats().unwrap().pins, 0);
}

#[test]
fn a_snapshot_of_a_closed_database_is_refused() {
    let folder = Folder::new();
    let db = Database::open(folder.db(), tiny(1)).unwrap();
    db.put("key", "value").unwrap();
    let snapshot = db.snapshot().unwrap();
    db.close().unwrap();
    assert!(matches!(db.snapshot(), Err(Error::Closed)));
    assert!(matches!(snapshot.get("key"), Err(Error::Closed)));
    assert!(matches!(snapshot.get(""), Err(Error::EmptyKey)));
}
