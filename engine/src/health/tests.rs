use super::*;
use crate::host::HostReport;
use crate::{Latency, Operation, Percentiles};
use ringkeep_shard::{ROOM_UNLIMITED, ShardStats};

fn look(samples: &Samples, stats: &Stats, at: Instant) -> Health {
    Health::of(stats, samples.look(stats, at))
}

const SECOND: Duration = Duration::from_secs(1);

fn stats(user_bytes: u64, table_bytes: u64, room_bytes: u64, free_bytes: u64) -> Stats {
    let mut stats = Stats::default();
    stats.add(
        ShardId(0),
        ShardStats {
            user_bytes,
            table_bytes,
            room_bytes,
            ..ShardStats::default()
        },
    );
    stats.hosts.push(HostReport {
        free_bytes: Some(free_bytes),
        ..HostReport::default()
    });
    stats
}

#[test]
fn the_first_look_forecasts_nothing_and_later_ones_what_the_rates_say() {
    let (samples, start) = (Samples::default(), Instant::now());
    let first = look(&samples, &stats(0, 1000, ROOM_UNLIMITED, 1 << 30), start);
    assert_eq!(first, Health::default());
    let later = look(
        &samples,
        &stats(50_000, 11_000, 90_000, 1 << 30),
        start + 10 * SECOND,
    );
    assert_eq!(
        later.forecast,
        Forecast {
            over: 10 * SECOND,
            until_slowed: Some(18 * SECOND),
            until_full: Duration::try_from_secs_f64((1 << 30) as f64 / 1000.0).ok(),
        }
    );
    assert!(later.findings.is_empty(), "twelve days are enough: {later}");
    let idle = look(
        &samples,
        &stats(0, 1000, 90_000, 1 << 30),
        start + 20 * SECOND,
    );
    assert_eq!(
        (idle.forecast.until_slowed, idle.forecast.until_full),
        (None, None)
    );
}

#[test]
fn a_disk_that_fills_up_is_said_before_and_when_it_is_full() {
    let (samples, start) = (Samples::default(), Instant::now());
    look(&samples, &stats(0, 1000, ROOM_UNLIMITED, 1 << 30), start);
    let soon = look(
        &samples,
        &stats(0, 100_000_000, ROOM_UNLIMITED, 1 << 20),
        start + SECOND,
    );
    let whats: Vec<_> = soon.findings.iter().map(|finding| &*finding.what).collect();
    assert_eq!(
        whats,
        [
            "1048576 bytes are free, beside 100000000 in tables",
            "the disk will be full in 0 s"
        ]
    );
    assert_eq!(soon.condition, Condition::Degraded);
    let mut full = stats(0, 100_000_000, ROOM_UNLIMITED, 0);
    full.shards[0].1.shards_full = 1;
    full.total.shards_full = 1;
    let now = look(&samples, &full, start + 2 * SECOND);
    assert_eq!(now.condition, Condition::Unhealthy);
    assert_eq!(
        now.to_string().lines().nth(1),
        Some(
            "Unhealthy: shard 0000: the disk is full (0 bytes free): writes are refused; \
              free some space; writes go on by themselves"
        )
    );
}

#[test]
fn a_shard_that_failed_comes_first() {
    let mut ill = stats(0, 0, 0, 1 << 30);
    ill.shards[0].1.shards_slowed = 1;
    ill.hosts[0]
        .failures
        .push((ShardId(0), "a log write failed".to_owned()));
    let health = look(&Samples::default(), &ill, Instant::now());
    let conditions: Vec<_> = health
        .findings
        .iter()
        .map(|finding| finding.condition)
        .collect();
    assert_eq!(conditions, [Condition::Unhealthy, Condition::Degraded]);
    assert!(health.findings[0].what.contains("a log write failed"));
}

#[test]
fn a_slow_shard_is_found_by_its_percentiles() {
    let mut slow = stats(0, 0, ROOM_UNLIMITED, 1 << 30);
    let took = |operation, calls, millis| Latency {
        shard: Some(ShardId(0)),
        operation,
        last_10s: Percentiles {
            calls,
            p99: Duration::from_millis(millis),
            ..Percentiles::default()
        },
        last_60s: Percentiles::default(),
    };
    slow.latencies = vec![
        took(Operation::Get, 1000, 99),
        took(Operation::Put, 1000, 250),
        took(Operation::Delete, 99, 250),
        took(Operation::Batch, 1000, 250),
    ];
    let health = look(&Samples::default(), &slow, Instant::now());
    assert_eq!(health.condition, Condition::Degraded);
    let whats: Vec<_> = health.findings.iter().map(|one| &*one.what).collect();
    assert_eq!(whats, ["one put in a hundred takes 250.0 ms or longer"]);
}
