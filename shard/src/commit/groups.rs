//! What is in line becomes groups, and groups become frames of the log and changes of the memtable: as much as log, memory and
//! merges have room for.

use std::rc::Rc;

use ringkeep_io::Nanos;
use ringkeep_io::planted::{Defect, planted};

use super::owed::Formed;
use super::{Ack, Acks, Body, Group, Large, Pending};
use crate::call::{Durability, Op};
use crate::core::Core;
use crate::log::FrameIntent;
use crate::log::format::{GROUP_BYTES, HEADER_BYTES, Record, push_op, push_record};
use crate::token::Token;
use crate::version::Version;
use crate::watch::Phase;

impl<T: Token> Core<T> {
    /// Starts one group, or puts what is owed in the log: if there is something, and room. True when it did.
    pub(super) fn start_frame(&self) -> bool {
        self.lacks_room.set(false);
        let has_flight = self.log.borrow().has_flight_free();
        if self.commits.borrow().large.is_some() {
            return has_flight && self.continue_large_group();
        }
        let now = || match self.closing.get() {
            true => Nanos::MAX,
            false => self.io.now(),
        };
        self.commits.borrow_mut().line_up_outcomes_if_due(now);
        if self.commits.borrow().pending.is_empty() {
            return self.pay_if_due(false);
        }
        if !has_flight && self.commits.borrow().owed.tail.is_none() {
            return false;
        }
        if !self.memory_allows() {
            // A memtable is sealed between frames.
            return self.pay_if_due(self.memory_is_full());
        }
        let payload_max = self.log.borrow().payload_max();
        let group_bytes = payload_max.min(self.compaction.pace.group_bytes());
        let early = self.early_members(group_bytes);
        if early > 0 {
            self.start_group(early, payload_max, true);
            self.finish_groups();
            return true;
        }
        if !has_flight {
            return self.owes_full_frame() && self.pay_if_due(true);
        }
        let (count, bytes) = {
            let commits = self.commits.borrow();
            let mut bytes = 0;
            let fitting = commits.pending.iter().take_while(|write| {
                let is_first = bytes == 0;
                bytes += write.bytes;
                bytes <= group_bytes && (is_first || !write.begins_group)
            });
            let count = fitting.count().max(1);
            let members = commits.pending.iter().take(count);
            (count, members.map(|write| write.bytes).sum::<usize>())
        };
        let bytes = match self.commits.borrow().owed.payload.len() {
            0 => bytes,
            owed => owed + GROUP_BYTES + bytes,
        };
        let has_room = self.log.borrow().has_room(bytes.min(payload_max));
        if (bytes > payload_max || !has_room) && self.pay_if_due(true) {
            return true;
        }
        if !has_room {
            self.lack_room();
            return false;
        }
        self.start_group(count, payload_max, false);
        true
    }

    /// Seals a full memtable. False while writers have to wait for what flushes and merges do.
    fn memory_allows(&self) -> bool {
        let mut memtables = self.memtables.borrow_mut();
        let full = self.options.memtable_bytes;
        let filled = memtables.active().filled(full);
        let is_flushing = memtables.sealed_count() > 0;
        let admitted = self.pay_writers() && self.compaction.pace.admits(filled, full, is_flushing);
        if admitted && filled < full {
            return true;
        }
        if admitted && !is_flushing {
            if !self.commits.borrow().owed.is_empty() {
                return false;
            }
            memtables.seal(self.log.borrow().last_sequence());
            self.compaction.pace.begin_flush(filled as u64);
            self.work.raise();
            return true;
        }
        // On a full disk only removals come this far: the log's room bounds them.
        self.is_full()
    }

    fn memory_is_full(&self) -> bool {
        let (memtables, full) = (self.memtables.borrow(), self.options.memtable_bytes);
        memtables.active().filled(full) >= full
    }

