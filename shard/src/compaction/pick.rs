//! Which runs to merge next.
//!
//! Lazy leveling: the oldest run is the last level and holds most of the data; what is above it comes in
//! tiers. Tiers of like size are merged with each other, so each record is rewritten about once a tier.
//! They are merged into the last level when what they replace there would take more than one part in
//! `SPACE_PARTS` of it: that bounds the space that old versions and deletions take. What they only add to it is no
//! reason, so a load of new keys is rewritten once a tier and no more.
//!
//! A merge is done in pieces, and between two of them another one may come first. A begun one shows in
//! the manifest: its runs end at the bottom where the merge has got to (`from`).

use std::ops::Range;

pub(super) const TIER_RUNS: usize = 4;
/// What hides in the last level behind newer versions and deletions stays below one part in so many.
pub(super) const SPACE_PARTS: u64 = 2;

/// What decides about a run.
#[derive(Clone, Copy, Default)]
pub(super) struct RunFacts<'a> {
    pub bytes: u64,
    /// Of its files: what a merge writes anew.
    pub file_bytes: u64,
    /// Of the runs behind it, what this one hides, about.
    pub replaces: u64,
    pub entries: u64,
    pub tombstones: u64,
    /// Of its entries, those that nobody needs any more once the run is rewritten at the bottom.
    pub droppable: u64,
    /// Some of it may be needed by nobody: of keyspaces that are gone, under range deletes, or beside what has a longer window.
    pub may_be_dead: bool,
    /// Neighbouring tables of it could be one.
    pub in_splinters: bool,
    /// It refers to blob files that have something dead,
    pub has_dead_blobs: bool,
    /// and to such as are less than half alive: to collect what is left of them gives back more than it takes.
    pub is_to_collect: bool,
    /// Where a merge that has begun goes on.
    pub from: &'a [u8],
}

impl RunFacts<'_> {
    fn entry_bytes(&self) -> u64 {
        self.bytes / self.entries.max(1)
    }
}

