//! One file: what reads see, what is durable, and the writes between the two.
//!
//! A page version is a write that reads see and stable storage may not have yet. Versions of a page are in the order
//! in which they completed; the last is what reads see. A sync makes the newest one that it covers durable and forgets the
//! older ones. A failed sync leaves them where they are but marks them clean, as Linux does with its pages: no later sync will
//! write them, and only a crash decides what became of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::random::{Random, mix};
use super::{Crash, SECTOR};
use crate::PAGE;

pub(super) type Page = [u8; PAGE];
/// Shared between the views of a file; `None` is a page of zeros.
pub(super) type PageRef = Option<Rc<Page>>;
pub(super) type InodeRef = Rc<RefCell<Inode>>;

/// Versions of a page in the page cache that a crash chooses from.
const CACHED_VERSIONS_MAX: usize = 4;

/// Position in the order of completions on one disk.
pub(super) type Stamp = u64;

pub(super) struct Inode {
    pub id: u64,
    visible: Vec<PageRef>,
    size: u64,
    durable: Vec<PageRef>,
    durable_size: u64,
    versions: BTreeMap<usize, Vec<Version>>,
    sizes: Vec<(Stamp, u64)>,
    /// Room that this file takes of the disk's.
    reserved: u64,
    used: Rc<Cell<u64>>,
    /// Reads that touch these bytes fail until they are written again.
    bad: Vec<Range<u64>>,
}

#[derive(Clone)]
struct Version {
    stamp: Stamp,
    page: PageRef,
    clean: bool,
}

impl Inode {
    pub fn new(id: u64, used: Rc<Cell<u64>>) -> Inode {
        Inode {
            id,
            visible: Vec::new(),
            size: 0,
            durable: Vec::new(),
            durable_size: 0,
            versions: BTreeMap::new(),
            sizes: Vec::new(),
            reserved: 0,
            used,
            bad: Vec::new(),
        }
    }

