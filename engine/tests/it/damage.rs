//! Damage to the database file and to what it stands for: refused by name, or repaired from its copies.

use std::path::PathBuf;

use ringkeep::{Database, Error, KeysAtRisk, Options, ShardError, simulation};
use ringkeep_io::{SimulatedDisk, SimulatedOptions};

use crate::folder::{Folder, tiny};

const COPY_BYTES: usize = 36 << 10;

fn made(folder: &Folder) -> PathBuf {
    let db = folder.open(tiny(3));
    db.put("a", "1").unwrap();
    db.close().unwrap();
    folder.db().join("database")
}

fn refused(folder: &Folder) -> Error {
    let error = Database::open(folder.db(), tiny(3)).map(drop).unwrap_err();
    assert!(
        error.to_string().contains("database") || error.to_string().contains("shard"),
        "{error}"
    );
    error
}

#[test]
fn any_one_copy_is_enough_and_the_others_are_repaired() {
    let folder = Folder::new();
    let file = made(&folder);
    let whole = std::fs::read(&file).unwrap();
    for kept in 0..4 {
        let mut bytes = whole.clone();
        for copy in (0..4).filter(|copy| *copy != kept) {
            bytes[copy * COPY_BYTES + 20] ^= 1;
        }
        std::fs::write(&file, bytes).unwrap();
        let db = folder.open(tiny(3));
        assert!(db.get("a").unwrap().is_some(), "copy {kept} is enough");
        db.close().unwrap();
        assert!(
            std::fs::read(&file).unwrap() == whole,
            "the others are back"
        );
    }
}

/// All copies were read at once, so that one bad sector took all four with it.
#[test]
fn a_copy_that_cannot_be_read_does_not_take_the_others_with_it() {
    let disk = SimulatedDisk::new(3, SimulatedOptions::default());
    let options = Options {
        threads: Some(1),
        ..tiny(1)
    };
    let open = || simulation::open(&disk, "/db", &options, [7; 16]);
    let (db, hosts) = open().expect("opens");
    hosts.run(db.put_async("a", "1")).expect("a put");
    hosts.run(db.close_async()).expect("closes");
    drop((db, hosts));
    for unread in 0..4 {
        for copy in (0..4).filter(|copy| *copy != unread) {
            let start = (copy * COPY_BYTES) as u64;
            disk.fail_region("/db/database", start..start + 512);
        }
        let (db, hosts) = open().expect("one copy is enough");
        let got = hosts.run(db.get_async("a")).expect("a get");
        assert_eq!(got.as_deref(), Some(&b"1"[..]));
        hosts.run(db.close_async()).expect("closes");
    }
    // Each opening wrote them anew.
    drop(open().expect("opens"));
    disk.fail_region("/db/database", 0..4 * COPY_BYTES as u64);
    let refused = open().map(drop).unwrap_err();
    assert!(
        matches!(refused, Error::Io { .. }),
        "it may be whole: {refused}"
    );
}

#[test]
fn a_file_damaged_everywhere_is_refused() {
    let folder = Folder::new();
    let file = made(&folder);
    let whole = std::fs::read(&file).unwrap();
    for damage in [
        |bytes: &mut Vec<u8>| (0..4).for_each(|copy| bytes[copy * COPY_BYTES + 40] ^= 4),
        |bytes: &mut Vec<u8>| (0..4).for_each(|copy| bytes[copy * COPY_BYTES + 30_000] ^= 1),
        |bytes: &mut Vec<u8>| bytes.truncate(100),
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| bytes.fill(0),
    ] {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        std::fs::write(&file, &bytes).unwrap();
        let error = refused(&folder);
        assert!(
            matches!(error, Error::Corrupt { .. }) && error.is_corruption(),
            "{error}"
        );
        assert!(
            std::fs::read(&file).unwrap() == bytes,
            "evidence is not touched"
        );
    }
    std::fs::write(&file, whole).unwrap();
    assert!(folder.open(tiny(3)).get("a").unwrap().is_some());
}

