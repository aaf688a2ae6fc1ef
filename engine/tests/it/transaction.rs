//! Transactions: what they see, what gets in their way, and that nothing of a lost one is left.

use std::time::Duration;

use ringkeep::limits::{BATCH_BYTES_MAX, VALUE_BYTES_MAX};
use ringkeep::{
    Batch, Database, Durability, Error, Isolation, Result, Transaction, TransactionOptions,
};

use crate::folder::{Folder, tiny};

fn serializable() -> TransactionOptions {
    TransactionOptions {
        isolation: Isolation::Serializable,
        ..TransactionOptions::default()
    }
}

fn number(value: Option<Vec<u8>>) -> u64 {
    value.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

fn conflict_at(result: Result<ringkeep::Version>) -> String {
    match result {
        Err(Error::Conflict { key }) => String::from_utf8(key).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// What may happen to the winner's version before the loser looks for it.
const AFTERWARDS: [fn(&Database) -> Result<()>; 3] =
    [|_| Ok(()), Database::flush, Database::compact];

#[test]
fn who_changes_what_has_changed_since_loses_wherever_the_newer_version_is() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    for afterwards in AFTERWARDS {
        for removed in [false, true] {
            // On one shard and on several.
            for keys in [1, 2, 6] {
                let names: Vec<String> = (0..keys).map(|key| format!("key {key}")).collect();
                for name in &names {
                    db.put(name, "before").unwrap();
                }
                let mut lost = db.transaction().unwrap();
                names
                    .iter()
                    .for_each(|name| lost.put(name, "lost").unwrap());
                let last = names.last().unwrap();
                match removed {
                    true => db.delete(last).unwrap(),
                    false => db.put(last, "won").unwrap(),
                };
                afterwards(&db).unwrap();
                assert_eq!(conflict_at(lost.commit()), *last);
                let expected = (!removed).then(|| b"won".to_vec());
                assert_eq!(db.get(last).unwrap(), expected);
                if keys > 1 {
                    assert_eq!(db.get(&names[0]).unwrap().unwrap(), b"before");
                }
                // Nobody holds anything any more.
                let mut again = db.transaction().unwrap();
                names.iter().for_each(|name| again.delete(name).unwrap());
                let version = again.commit().unwrap();
                assert!(names.iter().all(|name| db.get(name).unwrap().is_none()));
                assert!(db.put(last, "later").unwrap() > version);
            }
        }
    }
    assert_eq!(db.stats().unwrap().total.conflicts, 18);
    assert_eq!(db.stats().unwrap().pins, 0);
    db.close().unwrap();
}

/// Two that each read what the other one changes.
fn skew(db: &Database, options: &TransactionOptions, pair: [String; 2]) -> Result<()> {
    let begin = |reads: &String, writes: &String| -> Result<Transaction> {
        let mut one = db.transaction_with(options)?;
        one.get(reads)?;
        one.put(writes, "x")?;
        Ok(one)
    };
    let [a, b] = &pair;
    let (first, second) = (begin(a, b)?, begin(b, a)?);
    first.commit()?;
    second.commit().map(drop)
}

#[test]
fn write_skew_is_for_snapshot_isolation_alone() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    for round in 0..12 {
        let pair = || [format!("left {round}"), format!("right {round}")];
        assert_eq!(skew(&db, &TransactionOptions::default(), pair()), Ok(()));
        let refused = skew(&db, &serializable(), pair()).unwrap_err();
        let key = format!("right {round}").into_bytes();
        assert_eq!(refused, Error::Conflict { key });
    }
    db.close().unwrap();
}

#[test]
fn a_serializable_range_has_no_phantoms_as_far_as_it_was_read() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    for afterwards in AFTERWARDS {
        for key in (10..90).step_by(10) {
            db.put(format!("row {key}"), "x").unwrap();
        }
        // Reads that many rows of the range; then somebody adds one.
        let run_as = |options: &TransactionOptions, rows, reverse, added: u32, limited| {
            let mut sum = db.transaction_with(options).unwrap();
            let scan = sum.scan("row 20".."row 80").unwrap();
            let mut scan = if reverse { scan.reverse() } else { scan };
            if limited {
                // It is asked for one more, and reads nothing for that.
                scan = scan.limit(rows);
                assert!(scan.next().is_some() == (rows > 0));
                (0..rows).for_each(|_| drop(scan.next()));
            } else {
                (0..rows).for_each(|_| drop(scan.next()));
            }
            drop(scan);
            sum.put("sum", "x").unwrap();
            let added = format!("row {added}");
            match db.get(&added).unwrap() {
                Some(_) => db.delete(&added).unwrap(),
                None => db.put(&added, "x").unwrap(),
            };
            afterwards(&db).unwrap();
            let result = sum.commit();
            // Back to what it was.
            match added.ends_with('0') {
                true => db.put(&added, "x").unwrap(),
                false => db.delete(&added).unwrap(),
            };
            result.map(|_| ()).map_err(|error| match error {
                Error::Conflict { key } => String::from_utf8(key).unwrap(),
                other => panic!("{other:?}"),
            })
        };
        let run = |options: &TransactionOptions, rows: usize, reverse: bool, added: u32| {
            let result = run_as(options, rows, reverse, added, false);
            assert_eq!(run_as(options, rows, reverse, added, true), result);
            result
        };
        let all = 100;
        assert_eq!(run(&serializable(), all, false, 45), Err("row 45".into()));
        assert_eq!(run(&serializable(), all, true, 45), Err("row 45".into()));
        assert_eq!(
            run(&serializable(), all, false, 50),
            Err("row 50".into()),
            "removed"
        );
        assert_eq!(run(&serializable(), all, false, 20), Err("row 20".into()));
        for outside in [15, 80, 85] {
            assert_eq!(run(&serializable(), all, false, outside), Ok(()));
        }
        // Three rows are 20, 30 and 40, or 70, 60 and 50.
        assert_eq!(run(&serializable(), 3, false, 35), Err("row 35".into()));
        assert_eq!(run(&serializable(), 3, false, 45), Ok(()));
        assert_eq!(run(&serializable(), 3, true, 45), Ok(()));
        assert_eq!(run(&serializable(), 3, true, 55), Err("row 55".into()));
        assert_eq!(
            run(&serializable(), 0, false, 45),
            Ok(()),
            "nothing was read"
        );
        assert_eq!(run(&TransactionOptions::default(), all, false, 45), Ok(()));
        db.delete("sum").unwrap();
    }
    db.close().unwrap();
}

