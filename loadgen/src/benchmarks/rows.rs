//! The rows of the comparison: which number of which workload of the suite `peers`, and what it should reach.

use ringkeep_bench::report::Metric;

/// One line of a table.
pub struct Row {
    pub title: &'static str,
    pub workload: &'static str,
    pub metric: Metric,
    pub reach: Reach,
    /// Peers that are shown and not compared with, because they cannot be held to the row's terms.
    pub apart: &'static [&'static str],
}

/// What this engine is asked to reach against the best peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// At least this many times the best peer.
    Times(f64),
    /// At most this share of the best peer.
    Share(f64),
    /// At least this, whatever the peers do.
    AtLeast(f64),
    /// At most this, whatever the peers do.
    AtMost(f64),
    /// Only shown.
    Nothing,
}

/// A table with its heading.
pub struct Section {
    pub heading: &'static str,
    pub rows: &'static [Row],
}

const fn row(title: &'static str, workload: &'static str, metric: Metric, reach: Reach) -> Row {
    Row {
        title,
        workload,
        metric,
        reach,
        apart: &[],
    }
}

/// LMDB maps its file: the whole machine's memory is its cache.
const fn limited(title: &'static str, workload: &'static str, metric: Metric, reach: Reach) -> Row {
    Row {
        title,
        workload,
        metric,
        reach,
        apart: &["lmdb"],
    }
}

use Metric::{
    CpuPerOp, DiskShare, Entries, Quantile, Rate, Reopen, SettledLoad, WriteAmplification,
};
use Reach::{AtLeast, AtMost, Nothing, Share, Times};

