//! Lists that transactions append to, beside the other keys: what they were at the last opening, and who has
//! seen them as what since.

use crate::failure::{Check, Verdict, failed};
use crate::history::{Contents, Fate, NEVER, Objection, Seen, judge};

/// How many there are.
pub const LISTS: u32 = 5;

/// Everything about the lists in this life.
#[derive(Default)]
pub struct Lists {
    first: Contents,
    seen: Vec<Seen>,
    elements: u64,
    /// Beginnings and ends so far.
    moments: u64,
}

impl Lists {
    /// An element that is in no list.
    pub fn new_element(&mut self) -> u64 {
        self.elements += 1;
        self.elements
    }

    /// A transaction begins; its place in the history.
    pub fn begin(&mut self, element: u64, appends: &[u32], serializable: bool) -> usize {
        let began = self.moment();
        self.seen.push(Seen {
            element,
            reads: Vec::new(),
            appends: appends.to_vec(),
            serializable,
            fate: Fate::Unknown,
            began,
            ended: NEVER,
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
        self.seen[place].ended = self.moment();
    }

    fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }

    /// Transactions of this life that were acknowledged.
    pub fn committed(&self) -> usize {
        let committed = |one: &&Seen| one.fate == Fate::Committed;
        self.seen.iter().filter(committed).count()
    }

    /// The log failed under it. Until the next opening nobody sees what it wrote, and its locks are gone: if it comes
    /// back then, others have changed what it has read, and read what it changes, as if it had not been.
    pub fn fails(&mut self, place: usize) {
        self.seen[place].serializable = false;
    }

    /// Judges this life by what the next opening finds, or a copy of the disk.
    pub fn survived(&self, last: &Contents) -> Verdict {
        match judge(&self.seen, &self.first, last) {
            Ok(()) => Ok(()),
            Err(Objection::Impossible(story)) => failed(Check::Isolation, story),
            Err(Objection::Disagreement(story)) => failed(Check::Checkers, story),
        }
    }

    /// The next life begins with what was found.
    pub fn adopt(&mut self, last: Contents) {
        self.first = last;
        self.seen.clear();
    }
}
