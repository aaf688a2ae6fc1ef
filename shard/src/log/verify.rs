//! The log as the next opening would read it, up to what is durable now.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::log::recovery::Replay;
use crate::manifest::Manifest;
use crate::token::Token;
use crate::verify::{Inspection, KeysAtRisk};

/// The log goes on while it is read, and its files are used again: what looks wrong is looked at once more.
const LOOKS: u32 = 3;

impl<T: Token> Core<T> {
    pub async fn verify_log(&self, inspection: &mut Inspection<'_, T>) -> Result<()> {
        let durable = self.log.borrow().durable();
        for look in 1..=LOOKS {
            // Once all of it is in tables, no opening reads it.
            let manifest = self.manifest.with(Manifest::clone);
            if manifest.replay_after >= durable {
                return Ok(());
            }
            let reached = self.read_log_up_to(durable, &manifest, inspection).await?;
            match reached {
                Ok(()) => return Ok(()),
                Err(error) if look == LOOKS => inspection.damage(error, KeysAtRisk::Any),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// The inner result says what is wrong before frame `durable`.
    async fn read_log_up_to(
        &self,
        durable: u64,
        manifest: &Manifest,
        inspection: &mut Inspection<'_, T>,
    ) -> Result<Result<()>> {
        let opened = Replay::open(&self.io, &self.directory, &self.identity, manifest).await;
        let mut replay = match opened {
            Ok(replay) => replay,
            Err(error) => return Ok(Err(error)),
        };
        let (mut frames, mut bytes) = (0, 0);
        loop {
            let group = replay.next_group().await;
            inspection.found.frames += replay.frames - frames;
            let more = replay.bytes - bytes;
            (frames, bytes) = (replay.frames, replay.bytes);
            inspection.took(more).await?;
            match group {
                // What comes behind may be half written at this very moment.
                _ if replay.reached() >= durable => return Ok(Ok(())),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Err(replay.ends_too_early())),
                Err(error @ Error::Closed) => return Err(error),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}
