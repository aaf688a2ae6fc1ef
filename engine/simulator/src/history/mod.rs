//! What transactions over lists have seen, and whether it can have happened at the isolation that they were
//! promised. Two judges look at every history. They share this record and nothing else:
//!
//! ```text
//!   cycles.rs     infers who must come before whom, and looks for a circle that isolation forbids (Elle)
//!   schedule.rs   puts beginnings and commits in a row, and executes the row
//! ```
//!
//! A list that is only ever appended to tells its own history: who read it saw a prefix of what it became,
//! and so came after the last element seen and before the first one not seen.

pub mod cycles;
pub mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// What lists hold. One that is not there is empty.
pub type Contents = BTreeMap<u32, Vec<u64>>;

/// One transaction, as its client saw it: it has read lists, then appended its own element to some.
#[derive(Clone, Debug)]
pub struct Seen {
    /// In every list that it has appended to, and nowhere else.
    pub element: u64,
    /// Lists with what was in them.
    pub reads: Vec<(u32, Vec<u64>)>,
    /// Lists appended to.
    pub appends: Vec<u32>,
    /// What was asked for.
    pub serializable: bool,
    /// How it ended.
    pub fate: Fate,
    /// When it began, in the order of what clients see; its snapshot has all that had ended by then.
    pub began: u64,
    /// When its client heard how it ended; `NEVER` when that says nothing.
    pub ended: u64,
}

/// Not in this history.
pub const NEVER: u64 = u64::MAX;

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was acknowledged.
    Committed,
    /// It was refused: nothing of it may ever show. What it has read must fit all the same.
    Refused,
    /// Its client never heard.
    Unknown,
}

/// What is wrong with a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Objection {
    /// Both judges say so; in the words of the first.
    Impossible(String),
    /// One of them has missed something, or sees what is not there.
    Disagreement(String),
}

/// Asks both judges about one stretch of time, given what all lists held at its beginning and its end.
pub fn judge(seen: &[Seen], first: &Contents, last: &Contents) -> Result<(), Objection> {
    let by_cycles = cycles::judge(seen, first, last);
    let by_schedule = schedule::judge(seen, first, last);
    match (by_cycles, by_schedule) {
        (Ok(()), Ok(())) => Ok(()),
        (Err((anomaly, story)), Err(_)) => {
            Err(Objection::Impossible(format!("{anomaly:?}: {story}")))
        }
        (Err((anomaly, story)), Ok(())) => Err(Objection::Disagreement(format!(
            "a schedule explains what the search for circles calls {anomaly:?}: {story}"
        ))),
        (Ok(()), Err(story)) => Err(Objection::Disagreement(format!(
            "the search for circles finds nothing, and yet: {story}"
        ))),
    }
}