#[test]
fn a_transaction_sees_its_own_changes_and_nobody_elses() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    for key in ["b", "d", "f"] {
        db.put(key, "old").unwrap();
    }
    for options in [TransactionOptions::default(), serializable()] {
        let mut tx = db.transaction_with(&options).unwrap();
        for key in ["a", "d", "e", "g"] {
            tx.put(key, "mine").unwrap();
        }
        tx.delete("b").unwrap();
        tx.delete("e").unwrap();
        db.put("c", "theirs").unwrap();
        let values = tx.multi_get(["a", "b", "c", "d", "e", "f"]).unwrap();
        let mine = Some(b"mine".to_vec());
        let old = Some(b"old".to_vec());
        assert_eq!(values, [mine.clone(), None, None, mine.clone(), None, old]);
        assert_eq!((tx.get("b").unwrap(), tx.get("d").unwrap()), (None, mine));
        assert!(db.get("a").unwrap().is_none());

        let keys = |scan: ringkeep::TransactionScan<'_>| -> String {
            let keys = scan.map(|entry| String::from_utf8(entry.unwrap().0).unwrap());
            keys.collect()
        };
        assert_eq!(keys(tx.scan(..).unwrap()), "adfg");
        assert_eq!(keys(tx.scan(..).unwrap().reverse()), "gfda");
        assert_eq!(keys(tx.scan("b".."g").unwrap()), "df");
        assert_eq!(keys(tx.scan("g".."b").unwrap()), "");
        for limit in 0..6 {
            let limited = |reverse: bool, tx: &mut Transaction| {
                let scan = tx.scan(..).unwrap();
                let scan = if reverse { scan.reverse() } else { scan };
                keys(scan.limit(limit))
            };
            assert_eq!(limited(false, &mut tx), "adfg"[..limit.min(4)]);
            assert_eq!(limited(true, &mut tx), "gfda"[..limit.min(4)]);
        }
        assert_eq!(keys(tx.scan_prefix("g").unwrap()), "g");
        let mut bare = tx.scan(..).unwrap().keys_only();
        assert!(bare.all(|entry| entry.unwrap().1.is_empty()));
        drop(bare);

        tx.rollback();
        assert_eq!(keys(tx.scan(..).unwrap()), "bdf");
        tx.delete_range("a".."e").unwrap();
        assert_eq!(keys(tx.scan(..).unwrap().limit(1)), "f");
        tx.rollback();
        // What changes nothing conflicts with nothing.
        db.put("d", "old").unwrap();
        let seen = tx.version();
        assert_eq!(tx.commit(), Ok(seen));
        db.delete("c").unwrap();
    }
    assert_eq!(db.stats().unwrap().pins, 0);
    db.close().unwrap();
}

#[test]
fn a_transaction_in_one_shard_is_one_frame_and_no_letter() {
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let options = TransactionOptions {
            isolation,
            durability: Some(Durability::Sync),
            ..TransactionOptions::default()
        };
        let before = db.stats().unwrap().total;
        let mut tx = db.transaction_with(&options).unwrap();
        for key in 0..50_u32 {
            tx.get(key.to_be_bytes()).unwrap();
            tx.put((key + 20).to_be_bytes(), "x").unwrap();
        }
        tx.commit().unwrap();
        let after = db.stats().unwrap().total;
        assert_eq!(after.log_frames - before.log_frames, 1);
        assert_eq!(after.groups - before.groups, 1);
        assert_eq!(after.commits_coordinated, 0);
    }
    db.close().unwrap();
}

