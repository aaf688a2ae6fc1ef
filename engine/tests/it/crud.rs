use ringkeep::{Durability, Options};

use crate::folder::{Folder, tiny};

#[test]
fn what_was_put_is_there_until_it_is_deleted() {
    let folder = Folder::new();
    for shards in [1, 3] {
        let db = folder.open(tiny(shards));
        assert_eq!(db.get("a").unwrap(), None);
        let first = db.put("a", "1").unwrap();
        let second = db.put("a", "2").unwrap();
        assert!(second > first);
        assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"2"[..]));
        db.put("a", "").unwrap();
        assert_eq!(
            db.get("a").unwrap().as_deref(),
            Some(&b""[..]),
            "an empty value is a value"
        );
        db.delete("a").unwrap();
        assert_eq!(db.get("a").unwrap(), None);
        db.delete("never there").unwrap();
        db.close().unwrap();
        std::fs::remove_dir_all(folder.db()).unwrap();
    }
}

#[test]
fn every_durability_is_read_back_at_once() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let every = [
        Durability::Sync,
        Durability::Periodic(1_000_000),
        Durability::Buffered,
    ];
    for (key, durability) in every.into_iter().enumerate() {
        let key = format!("key {key}");
        db.put_with(&key, "value", durability).unwrap();
        assert!(db.get(&key).unwrap().is_some(), "{durability:?}");
        db.delete_with(&key, durability).unwrap();
        assert_eq!(db.get(&key).unwrap(), None, "{durability:?}");
    }
}

#[test]
fn multi_get_answers_in_the_order_of_its_keys() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    for key in 0..100 {
        db.put_with(
            format!("{key}"),
            format!("value {key}"),
            Durability::Buffered,
        )
        .unwrap();
    }
    let keys: Vec<String> = (0..200)
        .rev()
        .chain([7, 7])
        .map(|key| format!("{key}"))
        .collect();
    let values = db.multi_get(&keys).unwrap();
    for (key, value) in keys.iter().zip(values) {
        let expected =
            (key.parse::<u32>().unwrap() < 100).then(|| format!("value {key}").into_bytes());
        assert_eq!(value, expected, "{key}");
    }
    assert_eq!(
        db.multi_get(Vec::<&str>::new()).unwrap(),
        Vec::<Option<Vec<u8>>>::new()
    );
}

#[test]
fn a_thousand_threads_share_one_handle() {
    let folder = Folder::new();
    let db = folder.open(Options {
        durability: Durability::Buffered,
        ..tiny(2)
    });
    std::thread::scope(|scope| {
        for thread in 0..1000 {
            let db = &db;
            let work = move || {
                for round in 0..5 {
                    let key = format!("{thread}/{round}");
                    db.put(&key, &key).unwrap();
                    assert_eq!(db.get(&key).unwrap().as_deref(), Some(key.as_bytes()));
                }
            };
            std::thread::Builder::new()
                .stack_size(128 << 10)
                .spawn_scoped(scope, work)
                .unwrap();
        }
    });
    assert_eq!(db.scan(..).count(), 5000);
    let stats = db.stats().unwrap();
    assert_eq!((stats.total.writes, stats.total.gets), (5000, 5000));
    assert!(stats.total.groups <= 5000);
    let table = stats.to_string();
    assert!(
        table.contains("user_bytes") && table.contains("host 0"),
        "{table}"
    );
}

#[test]
fn large_values_come_back_whole() {
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    let value: Vec<u8> = (0..3_000_000u32).map(|byte| (byte / 7) as u8).collect();
    db.put("large", &value).unwrap();
    assert!(db.get("large").unwrap().as_deref() == Some(&value[..]));
    db.flush().unwrap();
    assert!(db.get("large").unwrap().as_deref() == Some(&value[..]));
}
