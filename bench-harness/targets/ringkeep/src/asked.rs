//! Operations as futures that own their bytes.

use ringkeep::{Batch, Database, Durability};
use ringkeep_bench::target::{Failure, Reply};
use ringkeep_bench::workload::{Op, OpKind};

use crate::calls::{batch, scan};
use crate::open::durability;

/// Keys up to this long are kept without an allocation.
const KEY_INLINE: usize = 40;

/// A key that outlives the call which brought it.
pub(crate) enum Key {
    Short([u8; KEY_INLINE], u8),
    Long(Vec<u8>),
}

impl Key {
    fn new(key: &[u8]) -> Key {
        let mut short = [0; KEY_INLINE];
        match short.get_mut(..key.len()) {
            Some(bytes) => {
                bytes.copy_from_slice(key);
                Key::Short(short, key.len() as u8)
            }
            None => Key::Long(key.to_vec()),
        }
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        match self {
            Key::Short(bytes, length) => &bytes[..usize::from(*length)],
            Key::Long(bytes) => bytes,
        }
    }
}

/// An operation that owns its bytes.
pub(crate) enum Asked {
    Get(Key),
    MultiGet(Vec<Vec<u8>>),
    Put(Key, Vec<u8>, Durability),
    Delete(Key, Durability),
    Scan(Key, usize, bool),
    Rmw(Key, Vec<u8>, Durability),
    Batch(Batch, Durability),
}

impl Asked {
    pub(crate) fn new(op: &Op<'_>) -> Asked {
        let durability = durability(op.durability);
        let key = || Key::new(op.key());
        match op.kind {
            OpKind::Get => Asked::Get(key()),
            OpKind::MultiGet => Asked::MultiGet(op.each_key().map(<[u8]>::to_vec).collect()),
            OpKind::Put | OpKind::Insert => Asked::Put(key(), op.value().to_vec(), durability),
            OpKind::Delete => Asked::Delete(key(), durability),
            OpKind::Scan => Asked::Scan(key(), op.entries as usize, op.reverse),
            OpKind::Rmw => Asked::Rmw(key(), op.value().to_vec(), durability),
            OpKind::Batch => Asked::Batch(batch(op), durability),
        }
    }
}

/// Carries out one operation.
pub(crate) async fn carry_out(database: &Database, asked: Asked) -> Result<Reply, Failure> {
    let reply = match asked {
        Asked::Get(key) => database.get_async(key).await.map(Reply::Value),
        Asked::MultiGet(keys) => database.multi_get_async(keys).await.map(Reply::Values),
        Asked::Put(key, value, durability) => {
            let written = database.put_with_async(key, value, durability).await;
            written.map(|_| Reply::Done)
        }
        Asked::Delete(key, durability) => {
            let written = database.delete_with_async(key, durability).await;
            written.map(|_| Reply::Done)
        }
        Asked::Scan(key, entries, reverse) => {
            // A scan's state is large; kept apart, it does not widen the slots of the gets.
            Box::pin(entries_of(database, key, entries, reverse)).await
        }
        Asked::Rmw(key, value, durability) => {
            let old = database.get_async(key.as_ref()).await;
            match old {
                Ok(old) => {
                    let written = database.put_with_async(key, value, durability).await;
                    written.map(|_| Reply::Value(old))
                }
                Err(error) => Err(error),
            }
        }
        Asked::Batch(batch, durability) => {
            let written = database.write_with_async(batch, durability).await;
            written.map(|_| Reply::Done)
        }
    };
    reply.map_err(Failure::new)
}

async fn entries_of(
    database: &Database,
    key: Key,
    entries: usize,
    reverse: bool,
) -> ringkeep::Result<Reply> {
    let mut scan = scan(database, key.as_ref(), reverse).limit(entries);
    let mut found = Vec::new();
    while let Some(entry) = scan.next_async().await {
        found.push(entry?);
    }
    Ok(Reply::Entries(found))
}
