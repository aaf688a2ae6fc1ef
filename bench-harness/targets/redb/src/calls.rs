//! Operations as calls of redb.

use std::sync::atomic::Ordering;

use redb::{Durability, ReadableDatabase};
use ringkeep_bench::target::{Answer, Caller, Change, Failure, changes};
use ringkeep_bench::workload::{Op, OpKind};

use crate::{RedbTarget, TABLE};

/// Commits that are not durable between two that are.
const DURABLE_EVERY: u64 = 1000;

pub(crate) struct Calls<'a> {
    pub(crate) target: &'a RedbTarget,
}

impl Caller for Calls<'_> {
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        if matches!(
            op.kind,
            OpKind::Get | OpKind::MultiGet | OpKind::Scan | OpKind::Rmw
        ) {
            self.read(op, answer).map_err(Failure::new)?;
        }
        if op.kind.writes() {
            self.target
                .group
                .commit(changes(op), op.durability, |changes, sync| {
                    self.commit(changes, sync).map_err(Failure::new)
                })?;
        }
        Ok(())
    }
}

impl Calls<'_> {
    fn read(&self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), redb::Error> {
        let table = self.target.database.begin_read()?.open_table(TABLE)?;
        if op.kind != OpKind::Scan {
            for (i, key) in op.each_key().enumerate() {
                let value = table.get(key)?;
                answer.value(i, value.as_ref().map(|value| value.value()));
            }
            return Ok(());
        }
        let entries = op.entries as usize;
        let mut show = |entry: Result<(redb::AccessGuard<'_, &[u8]>, _), redb::StorageError>| {
            let (key, value): (_, redb::AccessGuard<'_, &[u8]>) = entry?;
            answer.entry(key.value(), value.value());
            Ok(())
        };
        match op.reverse {
            false => table
                .range(op.key()..)?
                .take(entries)
                .try_for_each(&mut show),
            true => table
                .range(..=op.key())?
                .rev()
                .take(entries)
                .try_for_each(&mut show),
        }
    }

    fn commit(&self, changes: &[Change], sync: bool) -> Result<(), redb::Error> {
        let target = self.target;
        let mut txn = target.database.begin_write()?;
        let commits = target.commits.fetch_add(1, Ordering::Relaxed);
        txn.set_durability(match sync || commits % DURABLE_EVERY == DURABLE_EVERY - 1 {
            true => Durability::Immediate,
            false => Durability::None,
        })?;
        {
            let mut table = txn.open_table(TABLE)?;
            for (key, value) in changes {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                    None => table.remove(key.as_slice())?,
                };
            }
        }
        txn.commit()?;
        Ok(())
    }
}