    /// `early`: it is put in the tail, and in the log behind what is owed.
    fn start_group(&self, count: usize, payload_max: usize, early: bool) {
        let version = self.clock.next();
        let millis = self.note_time(version);
        let (mut members, mut payload) = {
            let mut commits = self.commits.borrow_mut();
            commits.close_at = None;
            let mut members = std::mem::take(&mut commits.members);
            members.extend(commits.pending.drain(..count));
            commits.served += count as u64;
            commits.owed.count();
            (members, std::mem::take(&mut commits.owed.payload))
        };
        let from = payload.len();
        if early || from > 0 {
            push_record(&mut payload, &Record::Group { version, millis });
        }
        let (durable, periodic) = self.write_members(&members, &mut payload);
        self.stats.borrow_mut().groups += 1;

        // The device first: it works while the memtable is filled. A group larger than a frame gets
        // its sequence from its last one; its first is the next to be written.
        let first_sequence = self.log.borrow().last_sequence() + 1;
        let formed = Formed {
            version,
            millis,
            periodic,
            from,
        };
        let last_sequence = if early {
            self.owe(payload, &formed, first_sequence)
        } else if payload.len() <= payload_max {
            self.write_group(payload, &formed, durable)
        } else {
            self.commits.borrow_mut().large = Some(Large {
                payload,
                written: 0,
                version,
                millis,
                durable,
            });
            u64::MAX
        };
        let acks = self.apply(&mut members, version, first_sequence, early);
        self.commits.borrow_mut().members = members;
        if planted(Defect::VisibleBeforeAnswered) {
            self.publish(version);
        }
        self.commits.borrow_mut().groups.push_back(Group {
            version,
            last_sequence,
            durable,
            periodic,
            acks,
        });
    }

    /// Returns whether one of them waits for the device, and the shortest interval asked for.
    fn write_members(
        &self,
        members: &[Pending<T>],
        payload: &mut Vec<u8>,
    ) -> (bool, Option<Nanos>) {
        let (mut durable, mut periodic) = (false, None::<Nanos>);
        let dropped = planted(Defect::LastRecordDropped) && members.len() > 1;
        for write in &members[..members.len() - usize::from(dropped)] {
            if let Some(watch) = write.ack.watch() {
                watch.enter(Phase::Flush, self.io.now());
            }
            match &write.body {
                Body::Ops(ops) => ops.iter().for_each(|op| push_op(payload, op)),
                Body::Record(record) => push_record(payload, record),
            }
            match write.durability {
                Durability::Sync => durable = true,
                Durability::Periodic(every) => {
                    periodic = Some(periodic.map_or(every, |least| least.min(every)));
                }
                Durability::Buffered => {}
            }
        }
        (durable, periodic)
    }

    /// Leaves a group to a later frame. Where the tail has it, it is answered without waiting for that.
    fn owe(&self, payload: Vec<u8>, formed: &Formed, next_sequence: u64) -> u64 {
        let owed = &mut self.commits.borrow_mut().owed;
        owed.payload = payload;
        if !owed.take(next_sequence, formed, self.io.now()) {
            return next_sequence;
        }
        self.stats.borrow_mut().early_groups += 1;
        0
    }

    /// Puts a group in the log, with what is owed before it.
    fn write_group(&self, payload: Vec<u8>, formed: &Formed, durable: bool) -> u64 {
        let (version, millis) = self.commits.borrow().owed.head(formed);
        let intent = FrameIntent {
            version,
            millis,
            continues: false,
            closing: false,
            durable,
        };
        let sequence = self.write_frame(&payload, intent);
        let owed = &mut self.commits.borrow_mut().owed;
        owed.payload = payload;
        owed.settle();
        sequence
    }

