//! Whether a database is well, for people and for programs that wake people: what is wrong, what to do about it,
//! and what will be wrong soon.

mod findings;
mod samples;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use ringkeep_shard::ShardId;

use crate::{Database, Result, Stats, desk};

pub(crate) use samples::Samples;

/// How well a database is; the worst of its findings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Condition {
    /// Nothing to do.
    #[default]
    Healthy,
    /// Everything is served, but not as it should be, or not for long.
    Degraded,
    /// Something is refused.
    Unhealthy,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub condition: Condition,
    /// Where, if it is one shard.
    pub shard: Option<ShardId>,
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub advice: &'static str,
}

/// What comes if everything goes on as it did over the time that was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Forecast {
    /// How far back rates were taken from: the time between the first of the last calls of
    /// [`Database::health`] and this one. Nothing is said at the first.
    pub over: Duration,
    /// Until writers are slowed, if merges did nothing from now on; nothing where nobody writes or no merge is due.
    pub until_slowed: Option<Duration>,
    /// Until the disk is full; nothing while tables and log do not grow.
    pub until_full: Option<Duration>,
}

/// The answer of [`Database::health`].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Health {
    /// The worst of the findings.
    pub condition: Condition,
    /// All that is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What comes.
    pub forecast: Forecast,
}

impl Database {
    /// Whether the database is well, why not, and what to do. Costs what [`Database::stats`] costs; called every few
    /// seconds, it also says what is coming.
    ///
    /// ```
    /// # use ringkeep::{Condition, Database, Options};
    /// let db = Database::in_memory(Options::small())?;
    /// let health = db.health()?;
    /// assert_eq!(health.condition, Condition::Healthy, "{health}");
    /// # Ok::<(), ringkeep::Error>(())
    /// ```
    pub fn health(&self) -> Result<Health> {
        desk::block_on(self.health_async())
    }

    /// [`Database::health`] as a future.
    pub async fn health_async(&self) -> Result<Health> {
        let stats = self.stats_async().await?;
        let forecast = self.inner().samples.look(&stats, Instant::now());
        Ok(Health::of(&stats, forecast))
    }
}

impl Health {
    fn of(stats: &Stats, forecast: Forecast) -> Health {
        let findings = findings::of(stats, &forecast);
        Health {
            condition: findings
                .first()
                .map_or(Condition::Healthy, |worst| worst.condition),
            findings,
            forecast,
        }
    }
}

/// Bytes in files that grow with the data.
fn on_disk(stats: &Stats) -> u64 {
    stats.total.table_bytes + stats.total.blob_bytes
}

fn free_bytes(stats: &Stats) -> Option<u64> {
    stats.hosts.iter().filter_map(|host| host.free_bytes).min()
}

/// A time as people say it.
struct People(Duration);

impl fmt::Display for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..=119 => write!(f, "{seconds} s"),
            seconds @ 120..=7199 => write!(f, "{} min", seconds / 60),
            seconds @ 7200..=172_799 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.condition)?;
        for finding in &self.findings {
            let Finding { what, advice, .. } = finding;
            write!(f, "\n{:?}: ", finding.condition)?;
            if let Some(shard) = finding.shard {
                write!(f, "shard {shard}: ")?;
            }
            write!(f, "{what}; {advice}")?;
        }
        let Forecast {
            until_slowed,
            until_full,
            ..
        } = self.forecast;
        for (time, what) in [
            (until_slowed, "writers are slowed"),
            (until_full, "the disk is full"),
        ] {
            if let Some(time) = time {
                write!(f, "\nat this rate {what} in {}", People(time))?;
            }
        }
        Ok(())
    }
}