pub const SECTIONS: &[Section] = &[
    Section {
        heading: "Cached reads",
        rows: &[
            row(
                "get, 1 thread, uniform",
                "peers/get/theta=0/clients=1",
                Rate(0),
                Times(5.0),
            ),
            row(
                "get, 2 threads, uniform",
                "peers/get/theta=0/clients=2",
                Rate(0),
                Times(5.0),
            ),
            row(
                "get, 1 thread, zipf 0.99",
                "peers/get/theta=0.99/clients=1",
                Rate(0),
                Times(5.0),
            ),
            row(
                "get, 2 threads, zipf 0.99",
                "peers/get/theta=0.99/clients=2",
                Rate(0),
                Times(5.0),
            ),
            row(
                "1000 threads, uniform",
                "peers/readers_1000/theta=0",
                Rate(0),
                Times(4.0),
            ),
            row(
                "1000 threads, uniform, p99.9",
                "peers/readers_1000/theta=0",
                Quantile(0.999),
                Share(1.0),
            ),
            row(
                "1000 threads, zipf 0.99",
                "peers/readers_1000/theta=0.99",
                Rate(0),
                Times(4.0),
            ),
            row(
                "1000 threads, zipf 0.99, p99.9",
                "peers/readers_1000/theta=0.99",
                Quantile(0.999),
                Share(1.0),
            ),
            row(
                "1000 async callers, uniform",
                "peers/readers_1000_async",
                Rate(0),
                Times(4.0),
            ),
            row(
                "1000 threads beside a durable writer: reads",
                "peers/readers_1000_writer",
                Rate(0),
                Times(2.0),
            ),
            row(
                "1000 threads beside a durable writer: writes",
                "peers/readers_1000_writer",
                Rate(1),
                AtLeast(10_000.0),
            ),
            row(
                "1000 readers at 50k/s, p99",
                "peers/readers_1000_paced",
                Quantile(0.99),
                Share(0.5),
            ),
            row(
                "1000 readers at 50k/s, p99.9",
                "peers/readers_1000_paced",
                Quantile(0.999),
                Share(0.2),
            ),
            row(
                "1000 readers at 50k/s, CPU per read",
                "peers/readers_1000_paced",
                CpuPerOp,
                Share(0.2),
            ),
        ],
    },
    Section {
        heading: "Durable writes",
        rows: &[
            row(
                "put, 1 caller",
                "peers/put_sync/clients=1",
                Rate(0),
                Times(1.7),
            ),
            row(
                "put, 1 caller, p50",
                "peers/put_sync/clients=1",
                Quantile(0.5),
                Nothing,
            ),
            row(
                "put, 16 callers",
                "peers/put_sync/clients=16",
                Rate(0),
                Times(3.0),
            ),
            row(
                "put, 128 callers",
                "peers/put_sync/clients=128",
                Rate(0),
                Times(4.0),
            ),
            row(
                "put, 1000 callers",
                "peers/put_sync/clients=1000",
                Rate(0),
                Times(8.0),
            ),
            row(
                "batches of 1000, 1 caller",
                "peers/batch_1000_sync/clients=1",
                Rate(0),
                Times(3.0),
            ),
            row(
                "batches of 1000, 4 callers",
                "peers/batch_1000_sync/clients=4",
                Rate(0),
                Times(3.0),
            ),
        ],
    },
    Section {
        heading: "Data ten times the memory",
        rows: &[
            limited(
                "get, uniform, 2 callers",
                "peers/large_get/theta=0/clients=2",
                Rate(0),
                Times(1.3),
            ),
            limited(
                "get, uniform, 32 callers",
                "peers/large_get/theta=0/clients=32",
                Rate(0),
                Times(1.3),
            ),
            limited(
                "get, uniform, 1000 callers",
                "peers/large_get/theta=0/clients=1000",
                Rate(0),
                Times(1.3),
            ),
            limited(
                "get, uniform, 32 callers, CPU per get",
                "peers/large_get/theta=0/clients=32",
                CpuPerOp,
                AtMost(5000.0),
            ),
            limited(
                "get, zipf 0.99, 2 callers",
                "peers/large_get/theta=0.99/clients=2",
                Rate(0),
                Times(2.0),
            ),
            limited(
                "get, zipf 0.99, 32 callers",
                "peers/large_get/theta=0.99/clients=32",
                Rate(0),
                Times(2.0),
            ),
            limited(
                "get, zipf 0.99, 1000 callers",
                "peers/large_get/theta=0.99/clients=1000",
                Rate(0),
                Times(2.0),
            ),
        ],
    },
    Section {
        heading: "YCSB, writes not waited for",
        rows: &[
            row(
                "A, 2 callers",
                "peers/ycsb_a/clients=2",
                Rate(0),
                Times(2.0),
            ),
            row(
                "A, 32 callers",
                "peers/ycsb_a/clients=32",
                Rate(0),
                Times(2.0),
            ),
            row(
                "B, 2 callers",
                "peers/ycsb_b/clients=2",
                Rate(0),
                Times(2.0),
            ),
            row(
                "B, 32 callers",
                "peers/ycsb_b/clients=32",
                Rate(0),
                Times(2.0),
            ),
            row(
                "C, 2 callers",
                "peers/ycsb_c/clients=2",
                Rate(0),
                Times(2.0),
            ),
            row(
                "C, 32 callers",
                "peers/ycsb_c/clients=32",
                Rate(0),
                Times(2.0),
            ),
            row(
                "D, 2 callers",
                "peers/ycsb_d/clients=2",
                Rate(0),
                Times(2.0),
            ),
            row(
                "D, 32 callers",
                "peers/ycsb_d/clients=32",
                Rate(0),
                Times(2.0),
            ),
            row(
                "E, 2 callers",
                "peers/ycsb_e/clients=2",
                Rate(0),
                Times(1.0),
            ),
            row(
                "E, 32 callers",
                "peers/ycsb_e/clients=32",
                Rate(0),
                Times(1.0),
            ),
            row(
                "F, 2 callers",
                "peers/ycsb_f/clients=2",
                Rate(0),
                Times(2.0),
            ),
            row(
                "F, 32 callers",
                "peers/ycsb_f/clients=32",
                Rate(0),
                Times(2.0),
            ),
        ],
    },
    Section {
        heading: "Scans",
        rows: &[
            row(
                "seek and 100 entries, 1 caller",
                "peers/seek_100/clients=1",
                Rate(0),
                Times(1.0),
            ),
            row(
                "seek and 100 entries, 2 callers",
                "peers/seek_100/clients=2",
                Rate(0),
                Times(1.0),
            ),
            row(
                "seek and 100 entries behind the writes of YCSB, 1 caller",
                "peers/seek_100_rewritten",
                Rate(0),
                Nothing,
            ),
            row(
                "100 000 entries in order, entries",
                "peers/scan_long",
                Entries,
                Times(1.0),
            ),
        ],
    },
    Section {
        heading: "Loads and space",
        rows: &[
            row(
                "random load, then settled",
                "peers/load_random",
                SettledLoad,
                Times(3.0),
            ),
            row(
                "ordered load, then settled",
                "peers/load_ordered",
                SettledLoad,
                Times(1.0),
            ),
            row(
                "disk bytes over user bytes, settled",
                "peers/load_random",
                DiskShare,
                AtMost(1.10),
            ),
            row(
                "bytes written over user bytes",
                "peers/load_random",
                WriteAmplification,
                Share(0.5),
            ),
            row(
                "open after SIGKILL, a million records just written",
                "peers/reopen",
                Reopen,
                Share(1.0),
            ),
            row(
                "open of a settled database",
                "peers/open",
                Reopen,
                AtMost(20e6),
            ),
        ],
    },
];

/// Rows that people ask for and that this page does not have.
pub const ABSENT: &[&str] = &[
    "overwriting without a pause for ten minutes: `loadgen run --suite macro --filter bench/load/sustained_overwrite --duration 10m`",
    "scaling with shards, which needs a machine with the cores",
    "the cost of an idle database",
    "the share of the device's own IOPS reached by gets from data larger than memory",
];
