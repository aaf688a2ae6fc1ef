use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use ringkeep::{Batch, Database, Durability, Options};

use crate::folder::{Folder, tiny};

fn buffered(shards: u16) -> Options {
    Options {
        durability: Durability::Buffered,
        ..tiny(shards)
    }
}

/// Every async call once.
async fn tour(db: &Database) {
    db.put_async("a", "1").await.unwrap();
    db.put_with_async("b", "2", Durability::Sync).await.unwrap();
    assert_eq!(db.get_async("a").await.unwrap().as_deref(), Some(&b"1"[..]));
    db.delete_async("a").await.unwrap();
    db.delete_with_async("never there", Durability::Periodic(1))
        .await
        .unwrap();
    let mut batch = Batch::new();
    for key in 0..20 {
        batch.put(format!("batch {key:02}"), "3");
    }
    db.write_async(batch.clone()).await.unwrap();
    db.write_with_async(batch, Durability::Sync).await.unwrap();
    db.write_async(Batch::new()).await.unwrap();
    let values = db.multi_get_async(["a", "b", "batch 07"]).await.unwrap();
    assert_eq!(values, [None, Some(b"2".to_vec()), Some(b"3".to_vec())]);
    db.flush_async().await.unwrap();
    db.compact_async().await.unwrap();
    let mut scan = db.scan_prefix("batch ");
    let mut count = 0;
    while let Some(entry) = scan.next_async().await {
        assert_eq!(entry.unwrap().0, format!("batch {count:02}").into_bytes());
        count += 1;
    }
    assert_eq!(count, 20);
    assert_eq!(db.stats_async().await.unwrap().shards.len(), 3);
    assert!(db.get_async("").await.is_err());
    db.close_async().await.unwrap();
    db.close_async().await.unwrap();
    assert!(db.get_async("b").await.is_err());
}

#[test]
fn every_call_on_tokio() {
    let folder = Folder::new();
    let db = folder.open(buffered(3));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    // Spawned: the futures have to be Send.
    runtime
        .block_on(async move { tokio::spawn(async move { tour(&db).await }).await })
        .unwrap();
}

#[test]
fn every_call_on_an_executor_of_thirty_lines() {
    let folder = Folder::new();
    block_on(tour(&folder.open(buffered(3))));
}

#[test]
fn thousands_of_tasks_on_one_thread() {
    let folder = Folder::new();
    let db = folder.open(buffered(2));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..5000u32)
            .map(|task| {
                let db = db.clone();
                tokio::spawn(async move {
                    let key = task.to_string();
                    db.put_async(&key, &key).await.unwrap();
                    assert_eq!(db.get_async(&key).await.unwrap(), Some(key.into_bytes()));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(db.scan(..).count(), 5000);
}

#[test]
fn a_future_that_is_not_polled_does_nothing_and_one_that_is_dropped_harms_nothing() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    drop(db.put_async("never", "1"));
    let mut context = Context::from_waker(Waker::noop());
    // Fewer than fit into a lane: a future that found it full has sent nothing yet.
    for key in 0..100 {
        let mut put = pin!(db.put_async(format!("{key}"), "1"));
        // It may even be done by then; mostly its caller leaves before the answer.
        let _ = put.as_mut().poll(&mut context);
    }
    let mut batch = Batch::new();
    batch.put("a", "1").put("b", "1").put("c", "1");
    let _ = pin!(db.write_async(batch)).as_mut().poll(&mut context);
    let _ = pin!(db.multi_get_async(["a", "b", "c"]))
        .as_mut()
        .poll(&mut context);
    db.close().unwrap();
    let db = folder.open(tiny(2));
    assert_eq!(db.get("never").unwrap(), None);
    assert_eq!(
        db.scan("0".."a").count(),
        100,
        "what was sent runs its course"
    );
}

#[test]
fn futures_move_between_executors() {
    let folder = Folder::new();
    let db = Arc::new(folder.open(tiny(1)));
    let mut put = Box::pin({
        let db = Arc::clone(&db);
        async move { db.put_async("a", "1").await }
    });
    let mut context = Context::from_waker(Waker::noop());
    if put.as_mut().poll(&mut context).is_pending() {
        block_on(put).unwrap();
    }
    assert!(db.get("a").unwrap().is_some());
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub fn block_on<R>(future: impl Future<Output = R>) -> R {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}
