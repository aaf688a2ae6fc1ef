//! Several changes that happen together or not at all.

use std::sync::Arc;
use std::time::SystemTime;

use ringkeep_shard::keyspace::user_key;
use ringkeep_shard::{Op, Pins, ShardId};

use crate::expiry::{put_until, since_1970};
use crate::keyspace::{Space, default_key};
use crate::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::range_delete::{check_ends, dealt_out};
use crate::routing::Routing;
use crate::{Error, Result};

/// Changes to be written together, in order: of two to the same key the later one counts.
///
/// ```
/// # use ringkeep::Batch;
/// let mut batch = Batch::new();
/// batch.put("account:1", "70").put("account:2", "30").delete("transfer:9");
/// assert_eq!(batch.len(), 3);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Of keys as they are stored.
    ops: Vec<Op>,
    bytes: usize,
    /// The keyspaces that it changes, but for the default one.
    spaces: Vec<Arc<Space>>,
}

impl PartialEq for Batch {
    fn eq(&self, other: &Batch) -> bool {
        self.ops == other.ops
    }
}

impl Eq for Batch {}

impl Batch {
    /// No changes.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds: store `value` under `key`.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Batch {
        self.push(put(&default_key(key.as_ref()), value.as_ref()))
    }

    /// Adds: store `value` under `key` until `time`, as [`Database::put_until`](crate::Database::put_until).
    pub fn put_until(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: SystemTime,
    ) -> &mut Batch {
        let until = since_1970(time);
        let stored = default_key(key.as_ref());
        self.push(put_until(&stored, value.as_ref(), until))
    }

    /// Adds: remove `key`.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Batch {
        self.push(delete(&default_key(key.as_ref())))
    }

    /// How many changes.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// No changes.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Back to no changes.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.spaces.clear();
        self.bytes = 0;
    }

    pub(crate) fn push(&mut self, op: Op) -> &mut Batch {
        self.bytes += op.bytes();
        self.ops.push(op);
        self
    }

    /// It changes a keyspace.
    pub(crate) fn touch(&mut self, space: &Arc<Space>) {
        if !self.spaces.iter().any(|known| Arc::ptr_eq(known, space)) {
            self.spaces.push(Arc::clone(space));
        }
    }

    /// Each shard's part, in the order in which the shards first occur.
    pub(crate) fn split(
        self,
        routing: &Routing,
        pins: &Arc<Pins>,
    ) -> Result<Vec<(ShardId, Vec<Op>)>> {
        self.spaces.iter().try_for_each(|space| space.check(pins))?;
        let refuse = |error| Err(error);
        if self.bytes > BATCH_BYTES_MAX {
            return refuse(Error::BatchTooLarge {
                bytes: self.bytes,
                max: BATCH_BYTES_MAX,
            });
        }
        if self.ops.len() > BATCH_OPS_MAX {
            return refuse(Error::BatchTooLong {
                changes: self.ops.len(),
                max: BATCH_OPS_MAX,
            });
        }
        self.ops.iter().try_for_each(check)?;
        Ok(match self.ops.iter().any(|op| op.range().is_some()) {
            false => grouped(routing, self.ops, Op::key),
            true => dealt_out(routing, self.ops),
        })
    }
}

/// Things by the shard that owns their key, in order, by the first occurrence of the shard.
pub(crate) fn grouped<T>(
    routing: &Routing,
    things: Vec<T>,
    key: impl Fn(&T) -> &[u8],
) -> Vec<(ShardId, Vec<T>)> {
    if routing.shards == 1 {
        return match things.is_empty() {
            true => Vec::new(),
            false => vec![(ShardId(0), things)],
        };
    }
    let mut groups: Vec<(ShardId, Vec<T>)> = Vec::new();
    let mut group_of = vec![usize::MAX; usize::from(routing.shards)];
    for thing in things {
        let shard = routing.shard(key(&thing));
        let group = &mut group_of[usize::from(shard.0)];
        if *group == usize::MAX {
            *group = groups.len();
            groups.push((shard, Vec::new()));
        }
        groups[*group].1.push(thing);
    }
    groups
}

pub(crate) fn put(key: &[u8], value: &[u8]) -> Op {
    Op::Put {
        key: key.into(),
        value: value.into(),
    }
}

pub(crate) fn delete(key: &[u8]) -> Op {
    Op::Delete { key: key.into() }
}

/// Refuses stored keys and values over the limits.
pub(crate) fn check(op: &Op) -> Result<()> {
    if let Some((from, to)) = op.range() {
        return check_ends(from, to);
    }
    check_key(user_key(op.key()))?;
    check_value(op.value().unwrap_or_default())
}

pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    match key.len() {
        0 => Err(Error::EmptyKey),
        bytes if bytes > KEY_BYTES_MAX => Err(Error::KeyTooLong {
            bytes,
            max: KEY_BYTES_MAX,
        }),
        _ => Ok(()),
    }
}

pub(crate) fn check_value(value: &[u8]) -> Result<()> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Error::ValueTooLarge {
            bytes: value.len(),
            max: VALUE_BYTES_MAX,
        });
    }
    Ok(())
}
