//! What happens to a record in memory: memtable writes and reads, and the merge of several sorted sources.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringkeep_shard::bench::{Disk, Memtable, Table};

const RECORDS: u64 = 10_000;
const VALUE: [u8; 100] = [7; 100];

/// Scattered, and never twice the same: the multiplier is odd.
fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

/// Filled by commits of so many writes.
fn filled(numbers: impl Iterator<Item = u64>, together: usize) -> Memtable {
    let memtable = Memtable::default();
    let keys: Vec<_> = numbers.map(key).collect();
    for (keys, version) in keys.chunks(together).zip(1..) {
        memtable.insert(keys, version, &VALUE);
    }
    memtable
}

fn memtable(c: &mut Criterion) {
    let mut group = c.benchmark_group("memtable");
    group.throughput(Throughput::Elements(RECORDS));
    for together in [1, 64] {
        group.bench_function(BenchmarkId::new("insert_10k_together", together), |b| {
            b.iter_with_large_drop(|| filled(0..RECORDS, together));
        });
    }
    group.throughput(Throughput::Elements(1));
    let full = filled(0..RECORDS, 64);
    let mut number = 0;
    group.bench_function("get_hit", |b| {
        b.iter(|| {
            number = (number + 7919) % RECORDS;
            full.get(black_box(&key(number))).expect("it is there")
        });
    });
    group.bench_function("get_miss", |b| {
        b.iter(|| {
            number += 1;
            full.get(black_box(&key(RECORDS + number)))
        });
    });
    group.finish();
}

/// Every source has its share of the keys, interleaved with the others'.
fn merging(c: &mut Criterion) {
    let mut group = c.benchmark_group("merge");
    group.throughput(Throughput::Elements(RECORDS));
    for ways in [1, 4, 8] {
        let mut disk = Disk::default();
        let memtables: Vec<Memtable> = (0..ways)
            .map(|way| filled((way..RECORDS).step_by(ways as usize), 64))
            .collect();
        group.bench_function(BenchmarkId::new("memtables", ways), |b| {
            b.iter(|| assert_eq!(disk.merge(&memtables, &[]), RECORDS as usize));
        });
        let tables: Vec<Table> = (0..ways)
            .map(|way| {
                let mut keys: Vec<_> = (way..RECORDS).step_by(ways as usize).map(key).collect();
                keys.sort_unstable();
                disk.table(keys.iter().map(|key| (&key[..], &VALUE[..])))
            })
            .collect();
        group.bench_function(BenchmarkId::new("cached_tables", ways), |b| {
            b.iter(|| assert_eq!(disk.merge(&[], &tables), RECORDS as usize));
        });
    }
    group.finish();
}

criterion_group!(benches, memtable, merging);
criterion_main!(benches);
