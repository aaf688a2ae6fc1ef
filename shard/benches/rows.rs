//! The record cache: what a reader pays for a hot row, for a key that has none, and the shard for showing one.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ringkeep_shard::Rows;
use xxhash_rust::xxh3::xxh3_64;

const RECORDS: u64 = 10_000;
const VALUE: [u8; 100] = [7; 100];

/// Scattered, and never twice the same: the multiplier is odd.
fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn rows(c: &mut Criterion) {
    let mut group = c.benchmark_group("record_cache");
    let (rows, mut writer) = Rows::new(8 << 20);
    let mut show = |number: u64| {
        let key = key(number % RECORDS);
        writer.show(xxh3_64(&key), &key, &VALUE);
    };
    (0..RECORDS).for_each(&mut show);
    let mut value = Vec::with_capacity(1024);
    let mut read = |number: u64| {
        let key = key(number);
        value.clear();
        rows.read(xxh3_64(black_box(&key)), &key, &mut value)
    };
    let found = (0..RECORDS).filter(|number| read(*number)).count() as u64;
    assert!(found > RECORDS * 9 / 10, "only {found} rows are there");

    let mut number = 0;
    group.bench_function("read_hit", |b| {
        b.iter(|| {
            number = (number + 7919) % RECORDS;
            read(number)
        });
    });
    group.bench_function("read_miss", |b| {
        b.iter(|| {
            number += 1;
            read(RECORDS + number)
        });
    });
    group.bench_function("show", |b| {
        b.iter(|| {
            number += 1;
            show(number);
        });
    });
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
