//! Keyspaces whose blocks are compressed in a way of their own.

use ringkeep::{Batch, Codec, Database, KeyspaceOptions, Options};

use crate::folder::{Folder, tiny};

const KEYS: u32 = 1000;

fn options(codec: Codec) -> Options {
    let mut options = tiny(2);
    let shard = options.shard.as_mut().unwrap();
    (shard.codec, shard.last_level_codec) = (codec, codec);
    options
}

fn make(db: &Database, name: &str, codec: Option<Codec>) {
    let options = KeyspaceOptions {
        codec,
        ..KeyspaceOptions::default()
    };
    db.create_keyspace(name, options).unwrap();
}

/// Like fields, of which no two are the same.
fn value(key: u32, round: u32) -> String {
    format!("{{\"id\": {key}, \"name\": \"somebody\", \"round\": {round}}}").repeat(6)
}

/// Puts all keys into a keyspace once more; gives what tables have grown by when all is merged.
fn grown(db: &Database, name: &str, round: u32) -> i64 {
    let bytes = || db.stats().unwrap().total.table_bytes as i64;
    let before = bytes();
    let space = db.keyspace(name).unwrap();
    let mut batch = Batch::new();
    for key in 0..KEYS {
        batch.put_in(&space, format!("{key:06}"), value(key, round));
    }
    db.write(batch).unwrap();
    db.compact().unwrap();
    bytes() - before
}

fn is_read(db: &Database, name: &str, round: u32) {
    let space = db.keyspace(name).unwrap();
    let found = space.scan(..).map(|entry| entry.unwrap().1);
    assert!(found.eq((0..KEYS).map(|key| value(key, round).into_bytes())));
    for key in (0..KEYS).step_by(97) {
        let found = space.get(format!("{key:06}")).unwrap();
        assert_eq!(found, Some(value(key, round).into_bytes()));
    }
}

/// What the values of a keyspace come to.
fn written() -> i64 {
    (0..KEYS).map(|key| value(key, 0).len() as i64).sum()
}

const SPACES: [(&str, Option<Codec>); 4] = [
    ("as the database", None),
    ("lz4", Some(Codec::Lz4)),
    ("raw", Some(Codec::Raw)),
    ("zstd", Some(Codec::Zstd)),
];

#[test]
fn each_keyspace_is_compressed_as_it_says_also_after_the_next_opening() {
    for of_database in [Codec::Raw, Codec::Zstd] {
        let folder = Folder::new();
        let db = folder.open(options(of_database));
        let is_small = |codec: Option<Codec>| codec.unwrap_or(of_database) != Codec::Raw;
        for (name, codec) in SPACES {
            make(&db, name, codec);
            let grown = grown(&db, name, 0);
            assert_eq!(grown < written() / 2, is_small(codec), "{name}: {grown}");
            assert_eq!(grown > written(), !is_small(codec), "{name}: {grown}");
        }
        db.close().unwrap();
        let db = folder.open(options(of_database));
        // What the log still had may be written out before the names are read: as the database is, until it is merged.
        db.compact().unwrap();
        for (name, _) in SPACES {
            is_read(&db, name, 0);
            let grown = grown(&db, name, 1);
            assert!(grown.abs() < written() / 8, "{name}: {grown}");
            is_read(&db, name, 1);
        }
        assert!(db.verify(None).unwrap().damages.is_empty());
        db.close().unwrap();
    }
}

#[test]
fn one_that_is_made_again_has_the_codec_that_it_is_made_with() {
    let folder = Folder::new();
    let db = folder.open(options(Codec::Raw));
    // Neighbours on both sides, and keys of the default keyspace.
    for name in ["before", "again", "behind"] {
        make(&db, name, (name == "again").then_some(Codec::Zstd));
        grown(&db, name, 0);
    }
    db.drop_keyspace("again").unwrap();
    db.compact().unwrap();
    make(&db, "again", None);
    assert!(grown(&db, "again", 1) > written());
    db.drop_keyspace("again").unwrap();
    db.compact().unwrap();
    make(&db, "again", Some(Codec::Lz4));
    assert!(grown(&db, "again", 2) < written() / 2);
    for (name, round) in [("before", 0), ("again", 2), ("behind", 0)] {
        is_read(&db, name, round);
    }
    db.close().unwrap();
}
