//! What shards say to each other to commit a batch or transaction on all of them or on none.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::shard::TransactionId;
use crate::transaction::Part;
use crate::version::{Pin, ShardId, Version};

/// A message from shard to shard. Letters between two shards must arrive in the order sent, and a
/// letter must arrive before any call that was made after its sender answered a caller.
pub struct Letter(pub(crate) Content);

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, transaction) = match &self.0 {
            Content::Prepare(prepare) => ("prepare", &prepare.transaction),
            Content::Vote { transaction, .. } => ("vote", transaction),
            Content::Outcome { transaction, .. } => ("outcome", transaction),
            Content::Settled { transaction, .. } => ("settled", transaction),
        };
        write!(f, "{what} of transaction {}", transaction.0)
    }
}

#[derive(Debug)]
pub(crate) enum Content {
    /// Coordinator to participant: make this part durable, and promise to apply it if told so.
    Prepare(Prepare),
    /// Participant to coordinator.
    Vote {
        transaction: TransactionId,
        from: ShardId,
        verdict: Verdict,
    },
    /// Coordinator to participant: how it ended.
    Outcome {
        transaction: TransactionId,
        coordinator: ShardId,
        outcome: Outcome,
    },
    /// Participant to coordinator: the outcome is durable here, the decision need not be kept for me.
    Settled {
        transaction: TransactionId,
        from: ShardId,
    },
}

#[derive(Debug)]
pub(crate) struct Prepare {
    pub transaction: TransactionId,
    pub coordinator: ShardId,
    pub part: Part,
    /// What the part depends on must be as it was then; a batch depends on nothing.
    pub snapshot: Option<Arc<Pin>>,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    Prepared,
    /// An older batch holds one of the keys: let go of everything and try again.
    Conflict,
    Refused(Error),
}

#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Committed(Version),
    Aborted,
    /// The coordinator's log failed while it wrote the decision. Only its recovery can tell.
    Lost(String),
}