#[test]
fn a_file_of_another_version_is_refused_as_such() {
    let folder = Folder::new();
    let file = made(&folder);
    let mut bytes = std::fs::read(&file).unwrap();
    for version in [0u32, 2, 900] {
        for copy in 0..4 {
            bytes[copy * COPY_BYTES + 8..][..4].copy_from_slice(&version.to_le_bytes());
        }
        std::fs::write(&file, &bytes).unwrap();
        let error = refused(&folder);
        assert!(
            matches!(error, Error::Version { found, supported: 1, .. } if found == version),
            "{error}"
        );
    }
}

#[test]
fn a_missing_shard_is_refused_and_not_made_anew() {
    let folder = Folder::new();
    made(&folder);
    let shard = folder.db().join("shard-0001");
    std::fs::rename(&shard, folder.path().join("elsewhere")).unwrap();
    let error = refused(&folder);
    assert!(
        matches!(&error, Error::MissingShard { path, .. } if *path == shard),
        "{error}"
    );
    assert!(!shard.exists());
    std::fs::rename(folder.path().join("elsewhere"), &shard).unwrap();
    assert!(folder.open(tiny(3)).get("a").unwrap().is_some());
}

#[test]
fn a_missing_database_file_is_not_made_anew_over_shards() {
    let folder = Folder::new();
    std::fs::remove_file(made(&folder)).unwrap();
    assert!(matches!(refused(&folder), Error::ForeignDirectory { .. }));
}

#[test]
fn shards_of_another_database_and_exchanged_ones_are_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    made(&folder);
    made(&other);
    let shard = |folder: &Folder, number: u32| folder.db().join(format!("shard-000{number}"));
    let is_foreign = |error: &Error| {
        matches!(
            error,
            Error::Shard {
                error: ShardError::Foreign { .. },
                ..
            }
        )
    };

    let aside = folder.path().join("aside");
    std::fs::rename(shard(&folder, 1), &aside).unwrap();
    std::fs::rename(shard(&other, 1), shard(&folder, 1)).unwrap();
    let error = refused(&folder);
    assert!(is_foreign(&error), "{error}");

    std::fs::remove_dir_all(shard(&folder, 1)).unwrap();
    std::fs::rename(shard(&folder, 2), shard(&folder, 1)).unwrap();
    std::fs::rename(&aside, shard(&folder, 2)).unwrap();
    let error = refused(&folder);
    assert!(is_foreign(&error), "{error}");
}

#[test]
fn a_creation_that_was_cut_short_is_begun_again() {
    let folder = Folder::new();
    // Before the database file has its name.
    std::fs::create_dir(folder.db()).unwrap();
    std::fs::write(folder.db().join("database.new"), [0; 100]).unwrap();
    folder.open(tiny(3)).close().unwrap();
    assert!(!folder.db().join("database.new").exists());
}

#[test]
fn a_verification_names_the_file_and_what_it_holds_while_the_rest_is_read() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    for number in 0..500u32 {
        db.put(number.to_be_bytes(), [7; 100]).unwrap();
    }
    db.flush().unwrap();
    let found = db.verify(None).unwrap();
    assert!(found.damages.is_empty(), "{found}");
    assert!(found.to_string().ends_with("no damage"), "{found}");

    let table = folder.db().join("shard-0000/table-00000001");
    let mut bytes = std::fs::read(&table).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    let found = db.verify(Some(100 << 20)).unwrap();
    let [(shard, damage)] = &found.damages[..] else {
        panic!("{found}");
    };
    assert_eq!((shard.0, damage.file.as_str()), (0, "table-00000001"));
    assert!(matches!(damage.keys, KeysAtRisk::Between { .. }), "{found}");
    assert!(
        found
            .to_string()
            .contains("shard-0000/table-00000001 at byte")
    );
    let unreadable = (0..500u32).filter(|number| db.get(number.to_be_bytes()).is_err());
    assert!(unreadable.count() < 100, "one block is not the table");
    assert!(db.stats().unwrap().total.verified_bytes >= 2 * 50_000);
    db.close().unwrap();
}