    /// The same file on another disk.
    pub fn copy(&self, used: &Rc<Cell<u64>>) -> Inode {
        used.set(used.get() + self.reserved);
        Inode {
            id: self.id,
            visible: self.visible.clone(),
            size: self.size,
            durable: self.durable.clone(),
            durable_size: self.durable_size,
            versions: self.versions.clone(),
            sizes: self.sizes.clone(),
            reserved: self.reserved,
            used: Rc::clone(used),
            bad: self.bad.clone(),
        }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn page(&self, index: usize) -> PageRef {
        page(&self.visible, index)
    }

    /// The pages of a range and how many of its bytes lie inside the file; `None` when a bad sector is hit.
    pub fn read(&self, offset: u64, length: usize) -> Option<(usize, Vec<PageRef>)> {
        let bytes = self.size.saturating_sub(offset).min(length as u64);
        let range = offset..offset + bytes;
        if self.bad.iter().any(|bad| overlaps(bad, &range)) {
            return None;
        }
        let first = offset as usize / PAGE;
        let pages = (bytes as usize).div_ceil(PAGE);
        let pages = (first..first + pages).map(|index| self.page(index));
        Some((bytes as usize, pages.collect()))
    }

    /// Room that a file of this size takes more than now.
    pub fn growth(&self, size: u64) -> u64 {
        whole_pages(size).saturating_sub(self.reserved)
    }

    pub fn reserve(&mut self, size: u64) {
        let growth = self.growth(size);
        self.reserved += growth;
        self.used.set(self.used.get() + growth);
    }

    pub fn give_back(&mut self) {
        self.set_reserved(0);
    }

    fn set_reserved(&mut self, bytes: u64) {
        self.used.set(self.used.get() - self.reserved + bytes);
        self.reserved = bytes;
    }

    pub fn write(&mut self, stamp: Stamp, first: usize, pages: &[PageRef], durable: bool) {
        self.put(stamp, first, pages, durable);
        let end = (first + pages.len()) * PAGE;
        self.extend(stamp, end as u64, durable);
    }

    /// One page of a write into the page cache, which goes up to `end`.
    pub fn store(&mut self, stamp: Stamp, index: usize, page: PageRef, end: u64) {
        self.put(stamp, index, &[page], false);
        self.extend(stamp, end, false);
        self.forget_versions(index);
    }

    fn put(&mut self, stamp: Stamp, first: usize, pages: &[PageRef], durable: bool) {
        for (index, page) in (first..).zip(pages) {
            put(&mut self.visible, index, page.clone());
            if durable {
                put(&mut self.durable, index, page.clone());
                self.versions.remove(&index);
            } else {
                self.add_version(stamp, index, page.clone());
            }
        }
        let end = ((first + pages.len()) * PAGE) as u64;
        self.bad
            .retain(|bad| !overlaps(bad, &((first * PAGE) as u64..end)));
    }

    /// The size that a write up to `end` needs.
    pub fn extend(&mut self, stamp: Stamp, end: u64, durable: bool) {
        self.reserve(end);
        let grown = end > self.size;
        self.size = self.size.max(end);
        if durable {
            self.durable_size = self.durable_size.max(end);
            // A pending cut from before must not take this write with it.
            self.sizes
                .iter_mut()
                .for_each(|(_, size)| *size = (*size).max(end));
        } else if grown {
            self.sizes.push((stamp, end));
        }
    }

    fn add_version(&mut self, stamp: Stamp, index: usize, page: PageRef) {
        self.versions.entry(index).or_default().push(Version {
            stamp,
            page,
            clean: false,
        });
    }

    /// Of a page that is written again and again a crash leaves what is durable or one of the last.
    fn forget_versions(&mut self, index: usize) {
        if let Some(versions) = self.versions.get_mut(&index) {
            let before = versions.len().saturating_sub(CACHED_VERSIONS_MAX);
            versions.drain(..before);
        }
    }

    /// What a write that was under way may have left; reads do not see it.
    pub fn write_in_flight(&mut self, stamp: Stamp, first: usize, pages: &[PageRef]) {
        for (index, page) in (first..).zip(pages) {
            self.add_version(stamp, index, page.clone());
        }
        let end = ((first + pages.len()) * PAGE) as u64;
        let so_far = self.sizes.last().map_or(self.size, |&(_, size)| size);
        if end > so_far {
            self.sizes.push((stamp, end));
        }
    }

    pub fn set_size(&mut self, stamp: Stamp, size: u64) {
        let kept = (size as usize).div_ceil(PAGE);
        for index in kept..self.visible.len() {
            if self.page(index).is_some() {
                self.add_version(stamp, index, None);
            }
        }
        self.visible.truncate(kept);
        if let Some(cut) = cut(&self.visible, size) {
            put(&mut self.visible, kept - 1, cut.clone());
            self.add_version(stamp, kept - 1, cut);
        }
        self.size = size;
        self.sizes.push((stamp, size));
        let reserved = whole_pages(size);
        if reserved < self.reserved {
            self.set_reserved(reserved);
        } else {
            self.reserve(size);
        }
    }

    /// Makes everything up to `covered` durable.
    pub fn sync(&mut self, covered: Stamp) {
        let durable = &mut self.durable;
        self.versions.retain(|&index, versions| {
            let newest = versions
                .iter()
                .rposition(|version| version.stamp <= covered && !version.clean);
            if let Some(newest) = newest {
                let version = versions.drain(..=newest).next_back();
                put(durable, index, version.and_then(|version| version.page));
            }
            !versions.is_empty()
        });
        let sizes = self.sizes.partition_point(|&(stamp, _)| stamp <= covered);
        if let Some((_, size)) = self.sizes.drain(..sizes).next_back() {
            self.durable_size = size;
        }
    }

    /// What Linux does when writing back fails: nothing is durable and nobody will try again.
    pub fn fail_sync(&mut self, covered: Stamp) {
        for version in self.versions.values_mut().flatten() {
            version.clean |= version.stamp <= covered;
        }
    }

    /// Leaves what stable storage has, plus what chance adds of the rest.
    pub fn crash(&mut self, survival: &mut Survival) {
        if self.versions.is_empty() && self.sizes.is_empty() {
            return;
        }
        for (index, versions) in std::mem::take(&mut self.versions) {
            let survivor = survival.page(&page(&self.durable, index), &versions);
            put(&mut self.durable, index, survivor);
        }
        let sizes = std::mem::take(&mut self.sizes);
        self.durable_size = survival.size(self.durable_size, &sizes);
        self.settle();
    }

    /// Makes the durable image the only one.
    fn settle(&mut self) {
        self.size = self.durable_size;
        trim(&mut self.durable, self.size);
        self.visible.clone_from(&self.durable);
        self.versions.clear();
        self.sizes.clear();
        self.set_reserved(whole_pages(self.size));
    }

    /// Damages every image of a byte range alike, as rot does.
    pub fn damage(&mut self, offset: u64, length: usize, change: impl Fn(usize, &mut u8)) {
        for position in 0..length {
            let at = offset as usize + position;
            let (index, inside) = (at / PAGE, at % PAGE);
            let alter = |page: &mut PageRef| {
                let page = page.get_or_insert_with(|| Rc::new([0; PAGE]));
                change(position, &mut Rc::make_mut(page)[inside]);
            };
            for image in [&mut self.visible, &mut self.durable] {
                if let Some(page) = image.get_mut(index) {
                    alter(page);
                }
            }
            for version in self.versions.get_mut(&index).into_iter().flatten() {
                alter(&mut version.page);
            }
        }
    }

    /// Cuts every image of the file alike.
    pub fn cut_everywhere(&mut self, size: u64) {
        self.versions
            .retain(|&index, _| index * PAGE < size as usize);
        self.sizes.clear();
        self.size = size;
        self.durable_size = size;
        for image in [&mut self.visible, &mut self.durable] {
            trim(image, size);
        }
        self.set_reserved(whole_pages(size));
    }

    pub fn add_bad(&mut self, range: Range<u64>) {
        self.bad.push(range);
    }

    pub fn contents(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size as usize];
        for (chunk, page) in bytes.chunks_mut(PAGE).zip(&self.visible) {
            if let Some(page) = page {
                chunk.copy_from_slice(&page[..chunk.len()]);
            }
        }
        bytes
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        self.set_reserved(0);
    }
}

