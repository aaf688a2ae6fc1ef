//! Recording: three clocks for every operation, in intervals.
//!
//! ```text
//! intended ----------> issued ----------> done
//!          slip                service
//! <--------------- response ---------------->
//! ```
//!
//! Response time starts when the operation was due, so a target that stalls cannot hide the operations that
//! waited behind the stall. Service time starts at the issue and says what one call cost. Slip is what lies
//! between. `own slip` is the part of it that the generator caused: time since the operation was due and the
//! driver was free.
//!
//! A `Recorder` belongs to one thread (or hides behind a lock with a batch of samples). It fills one interval
//! at a time and adds it to the `Ledger`, which all drivers of a stream share.

use std::sync::Mutex;

use hdrhistogram::Histogram;

use crate::past::Past;
use crate::window::{OPEN, Window};
use crate::workload::OpKind;

/// Three significant digits: within 0.1 % everywhere.
const DIGITS: u8 = 3;
/// Intervals of the warm-up that make one of the window.
const WARM_PART: u64 = 5;
/// Intervals of the warm-up that are kept: those that are judged, and a few that drivers are late for. A warm-up
/// may last, and its histograms would be counted as memory of the target.
const WARM_KEPT: usize = 16;
/// The last intervals, which drivers may be late for, are not packed.
const OPEN_KEPT: usize = 4;

/// An empty latency histogram. It grows to what it holds: there are several for each interval of a phase.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("a constant number of digits is valid")
}

/// One finished operation.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Index of its kind among the kinds of the stream.
    pub kind: usize,
    /// When it was due.
    pub intended_ns: u64,
    /// When it was handed to the target; `OPEN` if that never happened.
    pub issued_ns: u64,
    /// When its answer was seen, or when it was given up.
    pub done_ns: u64,
    /// The part of the slip that the generator caused.
    pub own_slip_ns: u64,
    /// How it ended.
    pub ending: Ending,
    /// Values or entries returned.
    pub rows: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Keys not found.
    pub absent: u32,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an answer.
    Answered,
    /// With an error.
    Failed,
    /// Not at all before the phase gave up; its times are lower bounds.
    GivenUp,
}

/// The three clocks of one kind of operation.
#[derive(Clone, Debug)]
pub struct Clocks {
    /// Due to done.
    pub response: Histogram<u64>,
    /// Issued to done.
    pub service: Histogram<u64>,
    /// Due to issued.
    pub slip: Histogram<u64>,
}

impl Default for Clocks {
    fn default() -> Clocks {
        Clocks {
            response: histogram(),
            service: histogram(),
            slip: histogram(),
        }
    }
}

impl Clocks {
    /// Adds what another one holds.
    pub fn add(&mut self, other: &Clocks) {
        add(&mut self.response, &other.response);
        add(&mut self.service, &other.service);
        add(&mut self.slip, &other.slip);
    }

    fn clear(&mut self) {
        // `clear` would keep the old minimum and maximum.
        self.response.reset();
        self.service.reset();
        self.slip.reset();
    }
}

/// Puts a time into a histogram of `histogram`: `saturating_record` would not let it grow, and take every time for the
/// largest that it has room for.
#[inline]
pub fn note(histogram: &mut Histogram<u64>, ns: u64) {
    histogram
        .record(ns)
        .expect("a growing histogram takes any value");
}

/// Adds `other` to `sum`.
pub fn add(sum: &mut Histogram<u64>, other: &Histogram<u64>) {
    sum.add(other).expect("a growing histogram takes any value");
}

/// What one kind of operation did in an interval.
#[derive(Clone, Debug, Default)]
pub struct KindTally {
    /// Latencies.
    pub clocks: Clocks,
    /// Operations, however they ended.
    pub count: u64,
    /// Those that were answered before the window ended.
    pub in_window: u64,
    /// Those that failed.
    pub errors: u64,
    /// Those given up.
    pub given_up: u64,
    /// Values or entries returned.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys not found.
    pub absent: u64,
}

impl KindTally {
    /// The same counts beside empty clocks.
    pub fn without_clocks(&self) -> KindTally {
        KindTally {
            clocks: Clocks::default(),
            ..*self
        }
    }
}

/// What a stream did in an interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// One tally per kind of the stream.
    pub kinds: Vec<KindTally>,
    /// Lateness that the generator caused.
    pub own_slip: Histogram<u64>,
}

