//! One thread, many operations in flight.
//!
//! Each turn reaps answers, issues what is due and, when nothing is, plans ahead or sleeps in the target's
//! pipeline until the next due time or the next answer. It never sleeps while an answer could be taken.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{NAP_NS, Run};
use crate::clock::{sharpen_sleep, thread_cpu_ns};
use crate::random::Stream;
use crate::recorder::{Ending, Recorder, Sample};
use crate::target::{Answer, Failure, Pipeline, Reply};
use crate::window::OPEN;
use crate::workload::arrivals::Schedule;
use crate::workload::stream::{OpBytes, OpStream};
use crate::workload::{Load, OpKind, Think};

/// Operations issued before answers are looked for again.
const ISSUE_MAX: usize = 32;
/// A due time this close is awaited by spinning: the way into and out of a sleep takes longer.
const SPIN_NS: u64 = 3_000;
/// Shorter stretches of own time are the price of every operation, not lateness.
const OWN_MIN_NS: u64 = 10_000;

/// Drives `part` of `parts` of the run through `pipeline`, on this thread, until the window is over.
pub fn pipelined(run: &Run<'_>, part: usize, parts: usize, pipeline: &mut dyn Pipeline) {
    sharpen_sleep();
    let slots = slots_of(run.clients(), part, parts);
    if slots > 0 {
        let mut driver = Driver::new(run, part, parts, slots);
        driver.drive(pipeline);
        driver.finish(pipeline);
    }
}

/// How many of `clients` fall to `part` of `parts`.
pub fn slots_of(clients: usize, part: usize, parts: usize) -> usize {
    clients / parts + usize::from(part < clients % parts)
}

#[derive(Clone, Copy, Debug, Default)]
struct Flight {
    kind: usize,
    op: Option<OpKind>,
    reverse: bool,
    intended_ns: u64,
    issued_ns: u64,
    own_slip_ns: u64,
}

/// Which operation is due next.
enum Source {
    /// From a schedule, into any free slot.
    Open {
        schedule: Schedule,
        next_ns: u64,
        free: Vec<usize>,
    },
    /// Clients without think time, in the order in which they became free. A slot is a client.
    Eager(VecDeque<(u64, usize)>),
    /// Clients that think.
    Thinking {
        think: Think,
        stream: Stream,
        drawn: u64,
        due: BinaryHeap<Reverse<(u64, usize)>>,
    },
}

impl Source {
    fn new(run: &Run<'_>, part: usize, parts: usize, slots: usize) -> Source {
        let start = run.window.start_ns;
        match *run.load {
            Load::Open {
                rate_per_s,
                arrival,
                ..
            } => {
                let mut schedule =
                    Schedule::new(arrival, rate_per_s, run.seed, part as u64, parts as u64)
                        .following(run.mix.script.as_ref());
                Source::Open {
                    next_ns: start + schedule.next_ns(),
                    schedule,
                    free: (0..slots).rev().collect(),
                }
            }
            Load::Closed { .. } if run.think().is_zero() => {
                Source::Eager((0..slots).map(|slot| (start, slot)).collect())
            }
            Load::Closed { .. } => {
                let mut source = Source::Thinking {
                    think: run.think(),
                    stream: Stream::new(run.seed, "think", part as u64),
                    drawn: 0,
                    due: BinaryHeap::with_capacity(slots),
                };
                // The first pause spreads the clients out; without it all would start at once.
                (0..slots).for_each(|slot| source.free(slot, start));
                source
            }
        }
    }

    /// When the next operation is due, or would be if a slot were free.
    fn next_due(&self) -> u64 {
        match self {
            Source::Open { next_ns, .. } => *next_ns,
            Source::Eager(due) => due.front().map_or(OPEN, |&(at, _)| at),
            Source::Thinking { due, .. } => due.peek().map_or(OPEN, |&Reverse((at, _))| at),
        }
    }

    fn full(&self) -> bool {
        matches!(self, Source::Open { free, .. } if free.is_empty())
    }

    /// Takes the next operation's due time and slot.
    fn take(&mut self, start_ns: u64) -> (u64, usize) {
        match self {
            Source::Open {
                schedule,
                next_ns,
                free,
            } => {
                let slot = free.pop().expect("asked only while a slot is free");
                let due = *next_ns;
                *next_ns = start_ns + schedule.next_ns();
                (due, slot)
            }
            Source::Eager(due) => due.pop_front().expect("asked only while one is due"),
            Source::Thinking { due, .. } => due.pop().expect("asked only while one is due").0,
        }
    }

    /// Skips the next operation of a schedule.
    fn skip(&mut self, start_ns: u64) {
        if let Source::Open {
            schedule, next_ns, ..
        } = self
        {
            *next_ns = start_ns + schedule.next_ns();
        }
    }

