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
    let device = |kind, depth| {
        let same = |row: &&Row| row.job.kind == kind && row.job.depth == depth;
        let row = rows.iter().find(same);
        row.map(|row| row.measured.per_s)
            .ok_or_else(|| Fault::internal("the device was not measured"))
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
    let writes = device(JobKind::DurableWrite, 1)?;
    share(
        "durable put, one at a time",
        world.durable_puts(1, seconds),
        writes,
    );
    share(
        "durable put, 100 at once",
        world.durable_puts(100, seconds),
        writes,
    );
    world.load();
    for depth in [1, 32] {
        let reads = device(JobKind::Read, depth as u32)?;
        let name = format!("get of a cold key, {depth} at once");
        share(&name, world.cold_gets(depth, seconds), reads);
    }
    Ok(shares)
}
