//! Everything on disk compared with its checksums, while the database is in use.

use std::fmt;
use std::future::Future;

use ringkeep_shard::{Call, Damage, KeysAtRisk, Reply, ShardId};

use crate::database::{Database, Inner, wrong};
use crate::shards::Question;
use crate::{Result, desk};

/// What a verification has read, and what is damaged. `Display` tells it to people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verification {
    /// Bytes read and compared.
    pub bytes: u64,
    /// Table files looked at.
    pub tables: u64,
    /// Log frames looked at.
    pub frames: u64,
    /// What is damaged, shard by shard.
    pub damages: Vec<(ShardId, Damage)>,
}

impl Database {
    /// Reads everything that the shards keep on disk and compares it with its checksums, together no faster than
    /// `bytes_per_second`, beside all other calls. Damage is reported, not repaired; data that is not damaged stays
    /// readable. `stats().total.verified_bytes` tells how far it is.
    ///
    /// The file `database` is not read: each opening compares its four copies and repairs them.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-verify-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// let db = ringkeep::Database::open(&folder, options)?;
    /// db.put("hello", "world")?;
    /// let found = db.verify(Some(50 << 20))?;
    /// assert!(found.damages.is_empty(), "{found}");
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn verify(&self, bytes_per_second: Option<u64>) -> Result<Verification> {
        desk::block_on(self.verify_async(bytes_per_second))
    }

    /// [`Database::verify`] as a future.
    pub fn verify_async(
        &self,
        bytes_per_second: Option<u64>,
    ) -> impl Future<Output = Result<Verification>> + Send {
        self.inner().verify(bytes_per_second)
    }
}

impl Inner {
    async fn verify(&self, bytes_per_second: Option<u64>) -> Result<Verification> {
        let shards = &self.shards;
        shards.check_open()?;
        let count = u64::from(shards.routing.shards);
        // 0 is no limit to a shard.
        let bytes_per_second = bytes_per_second.map_or(0, |all| (all / count).max(1));
        let all = shards.routing.shards();
        let questions: Vec<Question> = all
            .map(|shard| shards.question(shard, Call::Verify { bytes_per_second }))
            .collect();
        let mut verification = Verification::default();
        let outcomes = shards.ask_all(questions).await;
        for (shard, outcome) in shards.routing.shards().zip(outcomes) {
            match shards.reply(shard, outcome)? {
                Reply::Verified(found) => {
                    verification.bytes += found.bytes;
                    verification.tables += found.tables;
                    verification.frames += found.frames;
                    let damages = found.damages.into_iter();
                    verification
                        .damages
                        .extend(damages.map(|damage| (shard, damage)));
                }
                reply => wrong(&reply),
            }
        }
        Ok(verification)
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, tables, frames) = (self.bytes, self.tables, self.frames);
        write!(
            f,
            "{bytes} bytes of {tables} tables and {frames} log frames: "
        )?;
        match self.damages.len() {
            0 => f.write_str("no damage")?,
            1 => f.write_str("one damage")?,
            many => write!(f, "{many} damages")?,
        }
        self.damages
            .iter()
            .try_for_each(|(shard, damage)| tell(f, *shard, damage))
    }
}

/// A line of its own for one damage.
pub(crate) fn tell(f: &mut fmt::Formatter<'_>, shard: ShardId, damage: &Damage) -> fmt::Result {
    let Damage {
        file,
        offset,
        detail,
        keys,
    } = damage;
    write!(f, "\nshard-{shard}/{file} at byte {offset}: {detail}; ")?;
    match keys {
        KeysAtRisk::None => f.write_str("no key is at risk"),
        KeysAtRisk::Any => f.write_str("any key of the shard is at risk"),
        KeysAtRisk::Between { after, to } => {
            let (after, to) = (after.escape_ascii(), to.escape_ascii());
            write!(f, "keys above \"{after}\" up to \"{to}\" are at risk")
        }
    }
}
