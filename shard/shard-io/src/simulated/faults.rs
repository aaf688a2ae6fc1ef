//! What goes wrong next: by rule for those who plan it, by chance for those who do not.

use super::Probabilities;
use super::random::Random;
use crate::Doing;

/// How often an injected error strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// One time.
    Once,
    /// This many times in a row.
    Count(u64),
    /// From then on, until [`heal`](super::SimulatedDisk::heal).
    Always,
}

/// What becomes of one operation; decided when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Normal,
    Fail(i32),
    /// Acknowledged and not done.
    Lost,
    /// Acknowledged and done somewhere else.
    Misdirected,
    /// Ends after this many pages.
    Short(usize),
    /// Never ends by itself.
    Stuck,
}

#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
}

struct Rule {
    doing: Doing,
    /// Only operations on this file.
    inode: Option<u64>,
    /// Operations that it still lets pass.
    spared: u64,
    left: u64,
    fate: Fate,
}

impl Faults {
    pub fn add(&mut self, doing: Doing, inode: Option<u64>, spared: u64, fate: Fate, times: Times) {
        let left = match times {
            Times::Once => 1,
            Times::Count(count) => count,
            Times::Always => u64::MAX,
        };
        self.rules.push(Rule {
            doing,
            inode,
            spared,
            left,
            fate,
        });
    }

    pub fn heal(&mut self) {
        self.rules.clear();
    }

    /// The oldest rule that strikes; the others count the operation all the same.
    pub fn strike(&mut self, doing: Doing, inode: Option<u64>) -> Option<Fate> {
        let mut struck = None;
        self.rules.retain_mut(|rule| {
            let concerned = rule.doing == doing && (rule.inode.is_none() || rule.inode == inode);
            if !concerned {
                return true;
            }
            if rule.spared > 0 {
                rule.spared -= 1;
                return true;
            }
            if struck.is_none() {
                struck = Some(rule.fate);
                rule.left = rule.left.saturating_sub(u64::from(rule.left != u64::MAX));
            }
            rule.left > 0
        });
        struck
    }

    pub fn fate(
        &mut self,
        doing: Doing,
        inode: u64,
        pages: usize,
        probabilities: &Probabilities,
        random: &mut Random,
    ) -> Fate {
        if let Some(fate) = self.strike(doing, Some(inode)) {
            return fate;
        }
        let error = match doing {
            Doing::Read => probabilities.read_error,
            Doing::Write => probabilities.write_error,
            _ => probabilities.sync_error,
        };
        if random.chance(error) {
            return Fate::Fail(libc::EIO);
        }
        if pages > 1 && random.chance(probabilities.short) {
            return Fate::Short(1 + random.below(pages as u64 - 1) as usize);
        }
        Fate::Normal
    }
}
