//! Operations as calls of fjall.

use fjall::PersistMode;
use ringkeep_bench::target::{Answer, Caller, Change, Failure, changes};
use ringkeep_bench::workload::{Durability, Op, OpKind};

use crate::FjallTarget;

pub(crate) struct Calls<'a> {
    target: &'a FjallTarget,
}

impl<'a> Calls<'a> {
    pub(crate) fn new(target: &'a FjallTarget) -> Calls<'a> {
        Calls { target }
    }
}

impl Caller for Calls<'_> {
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let keyspace = &self.target.keyspace;
        match op.kind {
            OpKind::Get | OpKind::Rmw => {
                let value = keyspace.get(op.key()).map_err(Failure::new)?;
                answer.value(0, value.as_deref());
            }
            OpKind::MultiGet => {
                for (i, key) in op.each_key().enumerate() {
                    let value = keyspace.get(key).map_err(Failure::new)?;
                    answer.value(i, value.as_deref());
                }
            }
            OpKind::Scan => self.scan(op, answer)?,
            OpKind::Put | OpKind::Insert | OpKind::Delete | OpKind::Batch => {}
        }
        if op.kind.writes() {
            self.write(op)?;
        }
        Ok(())
    }
}

impl Calls<'_> {
    fn scan(&self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let keyspace = &self.target.keyspace;
        let entries = op.entries as usize;
        let mut show = |guard: fjall::Guard| -> Result<(), Failure> {
            let (key, value) = guard.into_inner().map_err(Failure::new)?;
            answer.entry(&key, &value);
            Ok(())
        };
        match op.reverse {
            false => keyspace
                .range(op.key()..)
                .take(entries)
                .try_for_each(&mut show),
            true => keyspace
                .range(..=op.key())
                .rev()
                .take(entries)
                .try_for_each(&mut show),
        }
    }

    fn write(&self, op: &Op<'_>) -> Result<(), Failure> {
        let target = self.target;
        match (op.durability, op.kind) {
            (Durability::Sync, _) => {
                target
                    .group
                    .commit(changes(op), op.durability, |changes, _| {
                        self.commit(changes.iter(), Some(PersistMode::SyncData))
                    })
            }
            (_, OpKind::Batch) => self.commit(changes(op).iter(), Some(PersistMode::Buffer)),
            (_, OpKind::Delete) => target.keyspace.remove(op.key()).map_err(Failure::new),
            _ => {
                let put = target.keyspace.insert(op.key(), op.value());
                put.map_err(Failure::new)
            }
        }
    }

    fn commit<'c>(
        &self,
        changes: impl ExactSizeIterator<Item = &'c Change>,
        mode: Option<PersistMode>,
    ) -> Result<(), Failure> {
        let target = self.target;
        let mut batch =
            fjall::OwnedWriteBatch::with_capacity(target.database.clone(), changes.len())
                .durability(mode);
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&target.keyspace, key.as_slice(), value.as_slice()),
                None => batch.remove(&target.keyspace, key.as_slice()),
            }
        }
        batch.commit().map_err(Failure::new)
    }
}
