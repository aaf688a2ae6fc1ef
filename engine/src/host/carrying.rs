//! Mail in, answers and letters out.

use std::cell::OnceCell;

use ringkeep_shard::{Call, Durability, Letter, Phase, Reply, ShardId, Transact};

use super::commits::Asker;
use super::post::{Answer, HostReport, Outcome, Post, Reported};
use super::{Host, Stopping, host_of};
use crate::latency::Issued;
use crate::mailbox::Refused;

/// Where a letter is now.
enum Posted {
    Here,
    Away,
    /// Its lane is full.
    Back(Box<Letter>),
}

impl Host {
    pub(super) fn receive(&mut self, post: Post) {
        match post {
            Post::Ask {
                shard,
                call,
                issued,
                answer,
            } => self.accept(shard, call, issued, answer),
            Post::Run { answer, .. } if self.draining => {
                answer.send(Outcome::Reply(Reply::Failed(ringkeep_shard::Error::Closed)))
            }
            Post::Run { start, answer } => self.jobs.add(start, answer),
            Post::Wake => {}
            Post::Letter { to, letter } => {
                let resident = self.resident(to);
                resident.entangled = true;
                resident.shard.deliver(letter);
            }
            Post::Drain(answer) => {
                self.draining = true;
                self.drained.push(answer);
                for resident in &mut self.residents {
                    resident.shard.drain();
                }
            }
            Post::Report(answer) => answer.send(Outcome::Report(Box::new(self.reported()))),
            Post::Panic => panic!("this is a drill"),
            Post::HostGone { host, reason } => self.lose_peer(host, &reason),
        }
    }

    /// A host has ended by a fault. Whoever waits for its part in a batch is answered, and a shard that may hold
    /// a piece of such a batch takes no more writes; all others go on.
    fn lose_peer(&mut self, host: usize, reason: &str) {
        let hosts = self.hosts;
        let is_lost = |shard| host_of(shard, hosts) == host;
        self.calls -= self.commits.abandon(is_lost, reason);
        let reason = format!("another thread of this database has ended: {reason}");
        for resident in self
            .residents
            .iter_mut()
            .filter(|resident| resident.entangled)
        {
            resident.shard.lose_peers(is_lost, &reason);
        }
    }

    fn accept(&mut self, shard: ShardId, call: Call, issued: Issued, answer: Answer) {
        self.calls_taken += 1;
        if self.draining && !matches!(call, Call::Close | Call::Stats) {
            answer.send(Outcome::Reply(Reply::Failed(ringkeep_shard::Error::Closed)));
            return;
        }
        let watch = issued.watch();
        let followed = watch.clone();
        let asker = match &call {
            Call::Transact(Transact {
                parts, durability, ..
            }) if parts.len() == 1 => {
                self.resident(shard).loose |= *durability != Durability::Sync;
                Asker::Caller(answer, issued, watch)
            }
            Call::Commit { .. } | Call::Transact(_) => {
                let participants = participants(&call);
                let mut gone = participants.iter();
                let gone = gone.find(|shard| self.peers[host_of(**shard, self.hosts)].is_closed());
                if let Some(shard) = gone {
                    let reason =
                        "it ended before this batch began, which changed nothing".to_owned();
                    answer.send(Outcome::HostGone {
                        shard: *shard,
                        reason,
                    });
                    return;
                }
                self.resident(shard).entangled = true;
                self.commits.enter(answer, issued, watch, participants)
            }
            Call::Write { durability, .. } => {
                self.resident(shard).loose |= *durability != Durability::Sync;
                Asker::Caller(answer, issued, watch)
            }
            _ => Asker::Caller(answer, issued, watch),
        };
        self.calls += 1;
        let Some(watch) = followed else {
            return self.resident(shard).shard.accept(asker, call);
        };
        watch.enter(Phase::Cpu, self.io.now());
        self.resident(shard).shard.accept(asker, call);
        watch.rest(self.io.now());
    }

