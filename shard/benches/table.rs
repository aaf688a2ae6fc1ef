//! What a table costs a read: its filter, a block that is cached, and a block that has just come from the device.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringkeep_shard::bench::{Disk, Table};

const RECORDS: u64 = 100_000;
const VALUE: [u8; 100] = [7; 100];

/// Every second number is there.
fn table() -> Table {
    let keys: Vec<_> = (0..RECORDS)
        .map(|number| (2 * number).to_be_bytes())
        .collect();
    Disk::default().table(keys.iter().map(|key| (&key[..], &VALUE[..])))
}

fn filter(c: &mut Criterion) {
    let table = table();
    let mut group = c.benchmark_group("filter");
    let mut number = 0;
    for (name, odd) in [("present", 0), ("absent", 1)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                number = (number + 7919) % RECORDS;
                table.may_contain(black_box(&(2 * number + odd).to_be_bytes()))
            });
        });
    }
    group.finish();
}

fn block(c: &mut Criterion) {
    let table = table();
    for number in 0..RECORDS {
        assert_eq!(table.get(&(2 * number).to_be_bytes()), Some(VALUE.len()));
    }
    let mut group = c.benchmark_group("block_read");
    let mut number = 0;
    group.bench_function("cached", |b| {
        b.iter(|| {
            number = (number + 7919) % RECORDS;
            table.get(black_box(&(2 * number).to_be_bytes()))
        });
    });
    group.throughput(Throughput::Bytes(4096));
    group.bench_function("decode", |b| b.iter(|| table.decode()));
    group.finish();
}

criterion_group!(benches, filter, block);
criterion_main!(benches);
