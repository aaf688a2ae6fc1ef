use ringkeep::{Backend, Database, Error, Options};

use crate::folder::{Folder, child, parents_db, tiny};

#[test]
fn options_that_cannot_work_are_named() {
    let folder = Folder::new();
    let refused = |options: Options| match Database::open(folder.db(), options) {
        Err(Error::Option { name, detail }) => (name, detail),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(Options {
            shards: Some(0),
            ..tiny(1)
        })
        .0,
        "shards"
    );
    assert_eq!(
        refused(Options {
            shards: Some(5000),
            ..tiny(1)
        })
        .0,
        "shards"
    );
    assert_eq!(
        refused(Options {
            threads: Some(0),
            ..tiny(1)
        })
        .0,
        "threads"
    );
    let little = Options {
        memory_bytes: 1 << 20,
        shard: None,
        ..tiny(4)
    };
    let (name, detail) = refused(little);
    assert_eq!(name, "memory_bytes");
    assert!(
        detail.contains("4194304"),
        "it says how much is needed: {detail}"
    );
    // None of this has spoilt the place.
    folder.open(tiny(4)).put("a", "1").unwrap();
}

#[test]
fn every_preset_opens() {
    let folder = Folder::new();
    for options in [
        Options::default(),
        Options::small(),
        Options::for_memory(64 << 20),
    ] {
        let db = folder.open(Options {
            direct: ringkeep::Direct::Optional,
            ..options
        });
        db.put("a", "1").unwrap();
        db.close().unwrap();
        std::fs::remove_dir_all(folder.db()).unwrap();
    }
}

#[test]
fn more_shards_than_threads_and_fewer() {
    let folder = Folder::new();
    for threads in [1, 2, 5, 9] {
        let db = folder.open(Options {
            threads: Some(threads),
            ..tiny(5)
        });
        for key in 0..50 {
            db.put(format!("{key}"), format!("{threads}")).unwrap();
        }
        let stats = db.stats().unwrap();
        assert_eq!(stats.hosts.len(), threads.min(5));
        let mut served: Vec<_> = stats
            .hosts
            .iter()
            .flat_map(|host| host.shards.clone())
            .collect();
        served.sort_unstable();
        assert_eq!(served.len(), 5);
        db.close().unwrap();
    }
}

#[test]
fn a_new_database_has_one_shard_for_each_thread() {
    let folder = Folder::new();
    let unsaid = |threads| Options {
        shards: None,
        threads,
        ..tiny(1)
    };
    let shards = |options: Options| {
        let db = folder.open(options);
        let stats = db.stats().unwrap();
        assert!(stats.hosts.iter().all(|host| host.shards.len() == 1));
        db.close().unwrap();
        stats.shards.len()
    };
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(shards(unsaid(None)), (cores - 1).max(1));
    std::fs::remove_dir_all(folder.db()).unwrap();
    assert_eq!(shards(unsaid(Some(3))), 3);
}

#[test]
fn the_portable_backend_by_option_and_by_environment() {
    let folder = Folder::new();
    let by_option = child(
        "options::child_with_the_portable_backend_by_option",
        &folder,
    )
    .env_remove("RINGKEEP_BACKEND")
    .output()
    .unwrap();
    assert!(
        by_option.status.success(),
        "{}",
        String::from_utf8_lossy(&by_option.stderr)
    );

    let run = |value: &str, test| {
        let output = child(test, &folder)
            .env("RINGKEEP_BACKEND", value)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run("portable", "options::child_on_the_portable_backend");
    run("bogus", "options::child_with_a_backend_that_is_not_known");
}

#[test]
#[ignore = "a child of the test above"]
fn child_with_the_portable_backend_by_option() {
    let options = Options {
        backend: Backend::Portable,
        ..tiny(2)
    };
    let db = Database::open(parents_db(), options).unwrap();
    db.put("a", "1").unwrap();
    assert!(db.stats().unwrap().hosts[0].door.contains("portable"));
}

#[test]
#[ignore = "a child of the test above"]
fn child_on_the_portable_backend() {
    let db = Database::open(parents_db(), tiny(2)).unwrap();
    assert!(db.stats().unwrap().hosts[0].door.contains("portable"));
    assert!(db.get("a").unwrap().is_some());
}

#[test]
#[ignore = "a child of the test above"]
fn child_with_a_backend_that_is_not_known() {
    let error = Database::open(parents_db(), tiny(2)).map(drop).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("RINGKEEP_BACKEND") && text.contains("bogus") && text.contains("portable"),
        "{text}"
    );
}
