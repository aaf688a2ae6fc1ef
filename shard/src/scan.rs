//! Scans, a page at a time. Each page seeks anew: between pages the shard keeps nothing, and what the
//! pinned version can see stays in the tables.

use std::ops::Bound;
use std::rc::Rc;

use ringkeep_io::planted::{Defect, planted};

use crate::blob::Fetches;
use crate::call::{Reply, ScanCall};
use crate::content::Content;
use crate::core::Core;
use crate::error::Result;
use crate::merge::{MergeCursor, Source};
use crate::scan_page::{BYTES_MAX, ScanPage};
use crate::table::BlockReader;
use crate::table_set::TableRun;
use crate::tasks::yield_now;
use crate::timeline::Moment;
use crate::token::Token;
use crate::version::Version;
use crate::watch::Phase;

/// Entries between two looks at what else there is to do.
const ENTRIES_PER_SLICE: usize = 512;

impl<T: Token> Core<T> {
    pub fn accept_scan(self: &Rc<Self>, token: T, mut scan: Box<ScanCall>) {
        let (core, watch) = (Rc::clone(self), token.watch().cloned());
        self.spawn_for(watch.clone(), async move {
            core.published
                .wait_until(|| core.is_settled(Some(scan.at.version)))
                .await;
            if let Some(watch) = watch {
                watch.rests_in(Phase::Io);
            }
            let mut page = std::mem::take(&mut scan.room);
            let misses = core.cache.borrow().misses();
            let filled = core.fill_page(&scan, &mut page).await;
            if core.cache.borrow().misses() != misses {
                core.make_room_for_blocks();
            }
            match filled {
                Ok(()) => {
                    core.pay_for_looks(page.len());
                    core.stats.borrow_mut().scan_pages += 1;
                    core.reply(token, Reply::Page(page));
                }
                Err(error) => core.reply(token, Reply::Failed(error)),
            }
        });
    }

    async fn fill_page(&self, scan: &ScanCall, page: &mut ScanPage) -> Result<()> {
        self.sort_memtables().await;
        self.check_readable(Some(scan.at.version))?;
        let version = self.read_version(Some(scan.at.version));
        let at = Moment { version, ..scan.at };
        let ranges = Rc::clone(&self.ranges.borrow());
        let mut merge = MergeCursor::visible(self.sources(version, scan), at).under(ranges);
        let (from, to) = (as_bytes(&scan.from), as_bytes(&scan.to));
        if scan.reverse {
            merge.seek_back(to).await?;
        } else {
            merge.seek(from).await?;
        }
        let bytes_max = scan.page_bytes.min(BYTES_MAX);
        page.begin(bytes_max);
        let entries_max = scan.entries_max;
        let has_room = move |page: &ScanPage| page.bytes() < bytes_max && page.len() < entries_max;
        let mut fetches = Fetches::default();
        let mut rested_at = 0;
        let done = loop {
            let Some(key) = merge.key() else {
                break true;
            };
            let inside = if scan.reverse {
                is_above(key, from)
            } else {
                is_below(key, to)
            };
            if !inside {
                break true;
            }
            if !has_room(page) {
                break planted(Defect::FullPageTakenForLast);
            }
            let elsewhere = merge.visit(|key, _, content: Content<'_>| match content {
                Content::Elsewhere(_, reference) if !scan.keys_only => {
                    page.push_room(key, reference.length());
                    Some(*reference)
                }
                _ => {
                    let value = content.value().filter(|_| !scan.keys_only);
                    page.push(key, value.unwrap_or_default());
                    None
                }
            });
            if let Some(reference) = elsewhere.flatten() {
                fetches.add(self, &reference, page).await?;
            }
            if page.len() - rested_at >= ENTRIES_PER_SLICE {
                rested_at = page.len();
                yield_now().await;
            }
            let passed = match scan.reverse {
                true => merge.prev_at_hand(),
                false => merge.pass_at_hand(to, |pieces| {
                    let takes = has_room(page);
                    if takes {
                        page.push_pieces(match scan.keys_only {
                            true => pieces.without_value(),
                            false => pieces,
                        });
                    }
                    takes
                }),
            };
            if passed {
                continue;
            }
            // No block is waited for that may have nothing of what is wanted.
            if page.len() >= entries_max {
                break false;
            }
            match scan.reverse {
                true => merge.prev().await?,
                false => merge.next().await?,
            }
        };
        self.stats.borrow_mut().expired_read += merge.expired();
        page.done = done;
        fetches.finish(page, 0).await
    }

    /// Everything that a reader at this version may see, newest first.
    fn sources(&self, at: Version, scan: &ScanCall) -> Vec<Source> {
        let memtables = self.memtables.borrow();
        let tables = self.tables.borrow();
        let generations = memtables
            .newest_first()
            .filter(|generation| !generation.is_empty())
            .map(|generation| Source::memtable(Rc::clone(&generation.table)));
        let all_bytes: u64 = tables.runs.iter().map(|run| run.weight).sum();
        let all_entries: u64 = tables.runs.iter().map(|run| run.entries).sum();
        let entry_bytes = all_bytes / all_entries.max(1) + 1;
        let wanted_bytes = entry_bytes
            .saturating_mul(scan.entries_max as u64)
            .min(scan.page_bytes as u64);
        let run = |run: &Rc<TableRun>| {
            let share = run.bytes.saturating_mul(wanted_bytes) / all_bytes.max(1);
            let cache = || Rc::clone(&self.cache);
            let reader = || {
                BlockReader::cached(self.io.clone(), cache(), share as usize).going(scan.reverse)
            };
            Source::run(run, at, reader)
        };
        let runs = tables.runs.iter().flat_map(run).flatten();
        generations.chain(runs).collect()
    }
}

fn as_bytes(bound: &Bound<Box<[u8]>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

fn is_below(key: &[u8], to: Bound<&[u8]>) -> bool {
    match to {
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
        Bound::Unbounded => true,
    }
}

fn is_above(key: &[u8], from: Bound<&[u8]>) -> bool {
    match from {
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
        Bound::Unbounded => true,
    }
}
