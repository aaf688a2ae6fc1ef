//! A thread per client, each waiting for its answer.
//!
//! How an application with blocking calls looks to the store. An open load hands the next due operation to
//! whichever thread is free; that thread sleeps until it is due and issues it itself, so no hop lies between.
//! Samples go to shared recorders in batches: a recorder per thread would not fit a thousand threads.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::{NAP_NS, Run};
use crate::clock::{sharpen_sleep, thread_cpu_ns};
use crate::random::Stream;
use crate::recorder::{Ending, Recorder, Sample};
use crate::target::{Answer, Caller};
use crate::window::OPEN;
use crate::workload::Load;
use crate::workload::arrivals::Schedule;
use crate::workload::stream::{OpBytes, OpStream, Planned};

/// Samples that a thread keeps before it takes the lock.
const BATCH: usize = 256;

/// Client `part` of `parts` of a closed load.
pub fn threads_closed(
    run: &Run<'_>,
    part: usize,
    parts: usize,
    caller: &mut dyn Caller,
    recorder: &Mutex<Recorder<'_>>,
) {
    let mut client = Client::new(run, recorder);
    let mut stream = OpStream::new(run.mix, part, parts);
    let pauses = Stream::new(run.seed, "think", part as u64);
    let think = run.think();
    let mut intended_ns = run.window.start_ns + think.draw(&mut pauses.at(0));
    for turn in 1..=run.ops_of(part, parts) {
        if !client.sleep_until(intended_ns) {
            break;
        }
        let planned = stream.next_planned();
        let done_ns = client.carry_out(&stream, &planned, intended_ns, caller);
        intended_ns = done_ns + think.draw(&mut pauses.at(turn));
    }
    client.end();
}

/// What the threads of an open load take turns at.
pub struct Due<'m> {
    schedule: Schedule,
    stream: OpStream<'m>,
    left: u64,
}

impl<'m> Due<'m> {
    /// All operations of the run, in the order of their due times.
    pub fn new(run: &Run<'m>) -> Due<'m> {
        let Load::Open {
            rate_per_s,
            arrival,
            ..
        } = *run.load
        else {
            unreachable!("only an open load has due times of its own");
        };
        Due {
            schedule: Schedule::new(arrival, rate_per_s, run.seed, 0, 1)
                .following(run.mix.script.as_ref()),
            stream: OpStream::new(run.mix, 0, 1),
            left: run.ops_of(0, 1),
        }
    }

    fn take(&mut self, start_ns: u64) -> Option<(u64, Planned)> {
        self.left = self.left.checked_sub(1)?;
        Some((
            start_ns + self.schedule.next_ns(),
            self.stream.next_planned(),
        ))
    }
}

/// One of the threads of an open load.
pub fn threads_open<'a>(
    run: &Run<'a>,
    due: &Mutex<Due<'a>>,
    caller: &mut dyn Caller,
    recorder: &Mutex<Recorder<'_>>,
) {
    let mut client = Client::new(run, recorder);
    // Only writes out what was planned elsewhere.
    let writer = OpStream::new(run.mix, 0, 1);
    loop {
        let next = due
            .lock()
            .expect("no client panics while taking")
            .take(run.window.start_ns);
        let Some((intended_ns, planned)) = next else {
            break;
        };
        if !client.sleep_until(intended_ns) {
            break;
        }
        if run.clock.now_ns() >= run.window.give_up_ns() {
            client.never_issued(&planned, intended_ns);
            continue;
        }
        client.carry_out(&writer, &planned, intended_ns, caller);
    }
    client.end();
}

struct Client<'r, 'a, 'l> {
    run: &'r Run<'a>,
    recorder: &'r Mutex<Recorder<'l>>,
    batch: Vec<Sample>,
    batch_until_ns: u64,
    answer: Answer<'a>,
    bytes: OpBytes,
    released_ns: u64,
    measuring: bool,
    cpu_before: u64,
    never_issued: u64,
}

