//! Operations as calls of RocksDB.

use ringkeep_bench::target::{Answer, Caller, Failure};
use ringkeep_bench::workload::{Durability, Op, OpKind};
use rocksdb::{DB, Error, ReadOptions, WriteBatch, WriteOptions};

pub(crate) struct Calls<'a> {
    database: &'a DB,
    durable: WriteOptions,
    buffered: WriteOptions,
}

impl<'a> Calls<'a> {
    pub(crate) fn new(database: &'a DB) -> Calls<'a> {
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        Calls {
            database,
            durable,
            buffered: WriteOptions::default(),
        }
    }
}

impl Caller for Calls<'_> {
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        self.carry_out(op, answer).map_err(Failure::new)
    }
}

impl Calls<'_> {
    fn carry_out(&self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Error> {
        let database = self.database;
        let writing = match op.durability {
            Durability::Sync => &self.durable,
            _ => &self.buffered,
        };
        match op.kind {
            OpKind::Get => answer.value(0, database.get_pinned(op.key())?.as_deref()),
            OpKind::MultiGet => {
                for (i, value) in database.multi_get(op.each_key()).into_iter().enumerate() {
                    answer.value(i, value?.as_deref());
                }
            }
            OpKind::Put | OpKind::Insert => database.put_opt(op.key(), op.value(), writing)?,
            OpKind::Delete => database.delete_opt(op.key(), writing)?,
            OpKind::Rmw => {
                answer.value(0, database.get_pinned(op.key())?.as_deref());
                database.put_opt(op.key(), op.value(), writing)?;
            }
            OpKind::Batch => {
                let mut batch = WriteBatch::default();
                for (key, value) in op.each_pair() {
                    batch.put(key, value);
                }
                database.write_opt(batch, writing)?;
            }
            OpKind::Scan => self.scan(op, answer)?,
        }
        Ok(())
    }

    fn scan(&self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Error> {
        let mut cursor = self.database.raw_iterator_opt(ReadOptions::default());
        match op.reverse {
            false => cursor.seek(op.key()),
            true => cursor.seek_for_prev(op.key()),
        }
        for _ in 0..op.entries {
            let Some((key, value)) = cursor.item() else {
                break;
            };
            answer.entry(key, value);
            match op.reverse {
                false => cursor.next(),
                true => cursor.prev(),
            }
        }
        cursor.status()
    }
}
