//! Key to shard: what every call pays before it leaves its caller's thread.
#![cfg(not(loom))]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use routing::Routing;

// Not public: the file itself, as the loom models take the mailbox's.
#[path = "../src/routing.rs"]
#[allow(dead_code, unused_imports, reason = "the bench uses a part")]
mod routing;

fn shard(c: &mut Criterion) {
    let mut group = c.benchmark_group("routing");
    for key_bytes in [8, 24, 256] {
        let (routing, key) = (Routing::even(16), vec![7u8; key_bytes]);
        group.bench_function(BenchmarkId::new("shard_of_key", key_bytes), |b| {
            b.iter(|| routing.shard(black_box(&key)));
        });
    }
    group.finish();
}

criterion_group!(benches, shard);
criterion_main!(benches);
