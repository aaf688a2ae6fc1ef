//! Log append: a group of writes encoded, checksummed and sealed into a frame. The device is `perf device`'s.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringkeep_shard::{Op, bench::log_frame};

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("log_append");
    for writes in [1u64, 16, 256] {
        let ops: Vec<Op> = (0..writes)
            .map(|n| Op::Put {
                key: n.to_be_bytes().into(),
                value: vec![n as u8; 100],
            })
            .collect();
        let (mut payload, mut frame) = (Vec::new(), vec![0; 64 << 10]);
        group.throughput(Throughput::Elements(writes));
        group.bench_with_input(BenchmarkId::from_parameter(writes), &ops, |b, ops| {
            b.iter(|| log_frame(ops, &mut payload, &mut frame));
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