impl<'r, 'a, 'l> Client<'r, 'a, 'l> {
    fn new(run: &'r Run<'a>, recorder: &'r Mutex<Recorder<'l>>) -> Client<'r, 'a, 'l> {
        sharpen_sleep();
        run.clock.sleep_until(run.window.start_ns);
        Client {
            run,
            recorder,
            batch: Vec::with_capacity(BATCH),
            batch_until_ns: 0,
            answer: run.answer(),
            bytes: OpBytes::default(),
            released_ns: run.window.start_ns,
            measuring: false,
            cpu_before: thread_cpu_ns(),
            never_issued: 0,
        }
    }

    /// False when the window ends first.
    fn sleep_until(&self, intended_ns: u64) -> bool {
        loop {
            let now_ns = self.run.clock.now_ns();
            if intended_ns >= self.run.window.to_ns() || self.run.window.stopped() {
                return false;
            }
            if now_ns >= intended_ns {
                return true;
            }
            // In naps, because the window may be closed meanwhile.
            self.run.clock.sleep_until(intended_ns.min(now_ns + NAP_NS));
        }
    }

    fn carry_out(
        &mut self,
        stream: &OpStream<'a>,
        planned: &Planned,
        intended_ns: u64,
        caller: &mut dyn Caller,
    ) -> u64 {
        let run = self.run;
        if !self.measuring && intended_ns >= run.window.from_ns() {
            self.measuring = true;
            self.cpu_before = thread_cpu_ns();
        }
        let op = self.bytes.write(stream, planned);
        let reverse = op.reverse;
        let before = (self.answer.rows, self.answer.bytes, self.answer.absent);
        if run.validate {
            // The numbers are in the bytes that the operation borrows from.
            let mut numbers = Vec::new();
            stream.numbers(planned, &mut numbers);
            self.answer.expect(&numbers, reverse);
        }
        let issued_ns = run.clock.now_ns();
        let result = caller.call(&op, &mut self.answer);
        let done_ns = run.clock.now_ns();
        let ending = match result {
            Ok(()) => {
                self.answer.finish(op.kind, (before.0, before.2));
                Ending::Answered
            }
            Err(failure) => {
                run.totals.failed(&failure.0);
                Ending::Failed
            }
        };
        self.keep(Sample {
            kind: run.kind_index(planned),
            intended_ns,
            issued_ns,
            done_ns,
            own_slip_ns: issued_ns - intended_ns.max(self.released_ns).min(issued_ns),
            ending,
            rows: (self.answer.rows - before.0) as u32,
            bytes: self.answer.bytes - before.1,
            absent: (self.answer.absent - before.2) as u32,
        });
        self.released_ns = done_ns;
        done_ns
    }

    fn never_issued(&mut self, planned: &Planned, intended_ns: u64) {
        self.never_issued += 1;
        self.keep(Sample {
            kind: self.run.kind_index(planned),
            intended_ns,
            issued_ns: OPEN,
            done_ns: self.run.clock.now_ns(),
            own_slip_ns: 0,
            ending: Ending::GivenUp,
            rows: 0,
            bytes: 0,
            absent: 0,
        });
    }

    fn keep(&mut self, sample: Sample) {
        if self.batch.is_empty() {
            self.batch_until_ns = sample.done_ns + self.run.ledger.interval_ns / 4;
        }
        self.batch.push(sample);
        if self.batch.len() == BATCH || sample.done_ns >= self.batch_until_ns {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut recorder = self
            .recorder
            .lock()
            .expect("no client panics while recording");
        for sample in self.batch.drain(..) {
            recorder.record(&sample);
        }
    }

    fn end(mut self) {
        self.flush();
        let totals = self.run.totals;
        totals
            .never_issued
            .fetch_add(self.never_issued, Ordering::Relaxed);
        totals.in_flight_max.fetch_add(1, Ordering::Relaxed);
        totals.take_answer(&self.answer);
        totals
            .cpu_ns
            .fetch_add(thread_cpu_ns() - self.cpu_before, Ordering::Relaxed);
    }
}