impl Interval {
    /// Nothing yet.
    pub fn empty(kinds: usize) -> Interval {
        Interval {
            kinds: vec![KindTally::default(); kinds],
            own_slip: histogram(),
        }
    }

    /// Adds what another one holds.
    pub fn add(&mut self, other: &Interval) {
        for (kind, other) in self.kinds.iter_mut().zip(&other.kinds) {
            kind.clocks.add(&other.clocks);
            kind.count += other.count;
            kind.in_window += other.in_window;
            kind.errors += other.errors;
            kind.given_up += other.given_up;
            kind.rows += other.rows;
            kind.bytes += other.bytes;
            kind.absent += other.absent;
        }
        add(&mut self.own_slip, &other.own_slip);
    }

    fn clear(&mut self) {
        for kind in &mut self.kinds {
            kind.clocks.clear();
            *kind = KindTally {
                clocks: std::mem::take(&mut kind.clocks),
                ..KindTally::default()
            };
        }
        self.own_slip.reset();
    }

    /// Operations of all kinds.
    pub fn count(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.count).sum()
    }

    #[inline]
    fn record(&mut self, sample: &Sample, to_ns: u64) {
        let kind = &mut self.kinds[sample.kind];
        kind.count += 1;
        kind.in_window += u64::from(sample.ending != Ending::GivenUp && sample.done_ns <= to_ns);
        kind.rows += u64::from(sample.rows);
        kind.bytes += sample.bytes;
        kind.absent += u64::from(sample.absent);
        let response = sample.done_ns.saturating_sub(sample.intended_ns);
        note(&mut kind.clocks.response, response);
        if sample.issued_ns == OPEN {
            note(&mut kind.clocks.slip, response);
        } else {
            let slip = sample.issued_ns.saturating_sub(sample.intended_ns);
            let service = sample.done_ns.saturating_sub(sample.issued_ns);
            note(&mut kind.clocks.service, service);
            note(&mut kind.clocks.slip, slip);
            note(&mut self.own_slip, sample.own_slip_ns);
        }
        match sample.ending {
            Ending::Answered => {}
            Ending::Failed => kind.errors += 1,
            Ending::GivenUp => kind.given_up += 1,
        }
    }
}

/// All intervals of one stream of a phase.
#[derive(Debug)]
pub struct Ledger {
    /// The kinds that samples refer to by index.
    pub kinds: Vec<OpKind>,
    /// Length of an interval.
    pub interval_ns: u64,
    /// Length of an interval before the window: shorter, so that a warm-up can be judged before it is long.
    pub warm_interval_ns: u64,
    intervals: Mutex<Intervals>,
}

/// Intervals before and inside the window, in order, without gaps.
#[derive(Clone, Debug, Default)]
pub struct Intervals {
    /// The last ones before the window.
    pub warm: Vec<Interval>,
    /// How many there were before those, from the start of the load on.
    warm_gone: usize,
    /// Inside the window and after its end, counted from its first nanosecond.
    pub measured: Vec<Past>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Warm(usize),
    Measured(usize),
}

impl Ledger {
    /// An empty ledger for these kinds.
    pub fn new(kinds: Vec<OpKind>, interval_ns: u64) -> Ledger {
        Ledger {
            kinds,
            interval_ns,
            warm_interval_ns: (interval_ns / WARM_PART).max(1),
            intervals: Mutex::default(),
        }
    }

    /// Everything recorded.
    pub fn into_intervals(self) -> Intervals {
        self.intervals
            .into_inner()
            .expect("no driver panics while adding")
    }

    /// Looks at what has been added so far.
    pub fn look<T>(&self, look: impl FnOnce(&Intervals) -> T) -> T {
        look(
            &self
                .intervals
                .lock()
                .expect("no driver panics while adding"),
        )
    }

    fn add(&self, place: Place, interval: &Interval) {
        self.at(place, |sum| sum.add(interval));
    }

    /// For a sample whose interval the recorder has left: rare, so a lock for each is cheaper than going back.
    fn add_late(&self, place: Place, sample: &Sample, to_ns: u64) {
        self.at(place, |interval| interval.record(sample, to_ns));
    }