#[test]
fn limits_of_size_and_age_are_errors_of_their_own() {
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    let mut large = db.transaction().unwrap();
    let value = vec![0; VALUE_BYTES_MAX];
    large.put("one", &value).unwrap();
    // In its place, not beside it.
    large.put("one", &value).unwrap();
    match large.put("two", &value) {
        Err(Error::TransactionTooLarge {
            bytes, bytes_max, ..
        }) => {
            assert_eq!(bytes_max, BATCH_BYTES_MAX);
            assert_eq!(bytes, 2 * VALUE_BYTES_MAX + 6);
        }
        other => panic!("{other:?}"),
    }
    large.delete("one").unwrap();
    large.put("two", "fits").unwrap();
    assert_eq!(large.put("", "x"), Err(Error::EmptyKey));
    large.commit().unwrap();
    assert_eq!(db.get("two").unwrap().unwrap(), b"fits");

    let options = TransactionOptions {
        age_max: Duration::ZERO,
        ..TransactionOptions::default()
    };
    let mut old = db.transaction_with(&options).unwrap();
    let is_old = |error| matches!(error, Error::TransactionTooOld { max, .. } if max.is_zero());
    assert!(is_old(old.put("k", "v").unwrap_err()));
    assert!(is_old(old.get("k").unwrap_err()));
    assert!(is_old(old.scan(..).unwrap_err()));
    assert!(is_old(old.commit().unwrap_err()));

    let mut late = db.transaction().unwrap();
    late.put("k", "v").unwrap();
    db.close().unwrap();
    assert_eq!(late.commit(), Err(Error::Closed));
    assert!(matches!(db.transaction(), Err(Error::Closed)));
}

#[test]
fn transact_runs_again_until_it_wins_or_has_lost_too_often() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let spoil = |attempts| {
        let options = TransactionOptions {
            attempts,
            ..TransactionOptions::default()
        };
        let mut runs = 0;
        let result = db.transact_with(&options, |tx| {
            runs += 1;
            let count = number(tx.get("count")?) + 1;
            tx.put("count", count.to_be_bytes())?;
            if runs < 4 {
                db.put("count", (10 * count).to_be_bytes())?;
            }
            Ok(count)
        });
        (runs, result)
    };
    assert_eq!(spoil(10), (4, Ok(1111)));
    let (runs, result) = spoil(2);
    assert_eq!((runs, result.unwrap_err().is_conflict()), (2, true));
    // An error of its own is nobody's conflict.
    let mut runs = 0;
    let result: Result<()> = db.transact(|tx| {
        runs += 1;
        tx.put("gone", "x")?;
        tx.put("", "x")
    });
    assert_eq!((runs, result), (1, Err(Error::EmptyKey)));
    assert_eq!(db.get("gone").unwrap(), None);
    db.close().unwrap();
}

const ACCOUNTS: u64 = 5;

fn transfer(tx: &mut Transaction, from: u64, to: u64) -> Result<()> {
    let account = |number: u64| format!("account {}", number % ACCOUNTS);
    let (from, to) = (account(from), account(to));
    let left = number(tx.get(&from)?);
    if left > 0 && from != to {
        let right = number(tx.get(&to)?);
        tx.put(&from, (left - 1).to_be_bytes())?;
        tx.put(&to, (right + 1).to_be_bytes())?;
    }
    Ok(())
}

fn sum(tx: &mut Transaction) -> Result<u64> {
    let entries = tx.scan_prefix("account ")?;
    entries.map(|entry| Ok(number(Some(entry?.1)))).sum()
}

#[test]
fn threads_move_money_and_none_is_made_or_lost() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    let mut batch = Batch::new();
    for account in 0..ACCOUNTS {
        batch.put(format!("account {account}"), 100_u64.to_be_bytes());
    }
    db.write(batch).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let db = db.clone();
            scope.spawn(move || {
                let options = match thread % 2 {
                    0 => TransactionOptions::default(),
                    _ => serializable(),
                };
                for round in 0..30 {
                    let (from, to) = (thread + round * 7, thread * 3 + round * 2);
                    db.transact_with(&options, |tx| transfer(tx, from, to))
                        .unwrap();
                    assert_eq!(db.transact(sum), Ok(500));
                }
            });
        }
    });
    assert_eq!(db.transact(sum), Ok(500));
    assert_eq!(db.stats().unwrap().pins, 0);
    db.close().unwrap();
    let db = folder.open(tiny(3));
    assert_eq!(db.transact(sum), Ok(500));
    db.close().unwrap();
}

#[test]
fn tasks_count_together_on_tokio() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..10 {
            let db = db.clone();
            // Spawned: the futures have to be Send.
            tasks.push(tokio::spawn(async move {
                for _ in 0..5 {
                    let counted = db.transact_async(async |tx: &mut Transaction| {
                        let count = number(tx.get_async("count").await?) + 1;
                        tx.put("count", count.to_be_bytes())
                    });
                    counted.await.unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(number(db.get("count").unwrap()), 50);
    db.close().unwrap();
}