/// Decides at a crash what survives.
pub(super) struct Survival<'r> {
    crash: Crash,
    random: &'r mut Random,
    nonce: u64,
}

impl<'r> Survival<'r> {
    pub fn new(crash: Crash, random: &'r mut Random) -> Survival<'r> {
        let crash = match crash {
            Crash::Random => match random.below(8) {
                0 => Crash::LoseAll,
                1 => Crash::KeepAll,
                2..=4 => Crash::Writes,
                _ => Crash::Sectors,
            },
            chosen => chosen,
        };
        let nonce = random.next();
        Survival {
            crash,
            random,
            nonce,
        }
    }

    pub fn keeps(&mut self) -> bool {
        match self.crash {
            Crash::LoseAll => false,
            Crash::KeepAll => true,
            _ => self.random.coin(),
        }
    }

    /// The same answer for every page of one write.
    fn keeps_write(&self, stamp: Stamp) -> bool {
        mix(self.nonce ^ stamp) & 1 == 1
    }

    fn page(&mut self, durable: &PageRef, versions: &[Version]) -> PageRef {
        let pick = |choice: usize| match choice {
            0 => durable,
            version => &versions[version - 1].page,
        };
        match self.crash {
            Crash::LoseAll => durable.clone(),
            Crash::KeepAll => pick(versions.len()).clone(),
            Crash::Writes => {
                let kept = (1..=versions.len())
                    .filter(|&choice| self.keeps_write(versions[choice - 1].stamp))
                    .collect::<Vec<_>>();
                match kept.len() {
                    0 => durable.clone(),
                    count => pick(kept[self.random.below(count as u64) as usize]).clone(),
                }
            }
            Crash::Sectors | Crash::Random => {
                let mut choose = || self.random.below(versions.len() as u64 + 1) as usize;
                let choices: [usize; PAGE / SECTOR] = std::array::from_fn(|_| choose());
                compose(|sector| pick(choices[sector]))
            }
        }
    }

    fn size(&mut self, durable: u64, sizes: &[(Stamp, u64)]) -> u64 {
        match (self.crash, sizes.last()) {
            (_, None) | (Crash::LoseAll, _) => durable,
            (Crash::KeepAll, Some(&(_, last))) => last,
            (_, Some(_)) => match self.random.below(sizes.len() as u64 + 1) as usize {
                0 => durable,
                choice => sizes[choice - 1].1,
            },
        }
    }
}

/// A page made of sectors of others.
pub(super) fn compose<'p>(pick: impl Fn(usize) -> &'p PageRef) -> PageRef {
    let mut page = [0; PAGE];
    for (sector, bytes) in page.chunks_exact_mut(SECTOR).enumerate() {
        if let Some(from) = pick(sector) {
            bytes.copy_from_slice(&from[sector * SECTOR..][..SECTOR]);
        }
    }
    Some(Rc::new(page))
}

fn page(pages: &[PageRef], index: usize) -> PageRef {
    pages.get(index).cloned().flatten()
}

fn put(pages: &mut Vec<PageRef>, index: usize, page: PageRef) {
    if pages.len() <= index {
        pages.resize(index + 1, None);
    }
    pages[index] = page;
}

/// Forgets what lies past the end of the file.
fn trim(pages: &mut Vec<PageRef>, size: u64) {
    pages.truncate((size as usize).div_ceil(PAGE));
    if let Some(cut) = cut(pages, size) {
        pages[size as usize / PAGE] = cut;
    }
}

/// The last page with zeros past the end of the file, if it has anything else there.
fn cut(pages: &[PageRef], size: u64) -> Option<PageRef> {
    let inside = size as usize % PAGE;
    let last = pages.get(size as usize / PAGE)?.as_ref()?;
    if last[inside..].iter().all(|&byte| byte == 0) {
        return None;
    }
    let mut page = **last;
    page[inside..].fill(0);
    Some(Some(Rc::new(page)))
}

fn whole_pages(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE as u64)
}

fn overlaps(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}
