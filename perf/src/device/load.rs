//! Keeps a number of operations in flight for a while and times each.

use hdrhistogram::Histogram;
use ringkeep_bench::random::Stream;
use ringkeep_io::{Buffer, File, Io, IoError, Nanos, PAGE, Ticket, WriteDurability};
use rustix::time::{ClockId, clock_gettime};

use super::job::{Job, JobKind, Measured};
use crate::exit::Fault;

/// The largest single write.
pub const WRITE_BYTES_MAX: u64 = 1 << 20;

/// A tenth of the time goes by before anything counts.
const WARM_UP_SHARE: f64 = 0.1;

/// Runs one job for `seconds`; nothing if it completed nothing.
pub fn run(
    io: &Io,
    file: &File,
    file_bytes: u64,
    job: &Job,
    seconds: f64,
) -> Result<Option<Measured>, Fault> {
    let mut places = Places::new(job, file_bytes);
    let cannot = |error: IoError| Fault::internal(format!("{job:?} on the scratch file: {error}"));
    let start = |buffer: Buffer, places: &mut Places| {
        let (offset, length) = (places.next(), job.bytes as usize);
        match job.kind {
            JobKind::Read => io.read(file, offset, buffer),
            JobKind::DurableWrite => {
                io.write(file, offset, buffer, length, WriteDurability::Durable)
            }
            JobKind::Sync => io.sync(file),
        }
    };
    let nanos = (seconds * 1e9) as Nanos;
    let began = io.now();
    let counted_from = began + (nanos as f64 * WARM_UP_SHARE) as Nanos;
    let ends = began + nanos;
    let mut meter = Meter::new();
    let mut slots: Vec<(Ticket, Nanos)> = Vec::new();
    for _ in 0..job.depth {
        let buffer = fresh_buffer(io, job);
        let buffer = before_each(io, file, job, buffer, &mut places).map_err(cannot)?;
        slots.push((start(buffer, &mut places), io.now()));
        hand_in(io);
    }
    loop {
        io.turn();
        let now = io.now();
        if now >= ends {
            break;
        }
        meter.open_at(now, counted_from);
        let mut taken = 0;
        for (ticket, since) in &mut slots {
            let Some(completion) = ticket.try_take() else {
                continue;
            };
            completion.result.map_err(cannot)?;
            meter.record(now - *since);
            taken += 1;
            let buffer =
                before_each(io, file, job, completion.buffer, &mut places).map_err(cannot)?;
            *since = io.now();
            *ticket = start(buffer, &mut places);
            hand_in(io);
        }
        if taken == 0 {
            io.park(Some(ends));
        }
    }
    let measured = meter.close(io.now());
    for (ticket, _) in slots {
        wait(io, ticket).map_err(cannot)?;
    }
    Ok(measured)
}

/// Each by itself, as fio does unless told otherwise: what is handed in together completes together on some devices,
/// and then a depth of eight is eight at once and none in between.
fn hand_in(io: &Io) {
    io.turn();
}

/// What precedes the timed part: a sync needs something to sync.
fn before_each(
    io: &Io,
    file: &File,
    job: &Job,
    buffer: Buffer,
    places: &mut Places,
) -> Result<Buffer, IoError> {
    if job.kind != JobKind::Sync {
        return Ok(buffer);
    }
    let page = noise(PAGE);
    let ticket = io.write(file, places.next(), page, PAGE, WriteDurability::Cached);
    wait(io, ticket)
}

fn fresh_buffer(io: &Io, job: &Job) -> Buffer {
    match job.kind {
        // As the engine reads: into a registered frame.
        JobKind::Read => io.frame(),
        JobKind::DurableWrite | JobKind::Sync => noise(job.bytes as usize),
    }
}

/// Bytes that no device compresses or recognises.
pub fn noise(length: usize) -> Buffer {
    let mut buffer = Buffer::zeroed(length);
    let random = Stream::new(1, "device", length as u64);
    for (i, word) in buffer.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&random.at(i as u64).bits().to_le_bytes());
    }
    buffer
}

/// Waits for one operation.
pub fn wait(io: &Io, mut ticket: Ticket) -> Result<Buffer, IoError> {
    loop {
        io.turn();
        match ticket.try_take() {
            Some(completion) => return completion.result.map(|_| completion.buffer),
            None => io.park(None),
        }
    }
}

/// Where the next operation goes.
struct Places {
    random: Option<Stream>,
    count: u64,
    of: u64,
    bytes: u64,
}

impl Places {
    fn new(job: &Job, file_bytes: u64) -> Places {
        Places {
            random: (job.kind == JobKind::Read)
                .then(|| Stream::new(2, "device", u64::from(job.depth))),
            count: 0,
            of: file_bytes / job.bytes,
            bytes: job.bytes,
        }
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        let place = match &self.random {
            Some(random) => random.at(self.count).below(self.of),
            None => self.count % self.of,
        };
        place * self.bytes
    }
}

/// Times and CPU of what completes after the warm-up.
struct Meter {
    times: Histogram<u64>,
    opened: Option<(Nanos, u64)>,
}

impl Meter {
    fn new() -> Meter {
        let times = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("fixed bounds");
        Meter {
            times,
            opened: None,
        }
    }

    fn open_at(&mut self, now: Nanos, from: Nanos) {
        if self.opened.is_none() && now >= from {
            self.opened = Some((now, process_cpu()));
        }
    }

    fn record(&mut self, nanos: Nanos) {
        if self.opened.is_some() {
            self.times.saturating_record(nanos);
        }
    }

    fn close(self, now: Nanos) -> Option<Measured> {
        let (since, cpu) = self.opened?;
        let operations = self.times.len();
        if operations == 0 {
            return None;
        }
        Some(Measured {
            operations,
            per_s: operations as f64 * 1e9 / (now - since) as f64,
            p50_ns: self.times.value_at_quantile(0.5),
            p99_ns: self.times.value_at_quantile(0.99),
            p999_ns: self.times.value_at_quantile(0.999),
            cpu_ns_per_operation: Some((process_cpu() - cpu) as f64 / operations as f64),
        })
    }
}

/// Of the whole process: the kernel's worker threads for blocking writes belong to it.
fn process_cpu() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
