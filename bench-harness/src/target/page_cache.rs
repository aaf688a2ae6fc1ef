//! Keeps the kernel's page cache from adding to a target's memory.
//!
//! A store that reads through the page cache has the whole machine's memory as a second cache. Where data
//! larger than memory is asked for, that would measure the machine. The pages of the store's files are
//! therefore dropped again and again while it is open, so that what it may keep is its own cache alone. Dirty
//! and mapped pages stay: a store that maps its files cannot be held to a budget this way.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Advice, fadvise};

/// Short against the time in which a device could refill a noticeable share of the data.
const EVERY: Duration = Duration::from_millis(20);
/// Rounds between two looks for files that have come and gone.
const LOOK_EVERY: u32 = 25;

/// Drops the pages of all files below a directory until it is dropped itself.
#[derive(Debug)]
pub struct PageCacheOff {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PageCacheOff {
    /// Starts with the files that are there now.
    pub fn below(dir: &Path) -> PageCacheOff {
        let over = Arc::new(AtomicBool::new(false));
        let (seen, dir) = (over.clone(), dir.to_path_buf());
        let thread = std::thread::spawn(move || drop_pages(&dir, &seen));
        PageCacheOff {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for PageCacheOff {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn drop_pages(dir: &Path, over: &AtomicBool) {
    let mut files = HashMap::new();
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        if round % LOOK_EVERY == 0 {
            let mut found = HashMap::new();
            look(dir, &mut files, &mut found);
            files = found;
        }
        for file in files.values() {
            // Advice may be ignored; the report's bytes read from storage show whether it was.
            fadvise(file, 0, None, Advice::DontNeed).ok();
        }
        round += 1;
        std::thread::sleep(EVERY);
    }
}

fn look(dir: &Path, known: &mut HashMap<PathBuf, File>, found: &mut HashMap<PathBuf, File>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => look(&path, known, found),
            Ok(kind) if kind.is_file() => {
                let file = known.remove(&path).or_else(|| File::open(&path).ok());
                if let Some(file) = file {
                    found.insert(path, file);
                }
            }
            _ => {}
        }
    }
}