    /// Letters go to their shards, then answers to their callers: whoever hears an answer and calls
    /// another shard comes after the letters that went with it. True when a letter stayed on this
    /// host, or found its lane full, which holds the answers back as well.
    pub(super) fn carry(&mut self) -> bool {
        let mut more = false;
        for resident in &mut self.residents {
            let letters = resident.shard.letters();
            resident.entangled |= letters.len() > 0;
            self.outbox.extend(letters);
        }
        while let Some((to, letter)) = self.outbox.pop_front() {
            match self.post(to, letter) {
                Posted::Here => more = true,
                Posted::Away => {}
                Posted::Back(letter) => {
                    // All behind it stay as well: between two shards no letter overtakes another.
                    self.outbox.push_front((to, *letter));
                    more = true;
                    break;
                }
            }
        }
        if self.outbox.is_empty() {
            self.answer_callers();
        }
        more
    }

    fn answer_callers(&mut self) {
        // One look at the clock for all answers of a turn, and none for those that nobody times.
        let (io, clock) = (&self.io, OnceCell::new());
        let now = || *clock.get_or_init(|| io.now());
        for resident in &mut self.residents {
            let mut begins_slice = false;
            for (asker, reply) in resident.shard.replies() {
                let (answer, issued, watch) = match asker {
                    Asker::Host => {
                        if let Stopping::Syncing(left) = &mut self.stopping {
                            *left -= 1;
                        }
                        continue;
                    }
                    Asker::Caller(answer, issued, watch) => (answer, issued, watch),
                    Asker::Commit(ticket, watch) => match self.commits.take(ticket) {
                        Some((answer, issued)) => (answer, issued, watch),
                        None => continue,
                    },
                };
                if let Some((operation, took, calls)) = issued.took(now) {
                    begins_slice |= resident.took.record(now(), operation, took, calls);
                }
                answer.send(match watch.and_then(|watch| issued.slip(&watch)) {
                    None => Outcome::Reply(reply),
                    Some(slip) => Outcome::ReplyAndSlip(Box::new((reply, slip))),
                });
                self.calls -= 1;
            }
            if begins_slice {
                let shard = &resident.shard;
                resident.marks.mark(now(), || shard.lookups());
            }
        }
        // Closures that wait for calls hear that those are refused, and end.
        if self.calls == 0 && self.jobs.is_empty() {
            for answer in self.drained.drain(..) {
                answer.send(Outcome::Drained);
            }
        }
    }

    fn post(&mut self, to: ShardId, letter: Letter) -> Posted {
        let host = host_of(to, self.hosts);
        if host == self.index {
            let resident = self.resident(to);
            resident.entangled = true;
            resident.shard.deliver(letter);
            return Posted::Here;
        }
        match self.peers[host].send_urgent(Post::Letter { to, letter }) {
            Ok(()) => {
                self.letters_sent += 1;
                Posted::Away
            }
            // The commits that need a host that is gone have been or will be told.
            Err(Refused::Closed(_)) => Posted::Away,
            Err(Refused::Full(Post::Letter { letter, .. })) => Posted::Back(Box::new(letter)),
            Err(Refused::Full(_)) => unreachable!("what comes back is what was sent"),
        }
    }

    fn reported(&self) -> Reported {
        let now = self.io.now();
        let residents = self.residents.iter();
        Reported {
            host: self.report(),
            latencies: residents
                .map(|resident| (resident.id, resident.took.recording(now)))
                .collect(),
            hit_rates: self
                .residents
                .iter()
                .map(|resident| {
                    let lookups = resident.shard.lookups();
                    resident.marks.rates(resident.id, now, lookups)
                })
                .collect(),
        }
    }

    fn report(&self) -> HostReport {
        let residents = || self.residents.iter();
        let failure = |resident: &super::Resident| Some((resident.id, resident.shard.failure()?));
        HostReport {
            shards: residents().map(|resident| resident.id).collect(),
            free_bytes: residents()
                .filter_map(|resident| resident.shard.free_bytes())
                .min(),
            failures: residents().filter_map(failure).collect(),
            door: self.io.report().to_string(),
            io: self.io.counters(),
            turns: self.turns,
            calls: self.calls_taken,
            visits: self.visits,
            letters: self.letters_sent,
            parks: self.parks,
            closures_overran: self.jobs.overran(),
        }
    }
}

/// The shards that a commit concerns.
fn participants(call: &Call) -> Vec<ShardId> {
    match call {
        Call::Commit { parts } => parts.iter().map(|(shard, _)| *shard).collect(),
        Call::Transact(Transact { parts, .. }) => parts.iter().map(|part| part.shard).collect(),
        _ => Vec::new(),
    }
}