    /// Puts the group's changes in the memtable, above what anybody may see yet. `early`: that is until the end of this turn.
    fn apply(
        &self,
        members: &mut Vec<Pending<T>>,
        version: Version,
        sequence: u64,
        early: bool,
    ) -> Acks<T> {
        let generation = Rc::clone(self.memtables.borrow().active());
        let mut memtable = generation.table.borrow_mut();
        let mut stats = self.stats.borrow_mut();
        let mut acks = self
            .commits
            .borrow_mut()
            .acks_spare
            .pop()
            .unwrap_or_default();
        acks.reserve(members.len());
        let (mut unlocked, mut brought) = (false, 0);
        for write in members.drain(..) {
            match &write.body {
                Body::Ops(ops) | Body::Record(Record::Decide { ops, .. }) => {
                    match write.ack.leaves_rows(ops) {
                        false => self.hide_rows(ops),
                        true if early => {}
                        true => self.outdate_rows(ops),
                    }
                    memtable.insert(ops.iter().filter_map(Op::change), version);
                    if write.begins_group {
                        drop(stats);
                        self.add_ranges(&generation, ops, version);
                        stats = self.stats.borrow_mut();
                    }
                    let bytes: u64 = ops.iter().map(|op| op.bytes() as u64).sum();
                    stats.user_bytes += bytes;
                    brought += bytes;
                    stats.ops += ops.len() as u64;
                }
                Body::Record(_) => {}
            }
            let mut transactions = self.transactions.borrow_mut();
            match &write.body {
                Body::Record(Record::Prepare { transaction, .. }) => {
                    transactions.prepare_logged(*transaction, sequence);
                }
                Body::Record(Record::Decide {
                    transaction,
                    participants,
                    ..
                }) => transactions.decided(*transaction, version, sequence, participants),
                _ => {}
            }
            if let Ack::Decision(transaction, ..) = &write.ack {
                transactions.unlock(*transaction);
                unlocked = true;
            }
            let ops = match write.body {
                // The caller's memory goes back to the caller.
                Body::Ops(ops) | Body::Record(Record::Decide { ops, .. }) => ops,
                Body::Record(_) => Vec::new(),
            };
            acks.push((write.ack, ops));
        }
        drop((memtable, stats));
        self.return_to_memtable();
        self.compaction.pace.bring(brought);
        if unlocked {
            self.let_others_lock();
        } else if !self.transactions.borrow().locks.is_empty() {
            // Who holds locks may wait for this group to be applied.
            self.published.raise();
        }
        acks
    }

    fn continue_large_group(&self) -> bool {
        let mut commits = self.commits.borrow_mut();
        let Some(mut large) = commits.large.take() else {
            return false;
        };
        let payload_max = self.log.borrow().payload_max();
        let rest = large.payload.len() - large.written;
        let part = rest.min(payload_max);
        if !self.log.borrow().has_room(part) {
            // Begun is begun: it waits for room even on a full disk, unless the shard ends.
            commits.large = Some(large);
            drop(commits);
            self.lack_room();
            return false;
        }
        let last = part == rest;
        let intent = FrameIntent {
            version: large.version,
            millis: large.millis,
            continues: !last,
            closing: false,
            durable: last && large.durable,
        };
        let sequence = self.write_frame(&large.payload[large.written..][..part], intent);
        large.written += part;
        if last {
            let group = commits.groups.back_mut();
            group.expect("a large group is in flight").last_sequence = sequence;
        } else {
            commits.large = Some(large);
        }
        true
    }

    /// What is next has no room in the log. Who makes room was told when the log came so close to its end, and says so when
    /// there is some: to tell it again at each turn would give it, and so the shard, something to do at each turn.
    fn lack_room(&self) {
        self.lacks_room.set(true);
        if planted(Defect::RoomAskedAgain) {
            self.work.raise();
        }
        if self.is_full() {
            self.refuse_pending();
        }
    }

    pub(super) fn write_frame(&self, payload: &[u8], intent: FrameIntent) -> u64 {
        let mut log = self.log.borrow_mut();
        let mut buffer = log.take_buffer();
        buffer[HEADER_BYTES..HEADER_BYTES + payload.len()].copy_from_slice(payload);
        let sequence = log.append(&self.io, buffer, payload.len(), intent);
        if log.wants_slot() {
            self.work.raise();
        }
        sequence
    }
}
