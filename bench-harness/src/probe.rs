//! A short look at the device under a directory: enough to know its class, not to rate it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::environment::DeviceProbe;
use crate::random::Stream;
use crate::recorder::{histogram, note};

const FILE_BYTES: usize = 64 << 20;
const CHUNK: usize = 1 << 20;
const PAGE: usize = 4096;

/// Writes a scratch file in `dir`, reads and syncs pages of it for about `each` and removes it again.
pub fn probe(dir: &Path, each: Duration) -> Result<DeviceProbe, String> {
    let path = dir.join("device-probe");
    let found = probe_file(&path, each);
    let _ = std::fs::remove_file(&path);
    found.map_err(|error| format!("cannot probe the device under {}: {error}", dir.display()))
}

fn probe_file(path: &Path, each: Duration) -> std::io::Result<DeviceProbe> {
    let (file, direct) = open(path)?;
    let mut buffer = Aligned::new(CHUNK);
    let random = Stream::new(1, "probe", 0);
    for (i, word) in buffer.bytes().chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&random.at(i as u64).bits().to_le_bytes());
    }
    let began = Instant::now();
    let mut written = 0;
    while written < FILE_BYTES && began.elapsed() < 4 * each {
        file.write_all_at(buffer.bytes(), written as u64)?;
        written += CHUNK;
    }
    file.sync_data()?;
    let write_bytes_per_s = (written as f64 / began.elapsed().as_secs_f64()) as u64;

    let pages = (written / PAGE) as u64;
    let mut page = Aligned::new(PAGE);
    let mut at = 0;
    let reads = timed(each, || {
        at += 1;
        let offset = random.at(at).below(pages) * PAGE as u64;
        file.read_exact_at(page.bytes(), offset)
    })?;
    let mut end = written as u64;
    let syncs = timed(each, || {
        file.write_all_at(page.bytes(), end)?;
        end += PAGE as u64;
        file.sync_data()
    })?;
    Ok(DeviceProbe {
        direct,
        read_p50_ns: reads.0,
        read_p99_ns: reads.1,
        sync_p50_ns: syncs.0,
        sync_p99_ns: syncs.1,
        write_bytes_per_s,
    })
}

/// P50 and P99 of an action repeated for a while.
fn timed(
    each: Duration,
    mut action: impl FnMut() -> std::io::Result<()>,
) -> std::io::Result<(u64, u64)> {
    let mut times = histogram();
    let began = Instant::now();
    while began.elapsed() < each {
        let start = Instant::now();
        action()?;
        note(&mut times, start.elapsed().as_nanos() as u64);
    }
    Ok((times.value_at_quantile(0.5), times.value_at_quantile(0.99)))
}

/// Latency of direct 4 KiB reads with this many threads reading at once, over a scratch file in `dir`.
pub fn reads_at_depth(dir: &Path, depth: usize, each: Duration) -> Result<(f64, u64, u64), String> {
    let path = dir.join("device-probe");
    let fault =
        |error: std::io::Error| format!("cannot probe the device under {}: {error}", dir.display());
    let found = (|| {
        let (file, _) = open(&path)?;
        let mut buffer = Aligned::new(CHUNK);
        buffer.bytes().fill(0xa5);
        for i in 0..FILE_BYTES / CHUNK {
            file.write_all_at(buffer.bytes(), (i * CHUNK) as u64)?;
        }
        file.sync_data()?;
        let began = Instant::now();
        let mut all = histogram();
        let parts: Vec<std::io::Result<_>> = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..depth)
                .map(|reader| {
                    let file = &file;
                    scope.spawn(move || {
                        let random = Stream::new(2, "probe", reader as u64);
                        let mut page = Aligned::new(PAGE);
                        let mut times = histogram();
                        let mut at = 0;
                        while began.elapsed() < each {
                            at += 1;
                            let offset =
                                random.at(at).below((FILE_BYTES / PAGE) as u64) * PAGE as u64;
                            let start = Instant::now();
                            file.read_exact_at(page.bytes(), offset)?;
                            note(&mut times, start.elapsed().as_nanos() as u64);
                        }
                        Ok(times)
                    })
                })
                .collect();
            readers
                .into_iter()
                .map(|reader| reader.join().expect("a reader does not panic"))
                .collect()
        });
        for part in parts {
            crate::recorder::add(&mut all, &part?);
        }
        let per_s = all.len() as f64 / began.elapsed().as_secs_f64();
        Ok((
            per_s,
            all.value_at_quantile(0.5),
            all.value_at_quantile(0.99),
        ))
    })();
    let _ = std::fs::remove_file(&path);
    found.map_err(fault)
}

/// A new file, direct where the file system can; says which.
fn open(path: &Path) -> std::io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    let direct = options
        .clone()
        .custom_flags(OFlags::DIRECT.bits() as i32)
        .open(path);
    match direct {
        Ok(mut file) => {
            // Some file systems accept the flag and refuse the write.
            let works = file.write_all(Aligned::new(PAGE).bytes()).is_ok();
            if works {
                return Ok((file, true));
            }
            drop(file);
            std::fs::remove_file(path)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    Ok((options.open(path)?, false))
}

/// Bytes that begin at a page boundary, as direct I/O asks.
struct Aligned {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Aligned {
        let storage = vec![0; length + PAGE];
        let start = storage.as_ptr().align_offset(PAGE);
        Aligned {
            storage,
            start,
            length,
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;

    #[test]
    fn a_probe_times_its_calls_and_leaves_no_file() {
        let dir = DataDir::temporary().unwrap();
        let found = probe(dir.path(), Duration::from_millis(5)).unwrap();
        assert!(found.write_bytes_per_s > 0);
        assert!(!dir.path().join("device-probe").exists());
        // A histogram that does not grow once called every read one of two nanoseconds, less than any system call takes.
        assert!(found.read_p50_ns > 50, "{}", found.read_p50_ns);
        assert!(found.sync_p50_ns > 50, "{}", found.sync_p50_ns);
    }
}
