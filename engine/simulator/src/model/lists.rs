//! Lists that transactions append to, beside the other keys: what they were at the last opening, and who has
//! seen them as what since.

use std::collections::BTreeMap;

use crate::cycles::{Fate, Seen, judge};
use crate::failure::{Check, Verdict, failed};

/// How many there are.
pub const LISTS: u32 = 5;

/// Everything about the lists in this life.
#[derive(Default)]
pub struct Lists {
    first: BTreeMap<u32, Vec<u64>>,
    seen: Vec<Seen>,
    elements: u64,
}

impl Lists {
    /// An element that is in no list.
    pub fn new_element(&mut self) -> u64 {
        self.elements += 1;
        self.elements
    }

    /// A transaction begins; its place in the history.
    pub fn begin(&mut self, element: u64, appends: &[u32], serializable: bool) -> usize {
        self.seen.push(Seen {
            element,
            reads: Vec::new(),
            appends: appends.to_vec(),
            serializable,
            fate: Fate::Unknown,
        });
        self.seen.len() - 1
    }

    /// What it has read.
    pub fn reads(&mut self, place: usize, reads: Vec<(u32, Vec<u64>)>) {
        self.seen[place].reads = reads;
    }

    /// And how it has ended.
    pub fn ends(&mut self, place: usize, fate: Fate) {
        self.seen[place].fate = fate;
    }

    /// The log failed under it. Until the next opening nobody sees what it wrote, and its locks are gone: if it comes
    /// back then, others have changed what it has read, and read what it changes, as if it had not been.
    pub fn fails(&mut self, place: usize) {
        self.seen[place].serializable = false;
    }

    /// Judges this life by what the next opening finds, or a copy of the disk.
    pub fn survived(&self, last: &BTreeMap<u32, Vec<u64>>) -> Verdict {
        match judge(&self.seen, &self.first, last) {
            Ok(()) => Ok(()),
            Err((anomaly, story)) => failed(Check::Isolation, format!("{anomaly:?}: {story}")),
        }
    }

    /// The next life begins with what was found.
    pub fn adopt(&mut self, last: BTreeMap<u32, Vec<u64>>) {
        self.first = last;
        self.seen.clear();
    }
}
