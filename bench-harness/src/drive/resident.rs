//! Clients whose operations run where their data is.
//!
//! How an application looks that moved its code to the shards. Each client plans a row of operations, sends it
//! there and takes back when each was issued and answered; neither the way there nor the planning is in any
//! operation's time, both are in the throughput.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::Run;
use crate::clock::thread_cpu_ns;
use crate::recorder::{Ending, Recorder, Sample};
use crate::target::{Resident, Visited};
use crate::workload::stream::{OpBytes, OpStream, Planned};

/// Operations of one visit, at most.
const ROW_MAX: u64 = 256;

/// A visit that is over sooner brings twice as many operations the next time, one that takes four times as long half as
/// many: long rows for each hand-off, and clients that notice the end of the window.
const VISIT_NS: u64 = 1_000_000;

/// Client `part` of `parts` of a closed load without think time.
pub fn resident(
    run: &Run<'_>,
    part: usize,
    parts: usize,
    host: &mut dyn Resident,
    recorder: &Mutex<Recorder<'_>>,
) {
    let mut stream = OpStream::new(run.mix, part, parts);
    let mut bytes = OpBytes::default();
    let mut left = run.ops_of(part, parts);
    let (mut planned, mut done) = (Vec::new(), Vec::new());
    run.clock.sleep_until(run.window.start_ns);
    let mut cpu_before = None;
    let mut row = 1;
    while left > 0 && !run.window.stopped() && run.clock.now_ns() < run.window.to_ns() {
        let began_ns = run.clock.now_ns();
        if cpu_before.is_none() && began_ns >= run.window.from_ns() {
            cpu_before = Some(thread_cpu_ns());
        }
        for _ in 0..left.min(row) {
            let next = stream.next_planned();
            let op = bytes.write(&stream, &next);
            host.bring(&op);
            planned.push((next, op.reverse));
        }
        left -= planned.len() as u64;
        if let Err(failure) = host.visit(run.clock, &mut done) {
            run.totals.failed(&failure.0);
            break;
        }
        let samples = done
            .drain(..)
            .map(|visited| sample(run, &stream, planned[visited.index], visited));
        let mut recorder = recorder.lock().expect("no client panics while recording");
        for sample in samples {
            recorder.record(&sample);
        }
        planned.clear();
        match run.clock.now_ns() - began_ns {
            0..VISIT_NS => row = (2 * row).min(ROW_MAX),
            took if took >= 4 * VISIT_NS => row = (row / 2).max(1),
            _ => {}
        }
    }
    run.totals.in_flight_max.fetch_add(1, Ordering::Relaxed);
    let cpu_ns = cpu_before.map_or(0, |before| thread_cpu_ns() - before);
    run.totals.cpu_ns.fetch_add(cpu_ns, Ordering::Relaxed);
}

fn sample(
    run: &Run<'_>,
    stream: &OpStream<'_>,
    (planned, reverse): (Planned, bool),
    visited: Visited,
) -> Sample {
    let mut answer = run.answer();
    let kind = run.mix.kind(&planned);
    if run.validate {
        let mut numbers = Vec::new();
        stream.numbers(&planned, &mut numbers);
        answer.expect(&numbers, reverse);
    }
    let ending = match visited.reply {
        Ok(reply) => {
            answer.reply(&reply);
            answer.finish(kind, (0, 0));
            Ending::Answered
        }
        Err(failure) => {
            run.totals.failed(&failure.0);
            Ending::Failed
        }
    };
    run.totals.take_answer(&answer);
    Sample {
        kind: run.kind_index(&planned),
        intended_ns: visited.issued_ns,
        issued_ns: visited.issued_ns,
        done_ns: visited.done_ns,
        own_slip_ns: 0,
        ending,
        rows: answer.rows as u32,
        bytes: answer.bytes,
        absent: answer.absent as u32,
    }
}