    /// The operation in `slot` ended at `now_ns`.
    fn free(&mut self, slot: usize, now_ns: u64) {
        match self {
            Source::Open { free, .. } => free.push(slot),
            Source::Eager(due) => due.push_back((now_ns, slot)),
            Source::Thinking {
                think,
                stream,
                drawn,
                due,
            } => {
                let pause = think.draw(&mut stream.at(*drawn));
                *drawn += 1;
                due.push(Reverse((now_ns + pause, slot)));
            }
        }
    }
}

struct Driver<'r, 'a> {
    run: &'r Run<'a>,
    source: Source,
    stream: OpStream<'a>,
    recorder: Recorder<'a>,
    answer: Answer<'a>,
    bytes: OpBytes,
    flights: Vec<Flight>,
    /// Key numbers per slot, kept only to check answers.
    numbers: Vec<Vec<u64>>,
    in_flight: usize,
    in_flight_max: usize,
    issued: u64,
    issue_limit: u64,
    held: u64,
    dropped: u64,
    /// End of the last call into the target; `OPEN` if no clock was read after it.
    released_ns: u64,
    /// The last long stretch that this thread spent on itself: asleep too long, preempted, planning.
    own: (u64, u64),
    measuring: bool,
    cpu_before: u64,
    held_until_counted: u64,
}

impl<'r, 'a> Driver<'r, 'a> {
    fn new(run: &'r Run<'a>, part: usize, parts: usize, slots: usize) -> Driver<'r, 'a> {
        let mut stream = OpStream::new(run.mix, part, parts);
        stream.fill();
        Driver {
            source: Source::new(run, part, parts, slots),
            stream,
            recorder: Recorder::new(run.ledger, run.window),
            answer: run.answer(),
            bytes: OpBytes::default(),
            flights: vec![Flight::default(); slots],
            numbers: vec![Vec::new(); slots],
            in_flight: 0,
            in_flight_max: 0,
            issued: 0,
            issue_limit: run.ops_of(part, parts),
            held: 0,
            dropped: 0,
            released_ns: run.window.start_ns,
            own: (0, 0),
            measuring: false,
            cpu_before: thread_cpu_ns(),
            held_until_counted: OPEN,
            run,
        }
    }

    fn drive(&mut self, pipeline: &mut dyn Pipeline) {
        let run = self.run;
        let mut done = Vec::new();
        run.clock.sleep_until(run.window.start_ns);
        loop {
            // A driver without a free slot waits for the target, asleep or not.
            if !self.source.full() {
                own_until(&mut self.own, self.released_ns, run.clock.now_ns());
            }
            pipeline.reap(&mut done);
            let mut now_ns = run.clock.now_ns();
            self.released_ns = now_ns;
            if !done.is_empty() {
                for (slot, result) in done.drain(..) {
                    self.complete(slot, result, now_ns);
                }
            }
            if !self.measuring && now_ns >= run.window.from_ns() {
                self.measuring = true;
                self.cpu_before = thread_cpu_ns();
            }
            now_ns = self.issue_due(pipeline, now_ns);
            if self.over(now_ns) {
                return;
            }
            let next_ns = self.next_event();
            if next_ns <= now_ns {
                continue;
            }
            let gap_ns = next_ns - now_ns;
            if self.stream.plan_ahead() || gap_ns < SPIN_NS && !run.clock.is_virtual() {
                std::hint::spin_loop();
                continue;
            }
            pipeline.wait(Duration::from_nanos(gap_ns.min(NAP_NS)));
        }
    }

    /// Issues up to a turn's worth of due operations; returns a recent time.
    fn issue_due(&mut self, pipeline: &mut dyn Pipeline, mut now_ns: u64) -> u64 {
        for _ in 0..ISSUE_MAX {
            let due_ns = self.source.next_due();
            if due_ns > now_ns
                || due_ns >= self.run.window.to_ns()
                || self.issued == self.issue_limit
            {
                break;
            }
            if self.source.full() {
                // Counted once per operation, however many turns it waits.
                if self.held_until_counted != due_ns {
                    self.held_until_counted = due_ns;
                    self.held += 1;
                }
                if !self.run.drops_when_full() {
                    break;
                }
                self.dropped += 1;
                self.stream.next_planned();
                self.source.skip(self.run.window.start_ns);
                continue;
            }
            now_ns = self.issue(pipeline);
        }
        now_ns
    }

    #[inline]
    fn issue(&mut self, pipeline: &mut dyn Pipeline) -> u64 {
        let run = self.run;
        let (intended_ns, slot) = self.source.take(run.window.start_ns);
        let planned = self.stream.next_planned();
        let op = self.bytes.write(&self.stream, &planned);
        let issued_ns = run.clock.now_ns();
        own_until(&mut self.own, self.released_ns, issued_ns);
        let (own_from, own_to) = self.own;
        self.flights[slot] = Flight {
            kind: run.kind_index(&planned),
            op: Some(op.kind),
            reverse: op.reverse,
            intended_ns,
            issued_ns,
            own_slip_ns: own_to.saturating_sub(own_from.max(intended_ns)),
        };
        self.issued += 1;
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
        let started = pipeline.start(slot, &op);
        if run.validate {
            self.numbers[slot].clear();
            self.numbers[slot].extend_from_slice(self.bytes.numbers());
        }
        match started {
            Some(result) => {
                let done_ns = run.clock.now_ns();
                self.complete(slot, result, done_ns);
                self.released_ns = done_ns;
                done_ns
            }
            None => {
                // The time until the next clock reading went to the call that just returned.
                self.released_ns = OPEN;
                issued_ns
            }
        }
    }