/// The runs to merge, as a stretch of `runs`, which are given newest first.
pub(super) fn pick(runs: &[RunFacts<'_>], runs_max: usize, whole: bool) -> Option<Range<usize>> {
    let begun = begun(runs);
    let fresh = begun.first().map_or(runs.len(), |first| first.start);
    let tier = full_tier(&runs[..fresh], begun.is_empty());
    if let Some(tier) = &tier
        && begun.is_empty()
        && is_nearly_the_bottoms(runs, tier)
    {
        return Some(0..runs.len());
    }
    // Small merges go first: there are few of them, and reads look through what they merge. At the end of a large one what is
    // left of it is the smaller.
    let left =
        |merge: &Range<usize>| -> u64 { runs[merge.clone()].iter().map(|run| run.bytes).sum() };
    let newest = begun.into_iter().next();
    if let Some(next) = tier.into_iter().chain(newest).min_by_key(left) {
        return Some(next);
    }
    let last = runs.len().checked_sub(1)?;
    let nothing_to_drop = runs[last].tombstones + runs[last].droppable == 0;
    let is_whole = !runs[last].in_splinters && !runs[last].has_dead_blobs;
    let is_clean = nothing_to_drop && !runs[last].may_be_dead && is_whole;
    if whole && !(last == 0 && is_clean) {
        return Some(0..runs.len());
    }
    if last > 0 && replaced(runs, last) * SPACE_PARTS >= runs[last].bytes {
        return Some(0..runs.len());
    }
    if runs[last].droppable * SPACE_PARTS >= runs[last].entries.max(1) {
        return Some(last..runs.len());
    }
    if let Some(at) = runs.iter().position(|run| run.is_to_collect) {
        return Some(at..at + 1);
    }
    cheapest(runs, runs_max.max(1))
}

/// A tier that would hardly be one before all is merged into the last level.
fn is_nearly_the_bottoms(runs: &[RunFacts<'_>], tier: &Range<usize>) -> bool {
    let last = runs.len() - 1;
    let replaced: u64 = runs[tier.clone()].iter().map(|run| run.replaces).sum();
    tier.end == last && replaced * SPACE_PARTS * 4 >= runs[last].bytes * 3
}

/// Bytes of the last level, which is `runs[last]`, that the runs above it replace or delete, about.
fn replaced(runs: &[RunFacts<'_>], last: usize) -> u64 {
    let deleted: u64 = runs[..last].iter().map(|run| run.tombstones).sum();
    let above: u64 = runs[..last].iter().map(|run| run.replaces).sum();
    above + deleted * runs[last].entry_bytes()
}

/// The newest stretch of runs in which none is larger than all newer ones in it together, by much. The
/// last level, when `with_last`, only belongs to it while it is small itself.
fn full_tier(runs: &[RunFacts<'_>], with_last: bool) -> Option<Range<usize>> {
    let tiers = runs.len() - usize::from(with_last && !runs.is_empty());
    for start in 0..tiers {
        let mut sum = runs[start].bytes;
        let mut end = start + 1;
        while end < runs.len() && runs[end].bytes <= sum + sum / 4 {
            sum += runs[end].bytes;
            end += 1;
        }
        if end - start >= TIER_RUNS {
            return Some(start..end);
        }
    }
    None
}

/// The cheapest stretch that brings the count back to the limit.
fn cheapest(runs: &[RunFacts<'_>], runs_max: usize) -> Option<Range<usize>> {
    let count = (runs.len() + 1).checked_sub(runs_max)?;
    if count < 2 {
        return None;
    }
    let bytes = |start: &usize| {
        runs[*start..start + count]
            .iter()
            .map(|run| run.bytes)
            .sum()
    };
    let start = (0..=runs.len() - count).min_by_key(|start| -> u64 { bytes(start) })?;
    Some(start..start + count)
}

/// Merges that have begun, newest first: neighbours that end at the same key.
pub(super) fn begun(runs: &[RunFacts<'_>]) -> Vec<Range<usize>> {
    let mut begun: Vec<Range<usize>> = Vec::new();
    for (at, run) in runs
        .iter()
        .enumerate()
        .filter(|(_, run)| !run.from.is_empty())
    {
        match begun.last_mut() {
            Some(range) if range.end == at && runs[range.start].from == run.from => range.end += 1,
            _ => begun.push(at..at + 1),
        }
    }
    begun
}

/// Bytes still to be read by the merges that have begun and by the one that is picked next.
pub(super) fn debt(runs: &[RunFacts<'_>], runs_max: usize) -> u64 {
    let mut merges = begun(runs);
    if let Some(next) = pick(runs, runs_max, false)
        && !merges.contains(&next)
    {
        merges.push(next);
    }
    let runs = merges.into_iter().flat_map(|merge| &runs[merge]);
    runs.map(|run| run.bytes).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn runs(bytes: &[u64]) -> Vec<RunFacts<'static>> {
        let run = |&bytes: &u64| RunFacts {
            bytes,
            file_bytes: bytes,
            replaces: bytes,
            entries: bytes,
            ..RunFacts::default()
        };
        bytes.iter().map(run).collect()
    }

    fn picked(bytes: &[u64]) -> Option<Range<usize>> {
        pick(&runs(bytes), 8, false)
    }

    #[test]
    fn what_is_left_of_blob_files_is_collected_run_by_run() {
        let mut runs = runs(&[10, 90, 400]);
        runs[1].is_to_collect = true;
        runs[2].is_to_collect = true;
        assert_eq!(pick(&runs, 8, false), Some(1..2));
        runs[1].is_to_collect = false;
        assert_eq!(pick(&runs, 8, false), Some(2..3));
        let mut alone = super::tests::runs(&[400]);
        assert_eq!(pick(&alone, 8, true), None);
        alone[0].has_dead_blobs = true;
        assert_eq!(pick(&alone, 8, false), None);
        assert_eq!(pick(&alone, 8, true), Some(0..1), "on request");
    }

    #[test]
    fn like_sized_neighbours_merge_and_the_last_level_only_when_that_pays() {
        assert_eq!(picked(&[10, 10, 60]), None);
        assert_eq!(picked(&[10, 10, 10, 10, 400]), Some(0..4));
        assert_eq!(picked(&[10, 40, 40, 40, 40, 4000]), Some(1..5));
        assert_eq!(picked(&[10, 90, 400]), None);
        assert_eq!(
            picked(&[10, 190, 400]),
            Some(0..3),
            "half of the last level is replaced"
        );
        assert_eq!(pick(&runs(&[1, 100, 1, 1, 9000]), 3, false), Some(0..3));
        assert_eq!(picked(&[40, 40, 40, 40, 460]), Some(0..4));
        assert_eq!(
            picked(&[40, 40, 40, 40, 420]),
            Some(0..5),
            "it would be half before long"
        );
    }

    #[test]
    fn a_run_of_deletions_goes_down_early() {
        let mut runs = runs(&[10, 400]);
        assert_eq!(pick(&runs, 8, false), None);
        runs[0].tombstones = 10;
        runs[1].entries = 4;
        assert_eq!(
            pick(&runs, 8, false),
            Some(0..2),
            "each deletes a hundred bytes"
        );
    }

    #[test]
    fn what_nobody_can_see_any_more_is_cleaned_out_of_the_last_level() {
        let mut runs = runs(&[10, 400]);
        runs[1].droppable = 200;
        assert_eq!(pick(&runs, 8, false), Some(1..2));
    }

    #[test]
    fn a_begun_merge_goes_on_when_nothing_smaller_is_due() {
        let mut runs = runs(&[10, 10, 300, 900, 100]);
        runs[2].from = b"k";
        runs[3].from = b"k";
        assert_eq!(pick(&runs, 8, false), Some(2..4));
        assert_eq!(debt(&runs, 8), 1200);
        let mut more = vec![runs[0]; 2];
        more.extend(runs);
        assert_eq!(pick(&more, 8, false), Some(0..4));
        assert_eq!(debt(&more, 8), 1240);
        more[1].from = b"c";
        assert_eq!(begun(&more), [1..2, 4..6]);
        more[1].from = b"";
        (more[4].bytes, more[5].bytes) = (15, 15);
        assert_eq!(
            pick(&more, 8, false),
            Some(4..6),
            "it has less left than the tier"
        );
    }

    #[test]
    fn a_request_merges_everything_once() {
        assert_eq!(pick(&runs(&[5, 900]), 8, true), Some(0..2));
        assert_eq!(pick(&runs(&[5]), 8, true), None);
        let mut splinters = runs(&[5]);
        splinters[0].in_splinters = true;
        assert_eq!(pick(&splinters, 8, true), Some(0..1));
        assert_eq!(pick(&splinters, 8, false), None);
        let mut deleted = runs(&[5]);
        deleted[0].tombstones = 1;
        assert_eq!(pick(&deleted, 8, true), Some(0..1));
        assert_eq!(pick(&[], 8, true), None);
    }

    /// Uniform overwrites of a fixed set of keys, each merge done at once.
    #[test]
    fn runs_stay_few_and_both_amplifications_bounded_however_long_it_goes_on() {
        for live in [640, 6_400, 64_000u64] {
            let flush = 64;
            let (mut sizes, mut written, mut largest) = (vec![live], 0u64, 0u64);
            let flushes = 20 * live / flush;
            for _ in 0..flushes {
                sizes.insert(0, flush);
                while let Some(range) = pick(&runs(&sizes), 8, false) {
                    let into_last = range.end == sizes.len();
                    let sum: u64 = sizes[range.clone()].iter().sum();
                    let merged = if into_last { live.min(sum) } else { sum };
                    written += merged;
                    sizes.splice(range, [merged]);
                }
                assert!(sizes.len() <= 8, "{sizes:?}");
                largest = largest.max(sizes.iter().sum());
            }
            let space = largest as f64 / live as f64;
            assert!(
                space <= 1.0 + 1.0 / SPACE_PARTS as f64 + 0.1,
                "{space} times the data"
            );
            let amplification = 1.0 + written as f64 / (flush * flushes) as f64;
            println!("{live}: {amplification:.2} written, {space:.2} space");
            assert!(
                amplification <= 7.0,
                "each byte is written {amplification} times"
            );
        }
    }

    /// Keys that were never there before, each merge done at once.
    #[test]
    fn new_keys_are_rewritten_once_a_tier_whatever_there_is_below() {
        let (mut sizes, mut written, flushes) = (Vec::new(), 0, 4096u64);
        for _ in 0..flushes {
            sizes.insert(0, 1);
            let facts = |sizes: &[u64]| -> Vec<RunFacts<'static>> {
                let added = |run: RunFacts<'static>| RunFacts { replaces: 0, ..run };
                runs(sizes).into_iter().map(added).collect()
            };
            while let Some(range) = pick(&facts(&sizes), 16, false) {
                let merged: u64 = sizes[range.clone()].iter().sum();
                written += merged;
                sizes.splice(range, [merged]);
            }
        }
        let tiers = flushes.ilog(TIER_RUNS as u64);
        let rewritten = written as f64 / flushes as f64;
        println!("{rewritten:.2} times in {tiers} tiers");
        assert!(
            rewritten <= f64::from(tiers),
            "{rewritten} times in {tiers} tiers"
        );
    }
}
