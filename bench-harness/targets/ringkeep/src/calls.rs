//! Operations as blocking calls.

use ringkeep::{Batch, Database, Scan};
use ringkeep_bench::target::{Answer, Caller, Failure};
use ringkeep_bench::workload::{Op, OpKind};

use crate::open::durability;

pub(crate) struct BlockingCalls<'a> {
    database: &'a Database,
    /// Of the last get, for the next one.
    value: Vec<u8>,
}

impl<'a> BlockingCalls<'a> {
    pub(crate) fn new(database: &'a Database) -> BlockingCalls<'a> {
        BlockingCalls {
            database,
            value: Vec::new(),
        }
    }
}

impl Caller for BlockingCalls<'_> {
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        self.carry_out(op, answer).map_err(Failure::new)
    }
}

impl BlockingCalls<'_> {
    fn carry_out(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> ringkeep::Result<()> {
        let database = self.database;
        let durability = durability(op.durability);
        match op.kind {
            OpKind::Get => {
                let found = database.get_into(op.key(), &mut self.value)?;
                answer.value(0, found.then_some(&self.value[..]));
            }
            OpKind::MultiGet => {
                for (i, value) in database.multi_get(op.each_key())?.iter().enumerate() {
                    answer.value(i, value.as_deref());
                }
            }
            OpKind::Put | OpKind::Insert => {
                database.put_with(op.key(), op.value(), durability)?;
            }
            OpKind::Delete => {
                database.delete_with(op.key(), durability)?;
            }
            OpKind::Scan => {
                let scan = scan(database, op.key(), op.reverse);
                let mut scan = scan.limit(op.entries as usize);
                while let Some(entry) = scan.next_entry() {
                    let (key, value) = entry?;
                    answer.entry(key, value);
                }
            }
            OpKind::Rmw => {
                answer.value(0, database.get(op.key())?.as_deref());
                database.put_with(op.key(), op.value(), durability)?;
            }
            OpKind::Batch => {
                database.write_with(batch(op), durability)?;
            }
        }
        Ok(())
    }
}

/// The entries from `key` on, or from it down.
pub(crate) fn scan(database: &Database, key: &[u8], reverse: bool) -> Scan {
    match reverse {
        false => database.scan(key..),
        true => database.scan(..=key).reverse(),
    }
}

/// All pairs of `op` in one batch.
pub(crate) fn batch(op: &Op<'_>) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in op.each_pair() {
        batch.put(key, value);
    }
    batch
}