    #[inline]
    fn complete(&mut self, slot: usize, result: Result<Reply, Failure>, done_ns: u64) {
        let flight = self.flights[slot];
        let before = (self.answer.rows, self.answer.bytes, self.answer.absent);
        let ending = match &result {
            Ok(reply) => {
                if self.run.validate {
                    self.answer.expect(&self.numbers[slot], flight.reverse);
                }
                self.answer.reply(reply);
                if let Some(op) = flight.op {
                    self.answer.finish(op, (before.0, before.2));
                }
                Ending::Answered
            }
            Err(failure) => {
                self.run.totals.failed(&failure.0);
                Ending::Failed
            }
        };
        self.recorder.record(&Sample {
            kind: flight.kind,
            intended_ns: flight.intended_ns,
            issued_ns: flight.issued_ns,
            done_ns,
            own_slip_ns: flight.own_slip_ns,
            ending,
            rows: (self.answer.rows - before.0) as u32,
            bytes: self.answer.bytes - before.1,
            absent: (self.answer.absent - before.2) as u32,
        });
        self.in_flight -= 1;
        self.flights[slot].op = None;
        self.source.free(slot, done_ns);
    }

    /// The next time at which this driver has something to do by itself.
    fn next_event(&self) -> u64 {
        let waits_for_slot = self.source.full() && !self.run.drops_when_full();
        if waits_for_slot || self.issued == self.issue_limit {
            return OPEN;
        }
        let due_ns = self.source.next_due();
        match due_ns >= self.run.window.to_ns() {
            // After the window only answers matter; naps bound how late giving up is noticed.
            true => OPEN,
            false => due_ns,
        }
    }

    fn over(&self, now_ns: u64) -> bool {
        let to_ns = self.run.window.to_ns();
        let nothing_more =
            self.issued == self.issue_limit || (now_ns >= to_ns && self.source.next_due() >= to_ns);
        nothing_more && self.in_flight == 0 || now_ns >= self.run.window.give_up_ns()
    }

    /// Records what never got an answer, with the time it has waited so far.
    fn finish(&mut self, pipeline: &mut dyn Pipeline) {
        let run = self.run;
        let now_ns = run.clock.now_ns();
        if self.in_flight > 0 {
            for slot in 0..self.flights.len() {
                let flight = self.flights[slot];
                if flight.op.is_some() {
                    self.recorder.record(&given_up(
                        flight.kind,
                        flight.intended_ns,
                        flight.issued_ns,
                        now_ns,
                    ));
                }
            }
            pipeline.abandon();
        }
        let mut never_issued = 0;
        let to_ns = run.window.to_ns();
        let counted = self.issued == self.issue_limit;
        while !counted
            && matches!(self.source, Source::Open { .. })
            && self.source.next_due() < to_ns.min(now_ns)
        {
            let planned = self.stream.next_planned();
            let kind = run.kind_index(&planned);
            self.recorder
                .record(&given_up(kind, self.source.next_due(), OPEN, now_ns));
            self.source.skip(run.window.start_ns);
            never_issued += 1;
        }
        self.recorder.flush();
        let totals = run.totals;
        totals
            .never_issued
            .fetch_add(never_issued, Ordering::Relaxed);
        totals.held_by_limit.fetch_add(self.held, Ordering::Relaxed);
        totals.dropped.fetch_add(self.dropped, Ordering::Relaxed);
        totals
            .in_flight_max
            .fetch_add(self.in_flight_max as u64, Ordering::Relaxed);
        totals.take_answer(&self.answer);
        totals
            .cpu_ns
            .fetch_add(thread_cpu_ns() - self.cpu_before, Ordering::Relaxed);
    }
}

/// The time since the last call into the target was this thread's own.
#[inline]
fn own_until(own: &mut (u64, u64), released_ns: u64, now_ns: u64) {
    if released_ns != OPEN && now_ns > released_ns + OWN_MIN_NS {
        *own = (released_ns, now_ns);
    }
}

fn given_up(kind: usize, intended_ns: u64, issued_ns: u64, now_ns: u64) -> Sample {
    Sample {
        kind,
        intended_ns,
        issued_ns,
        done_ns: now_ns,
        own_slip_ns: 0,
        ending: Ending::GivenUp,
        rows: 0,
        bytes: 0,
        absent: 0,
    }
}
