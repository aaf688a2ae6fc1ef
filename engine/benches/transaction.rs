//! What a commit costs on a real file: beside a put and a batch, in one shard and over two.
#![cfg(not(loom))]

use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use ringkeep::{Batch, Database, Direct, Isolation, Options, TransactionOptions};

/// `RINGKEEP_BENCH_FOLDER` names a folder on the device to be measured.
fn folder() -> PathBuf {
    let base = std::env::var_os("RINGKEEP_BENCH_FOLDER");
    let base = base.map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    base.join(format!("bench-transaction-{}", std::process::id()))
}

/// Two keys that are on one shard, or on two.
fn pair(db: &Database, apart: bool) -> [String; 2] {
    let name = |number: u32| format!("key {number}");
    let coordinated = || db.stats().unwrap().total.commits_coordinated;
    for other in 1.. {
        let before = coordinated();
        let mut batch = Batch::new();
        batch.put(name(0), "x").put(name(other), "x");
        db.write(batch).unwrap();
        if (coordinated() > before) == apart {
            return [name(0), name(other)];
        }
    }
    unreachable!("one of the keys is on the other shard")
}

fn commits(criterion: &mut Criterion) {
    let folder = folder();
    let options = Options {
        shards: Some(2),
        direct: Direct::Optional,
        ..Options::default()
    };
    let db = Database::open(&folder, options).unwrap();
    let mut group = criterion.benchmark_group("commit");
    group.bench_function("put", |bencher| {
        bencher.iter(|| db.put("key 0", "value").unwrap());
    });
    for (place, keys) in [
        ("one shard", pair(&db, false)),
        ("two shards", pair(&db, true)),
    ] {
        group.bench_function(format!("batch, {place}"), |bencher| {
            bencher.iter(|| {
                let mut batch = Batch::new();
                for key in &keys {
                    batch.put(key, "value");
                }
                db.write(batch).unwrap()
            });
        });
        for isolation in [Isolation::Snapshot, Isolation::Serializable] {
            let options = TransactionOptions {
                isolation,
                ..TransactionOptions::default()
            };
            group.bench_function(format!("{isolation:?}, {place}"), |bencher| {
                bencher.iter(|| {
                    let mut tx = db.transaction_with(&options).unwrap();
                    let [read, written] = &keys;
                    tx.get(read).unwrap();
                    tx.put(read, "value").unwrap();
                    tx.put(written, "value").unwrap();
                    tx.commit().unwrap()
                });
            });
        }
    }
    group.finish();
    db.close().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

criterion_group!(benches, commits);
criterion_main!(benches);