    fn at(&self, place: Place, change: impl FnOnce(&mut Interval)) {
        let mut intervals = self
            .intervals
            .lock()
            .expect("no driver panics while adding");
        let kinds = self.kinds.len();
        match place {
            Place::Warm(index) => {
                let Intervals {
                    warm, warm_gone, ..
                } = &mut *intervals;
                while *warm_gone + warm.len() <= index {
                    warm.push(Interval::empty(kinds));
                    if warm.len() > WARM_KEPT {
                        warm.remove(0);
                        *warm_gone += 1;
                    }
                }
                if let Some(kept) = index.checked_sub(*warm_gone) {
                    change(&mut warm[kept]);
                }
            }
            Place::Measured(index) => {
                let measured = &mut intervals.measured;
                while measured.len() <= index {
                    measured.push(Past::Open(Interval::empty(kinds)));
                }
                change(measured[index].reopen());
            }
        }
    }

    /// Packs what drivers have left: for whoever watches them, since it takes longer than an operation may be late.
    pub fn pack(&self) {
        let mut intervals = self
            .intervals
            .lock()
            .expect("no driver panics while adding");
        let over = intervals.measured.len().saturating_sub(OPEN_KEPT);
        intervals.measured[..over].iter_mut().for_each(Past::close);
    }
}

/// One thread's recorder.
#[derive(Debug)]
pub struct Recorder<'l> {
    ledger: &'l Ledger,
    window: &'l Window,
    current: Interval,
    place: Option<Place>,
    measuring: bool,
}

