//! Halving a row of commits, of which some cannot be judged.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// What is known about one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// As before.
    Good,
    /// Changed.
    Bad,
    /// Not built, or not to be compared.
    Skipped,
}

/// Where the change is among commits `0..count`, of which the last is known to be bad and the one before the first
/// to be good. More than one if what lies between could not be judged.
pub fn first_bad<E>(
    count: usize,
    mut judge: impl FnMut(usize) -> Result<Step, E>,
) -> Result<RangeInclusive<usize>, E> {
    assert!(count > 0, "the bad end is one of them");
    let (mut from, mut bad) = (0, count - 1);
    let mut skipped = BTreeSet::new();
    loop {
        let middle = from + (bad - from) / 2;
        let open = (from..bad).filter(|commit| !skipped.contains(commit));
        let Some(commit) = open.min_by_key(|commit| commit.abs_diff(middle)) else {
            return Ok(from..=bad);
        };
        match judge(commit)? {
            Step::Good => from = commit + 1,
            Step::Bad => bad = commit,
            Step::Skipped => {
                skipped.insert(commit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ringkeep_bench::random::Stream;

    use super::*;

    fn search(count: usize, guilty: usize, skipped: &[usize]) -> (RangeInclusive<usize>, usize) {
        let mut asked = BTreeSet::new();
        let found = first_bad(count, |commit| {
            assert!(asked.insert(commit), "{commit} twice");
            Ok::<_, ()>(match commit {
                _ if skipped.contains(&commit) => Step::Skipped,
                _ if commit < guilty => Step::Good,
                _ => Step::Bad,
            })
        });
        (found.expect("no faults"), asked.len())
    }

    #[test]
    fn every_commit_of_every_row_is_found_in_few_steps() {
        for count in 1..40usize {
            for guilty in 0..count {
                let (found, steps) = search(count, guilty, &[]);
                assert_eq!(found, guilty..=guilty);
                assert!(steps <= count.ilog2() as usize + 1, "{steps} for {count}");
            }
        }
    }

    #[test]
    fn what_cannot_be_judged_widens_the_answer_and_never_moves_it() {
        for round in 0..500 {
            let mut draws = Stream::new(1, "bisect", 0).at(round);
            let count = 1 + draws.below(30) as usize;
            let guilty = draws.below(count as u64) as usize;
            let skipped: Vec<usize> = (0..count - 1).filter(|_| draws.below(3) == 0).collect();
            let (found, _) = search(count, guilty, &skipped);
            assert!(found.contains(&guilty), "{found:?} without {guilty}");
            for commit in *found.start()..*found.end() {
                assert!(skipped.contains(&commit), "{commit} was never asked about");
            }
        }
    }
}
