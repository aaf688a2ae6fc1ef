//! Operations as calls of sled.

use ringkeep_bench::target::{Answer, Caller, Change, Failure, changes};
use ringkeep_bench::workload::{Durability, Op, OpKind};
use sled::{Batch, IVec};

use crate::SledTarget;

pub(crate) struct Calls<'a> {
    pub(crate) target: &'a SledTarget,
}

impl Caller for Calls<'_> {
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let database = &self.target.database;
        match op.kind {
            OpKind::Get | OpKind::MultiGet | OpKind::Rmw => {
                for (i, key) in op.each_key().enumerate() {
                    let value = database.get(key).map_err(Failure::new)?;
                    answer.value(i, value.as_deref());
                }
            }
            OpKind::Scan => self.scan(op, answer).map_err(Failure::new)?,
            OpKind::Put | OpKind::Insert | OpKind::Delete | OpKind::Batch => {}
        }
        if op.kind.writes() {
            self.write(op)?;
        }
        Ok(())
    }
}

impl Calls<'_> {
    fn scan(&self, op: &Op<'_>, answer: &mut Answer<'_>) -> sled::Result<()> {
        let database = &self.target.database;
        let entries = op.entries as usize;
        let mut show = |entry: sled::Result<(IVec, IVec)>| {
            let (key, value) = entry?;
            answer.entry(&key, &value);
            Ok(())
        };
        match op.reverse {
            false => database
                .range(op.key()..)
                .take(entries)
                .try_for_each(&mut show),
            true => database
                .range(..=op.key())
                .rev()
                .take(entries)
                .try_for_each(&mut show),
        }
    }

    fn write(&self, op: &Op<'_>) -> Result<(), Failure> {
        match op.durability {
            Durability::Sync => {
                self.target
                    .group
                    .commit(changes(op), op.durability, |changes, _| {
                        self.apply(changes)?;
                        self.target.sync()
                    })
            }
            _ => self.apply(&changes(op)),
        }
    }

    fn apply(&self, changes: &[Change]) -> Result<(), Failure> {
        let mut batch = Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.target
            .database
            .apply_batch(batch)
            .map_err(Failure::new)
    }
}
