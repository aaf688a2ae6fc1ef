//! Closures on the threads of shards.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use ringkeep::{Batch, Database, Error, Options, Result};

use crate::folder::{self, Folder};

fn open() -> Database {
    let options = Options {
        shards: Some(4),
        threads: Some(2),
        memory_bytes: 8 << 20,
        ..Options::default()
    };
    Database::in_memory(options).unwrap()
}

#[test]
fn a_closure_runs_on_the_thread_of_its_shard_and_may_keep_what_cannot_be_sent() {
    let db = open();
    db.put("a", "1").unwrap();
    let (thread, value) = db
        .on_shard("a", async |shard| {
            let seen = Rc::new(Cell::new(0));
            let value = shard.get_async("a").await?;
            seen.set(seen.get() + 1);
            shard.pause().await;
            let name = std::thread::current().name().map(str::to_owned);
            Ok((name.filter(|_| seen.get() == 1), value))
        })
        .unwrap();
    assert!(thread.unwrap().starts_with("ringkeep-"));
    assert_eq!(value.as_deref(), Some(&b"1"[..]));
}

#[test]
fn it_reaches_every_shard_and_everybody_else_is_served_meanwhile() -> Result<()> {
    let db = open();
    let stop = Arc::new(AtomicBool::new(false));
    let (watched, other) = (Arc::clone(&stop), db.clone());
    let caller = std::thread::spawn(move || {
        other.on_shard("here", async move |shard| {
            let mut rounds = 0u64;
            let mut here = 0;
            while !watched.load(Ordering::Relaxed) {
                let key = (rounds % 100).to_le_bytes();
                here += u64::from(shard.has(key));
                let mut batch = Batch::new();
                batch.put(key, b"x").put(b"rounds", rounds.to_le_bytes());
                shard.write_async(batch).await?;
                assert!(shard.get_async(key).await?.is_some());
                rounds += 1;
            }
            Ok((rounds, here))
        })
    });
    while db.get("rounds")?.is_none_or(|rounds| rounds[0] < 50) {
        db.put("here", "y")?;
    }
    stop.store(true, Ordering::Relaxed);
    let (rounds, here) = caller.join().unwrap()?;
    assert!(
        rounds > 50 && here > 0 && here < rounds,
        "{here} of {rounds}"
    );
    Ok(())
}

#[test]
fn a_panic_and_a_call_that_waits_end_the_closure_and_nothing_else() -> Result<()> {
    let db = open();
    let panicked = db.on_shard("a", async |shard| -> Result<()> {
        shard.put_async("a", "before").await?;
        panic!("on purpose");
    });
    assert!(
        matches!(&panicked, Err(Error::Panicked { reason }) if reason.contains("on purpose")),
        "{panicked:?}"
    );
    let blocked = db.on_shard("a", async |shard| shard.get("absent"));
    assert!(
        matches!(&blocked, Err(Error::Panicked { reason }) if reason.contains("async twin")),
        "{blocked:?}"
    );
    assert_eq!(db.get("a")?.as_deref(), Some(&b"before"[..]));
    let refused = db.on_shard("", async |_| Ok(()));
    assert!(matches!(refused, Err(Error::EmptyKey)), "{refused:?}");
    Ok(())
}

#[test]
fn a_close_ends_closures_by_refusing_their_calls() {
    let db = open();
    let (other, begun) = (db.clone(), Arc::new(AtomicBool::new(false)));
    let begins = Arc::clone(&begun);
    let caller = std::thread::spawn(move || {
        other.on_shard("a", async move |shard| -> Result<()> {
            loop {
                shard.put_async("a", "b").await?;
                begins.store(true, Ordering::Relaxed);
                shard.pause().await;
            }
        })
    });
    while !begun.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    db.close().unwrap();
    let ended = caller.join().unwrap();
    assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
}

#[test]
fn a_closure_that_nobody_waits_for_may_have_the_last_handle() {
    let folder = Folder::new();
    let db = Database::open(folder.db(), folder::tiny(2)).unwrap();
    let (begun, go_on) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (begins, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    {
        let mut unheard = pin!(db.on_shard_async("a", async move |shard| {
            begins.store(true, Ordering::Relaxed);
            while !goes_on.load(Ordering::Relaxed) {
                shard.pause().await;
            }
            shard.put_async("a", "b").await?;
            Ok(())
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(unheard.as_mut().poll(&mut context).is_pending());
        while !begun.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
    drop(db);
    go_on.store(true, Ordering::Relaxed);
    let again = loop {
        match Database::open(folder.db(), folder::tiny(2)) {
            Err(Error::InUse { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(again.get("a").unwrap().as_deref(), Some(&b"b"[..]));
}
