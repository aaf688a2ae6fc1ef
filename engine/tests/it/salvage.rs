//! What is left of a damaged database, as a new one.

use std::collections::BTreeMap;

use ringkeep::{Batch, Database, Error, Salvage};

use crate::folder::{Folder, tiny};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A database over three shards with a past, closed or dropped; and what it held.
fn made(folder: &Folder, close: bool) -> Map {
    let db = folder.open(tiny(3));
    for number in 0..2000u32 {
        db.put(number.to_be_bytes(), [number as u8; 60]).unwrap();
        if number == 1000 {
            db.flush().unwrap();
        }
    }
    let mut batch = Batch::new();
    for number in 0..50u32 {
        batch.delete(number.to_be_bytes());
        batch.put((5000 + number).to_be_bytes(), "together");
    }
    db.write(batch).unwrap();
    let all = db.scan(..).collect::<Result<Map, _>>().unwrap();
    match close {
        true => db.close().unwrap(),
        false => drop(db),
    }
    all
}

fn salvaged(folder: &Folder) -> (Map, Salvage) {
    let to = folder.db().with_extension("new");
    let mut shown = 0;
    let found = ringkeep::salvage(folder.db(), &to, tiny(3), |so_far| {
        assert!(so_far.keys >= shown);
        shown = so_far.keys;
    });
    let found = found.unwrap();
    assert_eq!(shown, found.keys);
    let db = Database::open(&to, tiny(3)).unwrap();
    let all: Map = db.scan(..).collect::<Result<_, _>>().unwrap();
    db.close().unwrap();
    std::fs::remove_dir_all(&to).unwrap();
    assert_eq!(found.keys, all.len() as u64);
    (all, found)
}

#[test]
fn of_a_whole_database_everything() {
    for close in [true, false] {
        let folder = Folder::new();
        let all = made(&folder, close);
        let (kept, found) = salvaged(&folder);
        assert!(kept == all);
        assert!(found.to_string().ends_with("nothing is missing"), "{found}");
        // And the old one is as it was.
        let db = folder.open(tiny(3));
        assert_eq!(db.scan(..).count(), all.len());
        db.close().unwrap();
    }
}

#[test]
fn what_is_gone_is_told_and_the_rest_is_kept() {
    let folder = Folder::new();
    let all = made(&folder, true);
    let damage = |file: &str, bytes: std::ops::Range<usize>| {
        let path = folder.db().join(file);
        let mut contents = std::fs::read(&path).unwrap();
        contents[bytes].fill(0xee);
        std::fs::write(&path, contents).unwrap();
    };
    damage("database", 0..4 * (36 << 10));
    damage("shard-0000/superblock", 0..40_000);
    // Merges decide which tables there are, and leave some for the next opening to remove, even before their first byte.
    for entry in std::fs::read_dir(folder.db().join("shard-0001")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("table-") && entry.metadata().unwrap().len() > 0 {
            damage(&format!("shard-0001/{name}"), 100..101);
        }
    }
    std::fs::remove_dir_all(folder.db().join("shard-0002")).unwrap();
    let error = Database::open(folder.db(), tiny(3)).map(drop).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");

    let (kept, found) = salvaged(&folder);
    let told = found.to_string();
    assert!(told.contains("the file `database` is lost"), "{told}");
    let damaged = told.lines().find(|line| line.contains("shard-0001/table-"));
    assert!(damaged.unwrap().contains("at byte 0: "), "{told}");
    assert!(told.contains("shard 0002 is lost"), "{told}");
    assert!(kept.len() > all.len() / 2, "{told}");
    assert!(kept.iter().all(|(key, value)| all.get(key) == Some(value)));
}

#[test]
fn an_open_database_and_a_place_that_is_taken_are_refused() {
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    let to = folder.db().with_extension("new");
    let in_use = ringkeep::salvage(folder.db(), &to, tiny(1), |_| ()).unwrap_err();
    assert!(matches!(in_use, Error::InUse { .. }), "{in_use}");
    db.close().unwrap();
    let onto_itself = ringkeep::salvage(folder.db(), folder.db(), tiny(1), |_| ()).unwrap_err();
    assert!(
        matches!(onto_itself, Error::Option { name: "to", .. }),
        "{onto_itself}"
    );
    assert!(!to.exists());
}
