//! Operations as calls of LMDB.

use std::ops::Bound;

use ringkeep_bench::target::{Answer, Caller, Change, Failure, changes};
use ringkeep_bench::workload::{Op, OpKind};

use crate::LmdbTarget;
use crate::open::set_sync;

pub(crate) struct Calls<'a> {
    pub(crate) target: &'a LmdbTarget,
}

impl Caller for Calls<'_> {
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        self.read(op, answer).map_err(Failure::new)?;
        if op.kind.writes() {
            self.target
                .group
                .commit(changes(op), op.durability, |changes, sync| {
                    self.commit(changes, sync)
                })?;
        }
        Ok(())
    }
}

impl Calls<'_> {
    fn read(&self, op: &Op<'_>, answer: &mut Answer<'_>) -> heed::Result<()> {
        let LmdbTarget { env, database, .. } = self.target;
        match op.kind {
            OpKind::Get | OpKind::Rmw => {
                let txn = env.read_txn()?;
                answer.value(0, database.get(&txn, op.key())?);
            }
            OpKind::MultiGet => {
                let txn = env.read_txn()?;
                for (i, key) in op.each_key().enumerate() {
                    answer.value(i, database.get(&txn, key)?);
                }
            }
            OpKind::Scan => {
                let txn = env.read_txn()?;
                let entries = op.entries as usize;
                let key = Bound::Included(op.key());
                if op.reverse {
                    let range = (Bound::Unbounded, key);
                    for entry in database.rev_range(&txn, &range)?.take(entries) {
                        let (key, value) = entry?;
                        answer.entry(key, value);
                    }
                } else {
                    let range = (key, Bound::Unbounded);
                    for entry in database.range(&txn, &range)?.take(entries) {
                        let (key, value) = entry?;
                        answer.entry(key, value);
                    }
                }
            }
            OpKind::Put | OpKind::Insert | OpKind::Delete | OpKind::Batch => {}
        }
        Ok(())
    }

    fn commit(&self, changes: &[Change], sync: bool) -> Result<(), Failure> {
        let LmdbTarget { env, database, .. } = self.target;
        let mut txn = env.write_txn().map_err(Failure::new)?;
        set_sync(env, sync)?;
        for (key, value) in changes {
            match value {
                Some(value) => database.put(&mut txn, key, value).map_err(Failure::new)?,
                None => {
                    database.delete(&mut txn, key).map_err(Failure::new)?;
                }
            }
        }
        txn.commit().map_err(Failure::new)
    }
}
