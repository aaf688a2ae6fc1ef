//! How close the engine comes to the device: one shard's calls as a share of what the bare ring gave.

use std::path::Path;

use ringkeep_io::Io;
use ringkeep_scenarios::OnDevice;
use serde::Serialize;

use super::Row;
use super::job::JobKind;
use crate::exit::Fault;

#[derive(Debug, Serialize)]
pub struct Share {
    pub operation: String,
    pub per_s: f64,
    /// Of the job that does the same without the engine.
    pub of_device: f64,
}

/// Measures each for `seconds`.
pub fn shares(io: &Io, path: &Path, rows: &[Row], seconds: f64) -> Result<Vec<Share>, Fault> {
    let folder = path.join("engine");
    std::fs::create_dir(&folder).map_err(Fault::usage)?;
    let shares = measured(io, &folder, rows, seconds);
    std::fs::remove_dir_all(&folder).map_err(Fault::usage)?;
    shares
}

fn measured(io: &Io, folder: &Path, rows: &[Row], seconds: f64) -> Result<Vec<Share>, Fault> {
    // A load that was left out has no share.
    let device = |kind, depth| {
        let same = |row: &&Row| row.job.kind == kind && row.job.depth == depth;
        Some(rows.iter().find(same)?.measured.per_s)
    };
    let mut shares = Vec::new();
    let mut share = |operation: &str, per_s: f64, of: f64| {
        shares.push(Share {
            operation: operation.to_owned(),
            per_s,
            of_device: per_s / of,
        });
    };
    let mut world = OnDevice::new(io, folder).map_err(Fault::usage)?;
    if let Some(writes) = device(JobKind::DurableWrite, 1) {
        let puts = world.durable_puts(1, seconds);
        share("durable put, one at a time", puts, writes);
        let puts = world.durable_puts(100, seconds);
        share("durable put, 100 at once", puts, writes);
    }
    let reads = [1, 32].map(|depth| Some((depth, device(JobKind::Read, depth)?)));
    let mut reads = reads.into_iter().flatten().peekable();
    if reads.peek().is_some() {
        world.load();
    }
    for (depth, reads) in reads {
        let name = format!("get of a cold key, {depth} at once");
        share(&name, world.cold_gets(depth as usize, seconds), reads);
    }
    Ok(shares)
}
