//! Operations: what can be asked of a target.

use serde::{Deserialize, Serialize};

use super::keys::KeyLaw;
use super::length::LengthLaw;
use crate::quantity::Span;

/// The kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// Read one key.
    Get,
    /// Read several keys at once.
    MultiGet,
    /// Write a key of the key space.
    Put,
    /// Write a key that did not exist.
    Insert,
    /// Remove a key.
    Delete,
    /// Read entries in key order from a key on.
    Scan,
    /// Read a key, then write it back changed.
    Rmw,
    /// Write several keys in one atomic batch.
    Batch,
}

impl OpKind {
    /// All kinds, in report order.
    pub const ALL: [OpKind; 8] = [
        OpKind::Get,
        OpKind::MultiGet,
        OpKind::Put,
        OpKind::Insert,
        OpKind::Delete,
        OpKind::Scan,
        OpKind::Rmw,
        OpKind::Batch,
    ];

    /// The name in suites and reports.
    pub fn name(self) -> &'static str {
        match self {
            OpKind::Get => "get",
            OpKind::MultiGet => "multi_get",
            OpKind::Put => "put",
            OpKind::Insert => "insert",
            OpKind::Delete => "delete",
            OpKind::Scan => "scan",
            OpKind::Rmw => "rmw",
            OpKind::Batch => "batch",
        }
    }

    /// A kind by its name or by what other tools call it.
    pub fn from_name(name: &str) -> Option<OpKind> {
        Some(match name {
            "get" | "read" => OpKind::Get,
            "multi_get" => OpKind::MultiGet,
            "put" | "update" | "write" => OpKind::Put,
            "insert" => OpKind::Insert,
            "delete" => OpKind::Delete,
            "scan" => OpKind::Scan,
            "rmw" => OpKind::Rmw,
            "batch" => OpKind::Batch,
            _ => return None,
        })
    }

    /// Does it change what is stored?
    pub fn writes(self) -> bool {
        matches!(
            self,
            OpKind::Put | OpKind::Insert | OpKind::Delete | OpKind::Rmw | OpKind::Batch
        )
    }
}

/// What an acknowledged write promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "level")]
pub enum Durability {
    /// On stable storage before the answer.
    Sync,
    /// On stable storage at most this much later.
    Periodic {
        /// The interval.
        interval: Span,
    },
    /// Whenever the target gets to it.
    Buffered,
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Durability::Sync => f.write_str("sync"),
            Durability::Periodic { interval } => write!(f, "periodic {interval}"),
            Durability::Buffered => f.write_str("buffered"),
        }
    }
}

/// One line of an operation mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpShape {
    /// What is done.
    pub op: OpKind,
    /// Share of the mix, relative to its siblings.
    pub weight: f64,
    /// Which key.
    pub keys: KeyLaw,
    /// Share of reads that ask for a key that was never written.
    pub miss: f64,
    /// Keys of a multi_get or a batch.
    pub n: u32,
    /// Entries of a scan.
    pub entries: LengthLaw,
    /// Scan towards smaller keys.
    pub reverse: bool,
    /// Overrides the workload's durability.
    pub durability: Option<Durability>,
}

/// One operation, ready to be handed to a target. The bytes are borrowed for the length of the call.
#[derive(Clone, Copy, Debug)]
pub struct Op<'a> {
    /// What to do.
    pub kind: OpKind,
    /// One key, or several of `key_size` bytes end to end.
    pub keys: &'a [u8],
    /// Bytes of each key.
    pub key_size: usize,
    /// One value, or one per key, of `value_size` bytes each, end to end.
    pub values: &'a [u8],
    /// Bytes of each value.
    pub value_size: usize,
    /// Most entries a scan returns.
    pub entries: u32,
    /// Scan towards smaller keys.
    pub reverse: bool,
    /// What the acknowledgement of a write promises.
    pub durability: Durability,
}

impl<'a> Op<'a> {
    /// The first key.
    pub fn key(&self) -> &'a [u8] {
        &self.keys[..self.key_size]
    }

    /// Each key.
    pub fn each_key(&self) -> std::slice::ChunksExact<'a, u8> {
        self.keys.chunks_exact(self.key_size)
    }

    /// The first value.
    pub fn value(&self) -> &'a [u8] {
        &self.values[..self.value_size]
    }

    /// Each key with its value.
    pub fn each_pair(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let size = self.value_size;
        let values = self.values;
        self.each_key()
            .enumerate()
            .map(move |(i, key)| (key, &values[i * size..(i + 1) * size]))
    }
}
