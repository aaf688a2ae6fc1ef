//! The scenarios of a database: calls that cross from core to core, with next to nothing for their shards to do.

use ringkeep::simulation;
use ringkeep_shard::{ShardId, ShardOptions};

use crate::clocks::Clocks;
use crate::hosts::{Ask, Hosts, SHARDS};
use crate::scenario::{RECORDS, VALUE_BYTES, key, quiet, value, visit};

/// Asked for often enough to be shown as rows, and few enough to stay it.
const HOT: u64 = 64;

/// What was written is shown as a row while there is room for rows, and its reader needs nobody.
fn without_rows() -> ShardOptions {
    ShardOptions {
        rows_bytes: 0,
        ..quiet()
    }
}

fn put_of(number: u64) -> Ask {
    Ask::Put(key(number), value(number))
}

fn get_of(number: u64) -> Ask {
    Ask::Get(key(number), Vec::with_capacity(VALUE_BYTES))
}

/// The n-th key of each shard.
fn across() -> impl FnMut() -> Vec<Vec<u8>> {
    let place = simulation::placement(SHARDS);
    let mut next = vec![0; usize::from(SHARDS)];
    move || {
        let mut key_of = |shard: u16| {
            let from = &mut next[usize::from(shard)];
            loop {
                let candidate = key(*from);
                *from += 1;
                if place(&candidate) == ShardId(shard) {
                    return candidate;
                }
            }
        };
        (0..SHARDS).map(&mut key_of).collect()
    }
}

fn batch_of(keys: Vec<Vec<u8>>, number: u64) -> Ask {
    let records = keys.into_iter().map(|key| (key, value(number)));
    Ask::Write(records.collect())
}

pub fn put(ops: u64, clocks: Clocks) -> Hosts {
    let mut hosts = Hosts::new(quiet(), clocks);
    hosts.prepare((0..100).map(put_of));
    hosts.measure((100..100 + ops).map(put_of).collect());
    hosts
}

pub fn get(ops: u64, clocks: Clocks) -> Hosts {
    let mut hosts = Hosts::new(without_rows(), clocks);
    hosts.prepare((0..100 + ops).map(put_of));
    hosts.prepare((0..100).map(get_of));
    hosts.measure((100..100 + ops).map(get_of).collect());
    hosts
}

pub fn get_row(ops: u64, clocks: Clocks) -> Hosts {
    let mut hosts = Hosts::new(quiet(), clocks);
    hosts.prepare((0..HOT).map(put_of));
    hosts.prepare((0..8 * HOT).map(|n| get_of(n % HOT)));
    hosts.measure((0..ops).map(|n| get_of(n % HOT)).collect());
    hosts
}

pub fn multi_get_across(ops: u64, clocks: Clocks) -> Hosts {
    let mut hosts = Hosts::new(without_rows(), clocks);
    let mut keys = across();
    let keys: Vec<_> = (0..100 + ops).map(|_| keys()).collect();
    hosts.prepare((0..).zip(&keys).map(|(n, keys)| batch_of(keys.clone(), n)));
    let mut gets: Vec<Ask> = keys.into_iter().map(Ask::MultiGet).collect();
    let counted = gets.split_off(100);
    hosts.prepare(gets);
    hosts.measure(counted);
    hosts
}

/// Blocks and what leads to them are in the cache: each record was scanned before.
pub fn seek_across(ops: u64, clocks: Clocks) -> Hosts {
    let mut hosts = Hosts::new(without_rows(), clocks);
    let batch = |first: u64| {
        let records = (first..first + 100).map(|n| (key(n), value(n)));
        Ask::Write(records.collect())
    };
    hosts.prepare((0..RECORDS).step_by(100).map(batch));
    hosts.prepare([Ask::Compact]);
    hosts.prepare([Ask::Scan(Vec::new(), RECORDS as usize)]);
    let seek = |n| Ask::Scan(key(visit(n, RECORDS)), 100);
    hosts.measure((0..ops).map(seek).collect());
    hosts
}

pub fn batch_across(ops: u64, clocks: Clocks) -> Hosts {
    let mut hosts = Hosts::new(quiet(), clocks);
    let mut keys = across();
    let mut batches = (0..100 + ops).map(|n| batch_of(keys(), n));
    hosts.prepare(batches.by_ref().take(100));
    let counted = batches.collect();
    hosts.measure(counted);
    hosts
}