impl<'l> Recorder<'l> {
    /// A recorder that adds to `ledger`.
    pub fn new(ledger: &'l Ledger, window: &'l Window) -> Recorder<'l> {
        Recorder {
            ledger,
            window,
            current: Interval::empty(ledger.kinds.len()),
            place: None,
            measuring: false,
        }
    }

    /// Records one operation where it belongs.
    #[inline]
    pub fn record(&mut self, sample: &Sample) {
        let from_ns = self.window.from_ns();
        let to_ns = self.window.to_ns();
        let place = if sample.intended_ns >= from_ns {
            if sample.intended_ns >= to_ns {
                return;
            }
            self.measuring = true;
            Place::Measured(((sample.done_ns - from_ns) / self.ledger.interval_ns) as usize)
        } else if self.measuring {
            // A straggler of the warm-up; going back for it would cost more than it tells.
            return;
        } else {
            let since = sample.done_ns.saturating_sub(self.window.start_ns);
            Place::Warm((since / self.ledger.warm_interval_ns) as usize)
        };
        if self.place != Some(place) {
            if self.place.is_some_and(|current| place < current) {
                self.ledger.add_late(place, sample, to_ns);
                return;
            }
            self.flush();
            self.place = Some(place);
        }
        self.current.record(sample, to_ns);
    }

    /// Adds the interval at hand to the ledger.
    pub fn flush(&mut self) {
        if let Some(place) = self.place.take() {
            self.ledger.add(place, &self.current);
            self.current.clear();
        }
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn sample(intended_ns: u64, issued_ns: u64, done_ns: u64) -> Sample {
        Sample {
            kind: 0,
            intended_ns,
            issued_ns,
            done_ns,
            own_slip_ns: 0,
            ending: Ending::Answered,
            rows: 1,
            bytes: 10,
            absent: 0,
        }
    }

    #[test]
    fn samples_fall_where_their_intended_start_says() {
        let window = Window::fixed(0, 1_000, 3_000, 0);
        let ledger = Ledger::new(vec![OpKind::Get], 1_000);
        let mut recorder = Recorder::new(&ledger, &window);
        recorder.record(&sample(500, 600, 900));
        recorder.record(&sample(999, 999, 1_500));
        recorder.record(&sample(1_000, 1_000, 1_100));
        recorder.record(&sample(2_999, 2_999, 9_000));
        recorder.record(&sample(3_000, 3_000, 3_001));
        drop(recorder);
        let intervals = ledger.into_intervals();
        let warm: u64 = intervals.warm.iter().map(Interval::count).sum();
        assert_eq!(warm, 2);
        let measured = intervals.measured.iter().map(Past::open);
        let counts: Vec<u64> = measured.map(|interval| interval.count()).collect();
        assert_eq!(counts, [1, 0, 0, 0, 0, 0, 0, 0, 1]);
        let late = &intervals.measured[8].open().kinds[0].clone();
        assert_eq!((late.count, late.in_window), (1, 0));
    }

    #[test]
    fn an_interval_knows_nothing_of_the_one_before() {
        let window = Window::fixed(0, 1_000, OPEN, 0);
        let ledger = Ledger::new(vec![OpKind::Get], 1_000);
        let mut recorder = Recorder::new(&ledger, &window);
        recorder.record(&sample(100, 100, 900));
        recorder.record(&sample(1_000, 1_000, 1_500));
        recorder.record(&sample(2_000, 2_000, 2_020));
        drop(recorder);
        let response = |interval: &Past| {
            let response = &interval.open().kinds[0].clocks.response;
            (response.min(), response.max())
        };
        let intervals = ledger.into_intervals();
        let found: Vec<_> = intervals.measured.iter().map(response).collect();
        assert_eq!(found, [(500, 500), (20, 20)]);
    }

    #[test]
    fn who_is_late_for_an_interval_that_is_packed_still_adds_to_it() {
        let window = Window::fixed(0, 0, OPEN, 0);
        let ledger = Ledger::new(vec![OpKind::Get], 1_000);
        let mut recorder = Recorder::new(&ledger, &window);
        for i in 0..20 {
            recorder.record(&sample(i * 1_000, i * 1_000, i * 1_000 + 5));
            ledger.pack();
        }
        recorder.record(&sample(2_000, 2_000, 2_900));
        drop(recorder);
        ledger.pack();
        let intervals = ledger.into_intervals();
        let is_open = |past: &&Past| matches!(past, Past::Open(_));
        assert_eq!(intervals.measured.iter().filter(is_open).count(), OPEN_KEPT);
        let measured = intervals.measured.iter().map(Past::open);
        let counts: Vec<u64> = measured.map(|interval| interval.count()).collect();
        assert_eq!(counts[..4], [1, 1, 2, 1]);
        assert_eq!(
            intervals.measured[2].open().kinds[0].clocks.response.max(),
            900
        );
    }

    #[test]
    fn a_long_warm_up_is_not_kept() {
        let window = Window::starting(0, 0);
        let ledger = Ledger::new(vec![OpKind::Get], 1_000);
        let warm_ns = ledger.warm_interval_ns;
        let mut recorder = Recorder::new(&ledger, &window);
        for i in 0..1_000 {
            recorder.record(&sample(i * warm_ns, i * warm_ns, i * warm_ns));
        }
        // Another driver, that is far behind.
        let mut late = Recorder::new(&ledger, &window);
        late.record(&sample(0, 0, 0));
        drop((recorder, late));
        let intervals = ledger.into_intervals();
        let counts: Vec<u64> = intervals.warm.iter().map(Interval::count).collect();
        assert_eq!(counts, [1; WARM_KEPT]);
    }

    #[test]
    fn a_known_distribution_is_found_within_one_percent() {
        let window = Window::fixed(0, 0, OPEN, 0);
        let ledger = Ledger::new(vec![OpKind::Get], 1_000_000_000);
        let mean = 300_000.0;
        let stream = Stream::new(1, "latency", 0);
        let n = 1_000_000;
        std::thread::scope(|scope| {
            for part in 0..4 {
                let (ledger, window) = (&ledger, &window);
                scope.spawn(move || {
                    let mut recorder = Recorder::new(ledger, window);
                    for i in 0..n / 4 {
                        // Stratified, so that the sample's own error is far below the tolerance.
                        let u = (i as f64 * 4.0 + f64::from(part) + stream.at(i).unit()) / n as f64;
                        let latency = (-mean * (1.0 - u).ln()) as u64;
                        let intended = i * 10_000;
                        recorder.record(&sample(intended, intended, intended + latency));
                    }
                });
            }
        });
        let intervals = ledger.into_intervals();
        let mut all = Interval::empty(1);
        intervals
            .measured
            .iter()
            .for_each(|interval| all.add(&interval.open()));
        assert_eq!(all.count(), n);
        for q in [0.5, 0.9, 0.99, 0.999] {
            let expected = -mean * (1.0f64 - q).ln();
            let found = all.kinds[0].clocks.response.value_at_quantile(q) as f64;
            assert!(
                (found / expected - 1.0).abs() < 0.01,
                "q {q}: {found} for {expected}"
            );
        }
    }
}
