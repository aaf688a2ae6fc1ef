//! Drivers against targets of known behaviour, on a clock that only the test moves.

use std::collections::BinaryHeap;
use std::time::Duration;

use hdrhistogram::Histogram;
use ringkeep_bench::clock::Clock;
use ringkeep_bench::drive::{self, Run, Totals, Way};
use ringkeep_bench::quantity::Span;
use ringkeep_bench::recorder::{Interval, Ledger, Recorder};
use ringkeep_bench::target::{Answer, Caller, Failure, Pipeline, Reply, Resident, Visited};
use ringkeep_bench::window::Window;
use ringkeep_bench::workload::stream::Mix;
use ringkeep_bench::workload::{
    Arrival, Dataset, Drive, Durability, KeyForm, KeyLaw, KeyShape, LengthLaw, Load, OnFull, Op,
    OpKind, OpShape, Think, Traffic, ValueShape, Workload,
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// A server with `lanes` lanes that each serve one operation at a time for `service_ns`, and a stall during
/// which nothing is served.
struct Server {
    clock: Clock,
    lanes: Vec<u64>,
    service_ns: u64,
    stall: (u64, u64),
    under_way: BinaryHeap<std::cmp::Reverse<(u64, usize)>>,
}

impl Server {
    fn new(clock: &Clock, lanes: usize, service_ns: u64, stall: (u64, u64)) -> Server {
        Server {
            clock: clock.clone(),
            lanes: vec![0; lanes],
            service_ns,
            stall,
            under_way: BinaryHeap::new(),
        }
    }

    /// When an operation that arrives now is done.
    fn done_at(&mut self) -> u64 {
        let now = self.clock.now_ns();
        let lane = self.lanes.iter_mut().min().expect("a server has a lane");
        let mut start = now.max(*lane);
        let (from, to) = self.stall;
        if start >= from && start < to {
            start = to;
        }
        *lane = start + self.service_ns;
        *lane
    }
}

impl Pipeline for Server {
    fn start(&mut self, slot: usize, _op: &Op<'_>) -> Option<Result<Reply, Failure>> {
        let done = self.done_at();
        self.under_way.push(std::cmp::Reverse((done, slot)));
        None
    }

    fn reap(&mut self, done: &mut Vec<(usize, Result<Reply, Failure>)>) {
        while let Some(&std::cmp::Reverse((at, slot))) = self.under_way.peek() {
            if at > self.clock.now_ns() {
                return;
            }
            self.under_way.pop();
            done.push((slot, Ok(Reply::Done)));
        }
    }

    fn wait(&mut self, timeout: Duration) {
        let until = self.clock.now_ns() + (timeout.as_nanos() as u64).max(1);
        let next = self
            .under_way
            .peek()
            .map_or(u64::MAX, |&std::cmp::Reverse((at, _))| at);
        self.clock.advance_to(until.min(next));
    }
}

impl Caller for Server {
    fn call(&mut self, _op: &Op<'_>, _answer: &mut Answer<'_>) -> Result<(), Failure> {
        let done = self.done_at();
        self.clock.advance_to(done);
        Ok(())
    }
}

/// How long the way to the data takes, there and back.
const WAY_NS: u64 = 2 * MS;

/// A host with one lane, some way off.
struct Host {
    server: Server,
    brought: usize,
}

impl Resident for Host {
    fn bring(&mut self, _op: &Op<'_>) {
        self.brought += 1;
    }

    fn visit(&mut self, clock: &Clock, done: &mut Vec<Visited>) -> Result<(), Failure> {
        clock.advance_to(clock.now_ns() + WAY_NS);
        for index in 0..std::mem::take(&mut self.brought) {
            let issued_ns = clock.now_ns();
            clock.advance_to(self.server.done_at());
            done.push(Visited {
                index,
                issued_ns,
                done_ns: clock.now_ns(),
                reply: Ok(Reply::Done),
            });
        }
        Ok(())
    }
}

fn workload(load: Load) -> Workload {
    let get = OpShape {
        op: OpKind::Get,
        weight: 1.0,
        keys: KeyLaw::Uniform,
        miss: 0.0,
        n: 1,
        entries: LengthLaw::Fixed { size: 1 },
        reverse: false,
        durability: None,
    };
    let traffic = Traffic {
        name: "reads".to_string(),
        load,
        drive: Drive::Auto,
        ops: vec![get],
        script: None,
    };
    Workload {
        name: "test".to_string(),
        about: String::new(),
        tags: Vec::new(),
        dataset: Dataset {
            id: "keys".to_string(),
            keys: 1000,
            key: KeyShape {
                form: KeyForm::Hashed,
                size: 16,
            },
            value: ValueShape {
                length: LengthLaw::Fixed { size: 64 },
                compress: 0.5,
            },
            empty: false,
            age_overwrite: 0.0,
            killed: false,
            reopened: false,
        },
        cache_share: 1.0,
        durability: Durability::Sync,
        seed: 7,
        phases: vec![ringkeep_bench::workload::Phase {
            name: "reads".to_string(),
            warmup: ringkeep_bench::workload::Warmup {
                min: Span::default(),
                max: Span::default(),
            },
            length: ringkeep_bench::quantity::Length::Time(Span::secs(1)),
            traffic: vec![traffic],
            slo: Vec::new(),
            shows_response: true,
            settles: true,
            holds_snapshot: false,
        }],
    }
}

struct Found {
    all: Interval,
    totals: Totals,
}

impl Found {
    fn response(&self, q: f64) -> u64 {
        self.all.kinds[0].clocks.response.value_at_quantile(q)
    }

    fn service(&self, q: f64) -> u64 {
        self.all.kinds[0].clocks.service.value_at_quantile(q)
    }
}

/// Drives `load` for `seconds` after one second of warm-up.
fn drive_for(seconds: u64, load: Load, way: Way, server: impl FnOnce(&Clock) -> Server) -> Found {
    let workload = workload(load);
    let traffic = &workload.phases[0].traffic[0];
    let clock = Clock::virtual_at_zero();
    let window = Window::fixed(0, SECOND, (1 + seconds) * SECOND, 5 * SECOND);
    let mix = Mix::new(&workload, traffic);
    let ledger = Ledger::new(mix.kinds(), SECOND);
    let totals = Totals::default();
    let run = Run {
        clock: &clock,
        window: &window,
        mix: &mix,
        load: &traffic.load,
        ledger: &ledger,
        seed: workload.seed,
        ops_max: None,
        validate: false,
        totals: &totals,
    };
    let mut server = server(&clock);
    let recorder = std::sync::Mutex::new(Recorder::new(&ledger, &window));
    match way {
        Way::Pipelined => drive::pipelined(&run, 0, 1, &mut server),
        Way::Threads => drive::threads_closed(&run, 0, 1, &mut server, &recorder),
        Way::Resident => {
            let mut host = Host { server, brought: 0 };
            drive::resident(&run, 0, 1, &mut host, &recorder);
        }
    }
    drop(recorder);
    let mut all = Interval::empty(1);
    ledger
        .into_intervals()
        .measured
        .iter()
        .for_each(|interval| all.add(&interval.open()));
    Found { all, totals }
}

/// Answers with what it was told to, whatever was asked.
struct Parrot {
    clock: Clock,
    value: Option<Vec<u8>>,
}

impl Caller for Parrot {
    fn call(&mut self, _op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        self.clock.advance_to(self.clock.now_ns() + MS);
        answer.value(0, self.value.as_deref());
        Ok(())
    }
}

/// What validation says about a target that gives the same answer to ten gets.
fn judged(value: Option<Vec<u8>>) -> (u64, Vec<String>) {
    let workload = workload(closed(
        1,
        Think::Fixed {
            time: Span::default(),
        },
    ));
    let traffic = &workload.phases[0].traffic[0];
    let clock = Clock::virtual_at_zero();
    let window = Window::fixed(0, 0, SECOND, 0);
    let mix = Mix::new(&workload, traffic);
    let ledger = Ledger::new(mix.kinds(), SECOND);
    let totals = Totals::default();
    let run = Run {
        clock: &clock,
        window: &window,
        mix: &mix,
        load: &traffic.load,
        ledger: &ledger,
        seed: workload.seed,
        ops_max: Some(10),
        validate: true,
        totals: &totals,
    };
    let mut parrot = Parrot {
        clock: clock.clone(),
        value,
    };
    let recorder = std::sync::Mutex::new(Recorder::new(&ledger, &window));
    drive::threads_closed(&run, 0, 1, &mut parrot, &recorder);
    drop(recorder);
    (
        totals.wrong.into_inner(),
        totals.messages.into_inner().unwrap(),
    )
}

#[test]
fn a_resident_client_is_timed_on_the_spot_and_pays_for_the_way() {
    let think = Think::Fixed {
        time: Span::default(),
    };
    let found = drive_for(4, closed(1, think), Way::Resident, |clock| {
        Server::new(clock, 1, MS, (0, 0))
    });
    assert_eq!(found.service(0.5), found.service(1.0));
    assert!(found.service(1.0).abs_diff(MS) < MS / 100);
    // The way takes longer than an operation, so each is alone.
    assert!(found.all.count().abs_diff(4 * SECOND / (MS + WAY_NS)) <= 1);
    assert_eq!(found.totals.errors.into_inner(), 0);
}

#[test]
fn wrong_answers_are_found_and_named() {
    let (wrong, messages) = judged(None);
    assert_eq!(wrong, 10);
    assert!(
        messages[0].contains("was loaded and is missing"),
        "{messages:?}"
    );
    let (wrong, messages) = judged(Some(vec![7; 64]));
    assert_eq!(wrong, 10);
    assert!(messages[0].contains("got the value of key"), "{messages:?}");
    let (wrong, _) = judged(Some(Vec::new()));
    assert_eq!(wrong, 10, "an empty value was never written");
}

fn open(rate_per_s: f64, arrival: Arrival, in_flight_max: usize) -> Load {
    Load::Open {
        rate_per_s,
        arrival,
        in_flight_max,
        on_full: OnFull::Queue,
    }
}

fn closed(clients: usize, think: Think) -> Load {
    Load::Closed { clients, think }
}

/// Does a clock tell that a target stood still for one second of ten?
fn tells_of_the_stall(clock: &Histogram<u64>) -> Result<(), String> {
    let [p95, p99] = [0.95, 0.99].map(|q| clock.value_at_quantile(q) / MS);
    match (p95, p99, clock.max() / MS) {
        (400.., 850.., 995..) => Ok(()),
        (_, _, max) => Err(format!("p95 {p95} ms, p99 {p99} ms, max {max} ms")),
    }
}

/// The reason for this crate: a target that stands still for a second must not look fast. In ten seconds at
/// 1000/s a thousand operations fall due during the stall; with one slot almost none of them is issued then, so
/// a clock that starts at the send sees a single slow operation. That clock is the service clock: the check that
/// the response clock passes must fail on it, or it would not find a harness that records from the send.
#[test]
fn a_stall_shows_from_the_intended_start_and_hides_from_a_clock_started_at_the_send() {
    let stall = (4 * SECOND, 5 * SECOND);
    let found = drive_for(
        10,
        open(1_000.0, Arrival::Uniform, 1),
        Way::Pipelined,
        |clock| Server::new(clock, 1, MS / 10, stall),
    );
    assert_eq!(found.all.count(), 10_000);
    let clocks = &found.all.kinds[0].clocks;
    assert_eq!(tells_of_the_stall(&clocks.response), Ok(()));
    let from_the_send = tells_of_the_stall(&clocks.service);
    // What a tool with coordinated omission would print: one slow operation, and nothing at P99.
    assert_eq!(
        from_the_send,
        Err("p95 0 ms, p99 0 ms, max 1000 ms".to_string())
    );
    assert_eq!(
        found.all.own_slip.value_at_quantile(0.999) / MS,
        0,
        "the target was at fault"
    );
    assert!(found.totals.held_by_limit.into_inner() >= 990);
}

/// With enough slots every operation is issued on time, and both clocks see the stall.
#[test]
fn with_free_slots_the_stall_is_in_the_service_time() {
    let stall = (4 * SECOND, 5 * SECOND);
    let found = drive_for(
        10,
        open(1_000.0, Arrival::Poisson, 5_000),
        Way::Pipelined,
        |clock| Server::new(clock, 64, MS / 10, stall),
    );
    assert!(found.service(0.99) >= 850 * MS);
    let slip = found.all.kinds[0].clocks.slip.max();
    assert!(slip < MS, "slip {slip}");
}

#[test]
fn offered_operations_are_all_accounted_for_at_their_times() {
    let found = drive_for(
        20,
        open(5_000.0, Arrival::Uniform, 100),
        Way::Pipelined,
        |clock| Server::new(clock, 100, MS, (0, 0)),
    );
    assert_eq!(found.all.count(), 100_000);
    assert_eq!(
        found.all.kinds[0].in_window,
        100_000 - 4,
        "what ends after the window is not achieved in it"
    );
    assert_eq!(found.response(0.5) / 1_000, MS / 1_000);
}

#[test]
fn an_overloaded_open_loop_counts_what_it_never_issued() {
    // 1000/s offered, 500/s served: after ten seconds half of the load is still waiting.
    let found = drive_for(
        10,
        open(1_000.0, Arrival::Uniform, 1),
        Way::Pipelined,
        |clock| Server::new(clock, 1, 2 * MS, (0, 0)),
    );
    let kind = &found.all.kinds[0];
    assert_eq!(kind.count, 10_000);
    assert!(
        (4_400..=4_600).contains(&kind.in_window),
        "{} in the window",
        kind.in_window
    );
    let never = found.totals.never_issued.into_inner();
    assert!(
        never > 2_000 && kind.given_up >= never,
        "{never} never issued"
    );
    // The ones that never ran count with the time they have waited so far.
    assert!(kind.clocks.response.max() > 5 * SECOND);
}

#[test]
fn a_full_load_that_drops_says_how_much() {
    let load = Load::Open {
        rate_per_s: 1_000.0,
        arrival: Arrival::Uniform,
        in_flight_max: 1,
        on_full: OnFull::Drop,
    };
    let found = drive_for(10, load, Way::Pipelined, |clock| {
        Server::new(clock, 1, 3 * MS / 2, (0, 0))
    });
    let dropped = found
        .totals
        .dropped
        .load(std::sync::atomic::Ordering::Relaxed);
    assert!((5_000..6_000).contains(&dropped), "{dropped} dropped");
    assert!(found.response(0.99) < 2 * MS);
}

/// Little's law: a thousand clients that think for 20 ms and wait 1 ms make 1000 / 21 ms.
#[test]
fn patient_clients_make_the_rate_that_little_says() {
    let think = Think::Exp {
        mean: Span::millis(20),
    };
    let found = drive_for(10, closed(1_000, think), Way::Pipelined, |clock| {
        Server::new(clock, 1_000, MS, (0, 0))
    });
    let rate = found.all.count() as f64 / 10.0;
    let expected = 1_000.0 / 0.021;
    assert!(
        (rate / expected - 1.0).abs() < 0.01,
        "{rate}/s for {expected}/s"
    );
    assert_eq!(
        found.response(0.99) / 100_000,
        10,
        "nothing waits for a lane"
    );
}

#[test]
fn saturation_finds_the_servers_rate() {
    let eager = Think::Fixed {
        time: Span::default(),
    };
    let found = drive_for(5, closed(100, eager), Way::Pipelined, |clock| {
        Server::new(clock, 8, MS, (0, 0))
    });
    let rate = found.all.kinds[0].in_window as f64 / 5.0;
    assert!((rate / 8_000.0 - 1.0).abs() < 0.01, "{rate}/s");
    // 100 clients over 8000/s: what the service clock must show, and why it says nothing about the server.
    assert!((found.service(0.5) as f64 / 12.5e6 - 1.0).abs() < 0.05);
}

#[test]
fn a_blocking_client_measures_what_it_waits() {
    let think = Think::Fixed {
        time: Span::millis(9),
    };
    let found = drive_for(10, closed(1, think), Way::Threads, |clock| {
        Server::new(clock, 1, MS, (0, 0))
    });
    assert_eq!(found.all.count(), 1_000);
    assert_eq!(found.response(0.5) / 100_000, 10);
}
