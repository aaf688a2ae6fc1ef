//! Reads of the past: exact within the window, refused below what is kept, over flushes, merges and openings.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use ringkeep::{Batch, Changed, Database, Error, Options, Reason, Retention, Version};

use crate::folder::{Folder, tiny};

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn keeping(shards: u16, retention: Retention) -> Options {
    Options {
        retention,
        ..tiny(shards)
    }
}

/// Writes and removes some keys, in one batch or one by one.
fn change(db: &Database, content: &mut Content, round: u32) -> Version {
    let mut batch = Batch::new();
    for key in (0..60_u32).filter(|key| (key * 7 + round * 5).is_multiple_of(4)) {
        let name = format!("key {key:02}").into_bytes();
        if (key + round).is_multiple_of(3) {
            batch.delete(&name);
            content.remove(&name);
        } else {
            let value = format!("{round}").repeat(30).into_bytes();
            batch.put(&name, &value);
            content.insert(name, value);
        }
    }
    db.write(batch).unwrap()
}

#[test]
fn every_version_of_the_window_is_as_it_was_through_flushes_merges_and_openings() {
    let folder = Folder::new();
    let window = 40;
    let options = || keeping(3, Retention::Versions(window));
    let mut db = folder.open(options());
    let mut content = Content::new();
    let mut history = Vec::new();
    for round in 0..36 {
        history.push((change(&db, &mut content, round), content.clone()));
        match round % 6 {
            1 => db.flush().unwrap(),
            3 => db.compact().unwrap(),
            // With and without a close.
            5 => {
                if round % 12 == 5 {
                    db.close().unwrap();
                }
                drop(db);
                db = folder.open(options());
            }
            _ => {}
        }
        let newest = || db.snapshot().unwrap().version();
        let (before, mut outside) = (newest(), 0);
        for (version, content) in &history {
            match db.as_of(*version) {
                Ok(then) if version.0 + window >= before.0 => {
                    assert_eq!(then.version(), *version);
                    let found: Content = then.scan(..).collect::<Result<_, _>>().unwrap();
                    assert_eq!(found, *content, "round {round}, version {version}");
                }
                Ok(_) => {}
                // The outcomes of parts of a batch take versions as well, a little later than the batch: of each shard one
                // may be on its way, and count before it is seen.
                Err(Error::HistoryGone { oldest, .. }) => {
                    let newest = newest().0 + 3;
                    assert!(oldest > *version && version.0 + window < newest, "{newest}");
                    outside += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(round < 30 || outside > 5, "history goes in the end");
    }
    db.close().unwrap();
}

#[test]
fn what_is_not_kept_is_refused_by_name_also_after_opening() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let old = db.put("k", "old").unwrap();
    let pinned = db.as_of(old).unwrap();
    let mid = db.put("k", "mid").unwrap();
    db.put("k", "new").unwrap();
    db.compact().unwrap();
    // What a snapshot keeps is read through it and its clones; what came and went since is nobody's.
    assert!(matches!(db.as_of(old), Err(Error::HistoryGone { .. })));
    assert!(matches!(db.as_of(mid), Err(Error::HistoryGone { .. })));
    assert_eq!(pinned.clone().get("k").unwrap().unwrap(), b"old");
    drop(pinned);
    db.put("k", "newer").unwrap();
    db.compact().unwrap();
    let gone = |db: &Database| match db.as_of(mid) {
        Err(Error::HistoryGone { asked, oldest }) => {
            assert_eq!(asked, mid);
            assert_eq!(
                db.as_of(oldest).unwrap().get("k").unwrap().unwrap(),
                b"newer"
            );
        }
        other => panic!("{other:?}"),
    };
    gone(&db);
    let newest = db.snapshot().unwrap().version();
    assert_eq!(
        db.as_of(Version(newest.0 + 1)).unwrap_err(),
        Error::NotYet {
            asked: Version(newest.0 + 1),
            newest
        }
    );
    db.close().unwrap();
    // To keep more from now on does not bring back what is gone.
    let db = folder.open(keeping(2, Retention::Versions(1_000_000)));
    gone(&db);
    assert!(matches!(
        db.as_of_time(SystemTime::now()),
        Err(Error::TimeNotKept { .. })
    ));
    db.close().unwrap();
}

/// The time now, and a moment later, so that what is written next is later.
fn moment() -> SystemTime {
    let millis = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_millis()
    };
    let now = SystemTime::now();
    while millis(SystemTime::now()) < millis(now) + 2 {
        std::hint::spin_loop();
    }
    now
}

#[test]
fn a_time_of_the_past_is_what_was_there_then() {
    let folder = Folder::new();
    // Steps of a millisecond. Nothing is merged, so nothing goes.
    let options = || keeping(2, Retention::For(Duration::from_millis(200)));
    let db = folder.open(options());
    let before_all = moment();
    let mut times = Vec::new();
    for round in 0..20 {
        db.put("k", format!("{round}")).unwrap();
        db.put(format!("other {round}"), "x").unwrap();
        times.push((moment(), format!("{round}")));
    }
    let check = |db: &Database| {
        for (time, value) in &times {
            let then = db.as_of_time(*time).unwrap();
            assert_eq!(then.get("k").unwrap().unwrap(), value.as_bytes());
            assert!(then.get(format!("other {value}")).unwrap().is_some());
        }
        let error = db.as_of_time(before_all).unwrap_err();
        assert_eq!(error, Error::TimeNotKept { time: before_all });
        let future = SystemTime::now() + Duration::from_secs(1000);
        assert_eq!(
            db.as_of_time(future).unwrap().get("k").unwrap().unwrap(),
            b"19"
        );
    };
    check(&db);
    drop(db);
    // From the log, and then from the manifest.
    let db = folder.open(options());
    check(&db);
    drop(db);
    let db = folder.open(options());
    check(&db);
    db.close().unwrap();
}

#[test]
fn differences_of_two_versions_are_those_of_their_contents() {
    let folder = Folder::new();
    let db = folder.open(keeping(3, Retention::Versions(1000)));
    let mut content = Content::new();
    let history: Vec<(Version, Content)> = (0..8)
        .map(|round| (change(&db, &mut content, round), content.clone()))
        .collect();
    for (old, before) in &history {
        for (new, after) in &history {
            let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let expected: Vec<Changed> = keys
                .into_iter()
                .filter(|key| before.get(*key) != after.get(*key) && key[..] >= b"key 2"[..])
                .map(|key| Changed {
                    key: key.clone(),
                    before: before.get(key).cloned(),
                    after: after.get(key).cloned(),
                })
                .collect();
            let (old, new) = (db.as_of(*old).unwrap(), db.as_of(*new).unwrap());
            let diff = db.diff(&old, &new, "key 2"..);
            assert_eq!(diff.collect::<Result<Vec<_>, _>>().unwrap(), expected);
        }
    }
    db.close().unwrap();
}

#[test]
fn retention_is_explained_by_who_keeps_what() {
    let folder = Folder::new();
    let db = folder.open(keeping(2, Retention::Versions(5)));
    let fill = || {
        for key in 0..200 {
            db.put(format!("{key}"), [7; 100]).unwrap();
        }
    };
    let kept = db.explain_retention().unwrap();
    assert!(kept.holders.iter().all(|holder| holder.bytes == 0));
    fill();
    let snapshot = db.snapshot().unwrap();
    let again = snapshot.clone();
    fill();
    db.compact().unwrap();
    let kept = db.explain_retention().unwrap();
    let [first, second] = &kept.holders[..] else {
        panic!("{kept}");
    };
    assert_eq!(first.version, snapshot.version());
    assert_eq!(first.reason, Reason::Snapshots(1));
    assert_eq!(second.reason, Reason::Policy);
    assert_eq!(second.version.0 + 5, kept.newest.0);
    // About half of what is there is old.
    let bytes = db.stats().unwrap().total.table_bytes;
    assert!(
        (bytes / 4..bytes * 3 / 4).contains(&first.bytes),
        "{kept}, {bytes} in all"
    );
    assert!(second.bytes < first.bytes / 4, "{kept}");
    drop((snapshot, again));
    let kept = db.explain_retention().unwrap();
    assert_eq!(kept.holders.len(), 1);
    assert!(kept.to_string().contains("the option retention"), "{kept}");
    db.close().unwrap();
}
