//! Which range deletes still hide something, and so have to be kept.

use std::collections::BTreeSet;

use ringkeep_io::planted::{Defect, planted};

use super::{Fragment, RangeDelete, Ranges};
use crate::needs::Needs;
use crate::table::TableSummary;
use crate::version::Version;

/// From so many on, everything is merged to be rid of them: each stays until what it hides is written anew without it,
/// and merges that have no other reason may be long in coming.
pub(crate) const ASK_TO_MERGE_FROM: usize = 1024;

/// Those that have to be kept, of those whose memtable is in tables: not what newer ones hide from everybody who reads what is
/// not `gone`, nor what hides nothing in tables, as `hides` tells. It hides nothing that comes into tables
/// later: its keys were locked while it was on its way. What is newer than somebody's snapshot is kept whatever it hides:
/// for a transaction it is a change.
pub(crate) fn still_needed(
    all: Vec<RangeDelete>,
    gone: &Needs,
    hides: impl Fn(&RangeDelete) -> bool,
) -> Vec<RangeDelete> {
    if all.is_empty() || planted(Defect::RangeDroppedEarly) {
        return Vec::new();
    }
    let ranges = Ranges::of(&all);
    let fragments = ranges.fragments.iter();
    let seen: BTreeSet<Version> = fragments
        .flat_map(|fragment| fragment.needed_from(gone.of(&fragment.from).watermark))
        .copied()
        .collect();
    let is_needed = |range: &RangeDelete| {
        range.version > gone.of(&range.from).watermark
            || (seen.contains(&range.version) && hides(range))
    };
    all.into_iter().filter(is_needed).collect()
}

/// Something in a run may be hidden by this one. Tables are in order and do not overlap.
pub(crate) fn hides_in<T>(
    range: &RangeDelete,
    run: &[T],
    summary: impl Fn(&T) -> &TableSummary,
) -> bool {
    let first = run.partition_point(|table| summary(table).last_key < range.from);
    let under = run[first..].iter().map(summary);
    let mut under = under.take_while(|table| table.first_key < range.to);
    under.any(|table| table.cleared_for(&range.from) < range.version)
}

/// Something of this table may be hidden from everybody who reads what is needed.
pub(crate) fn hides_some(ranges: &Ranges, table: &TableSummary, needs: &Needs) -> bool {
    let mut over = ranges.over(&table.first_key, &table.last_key).iter();
    over.any(|fragment| floor(fragment, needs) > table.cleared_for(&fragment.from))
}

/// What is below this version and under it nobody sees who reads what is needed.
fn floor(fragment: &Fragment, needs: &Needs) -> Version {
    fragment.newest_up_to(needs.of(&fragment.from).watermark)
}

/// Nobody who reads what is needed sees anything of this table.
pub(crate) fn is_wholly_under(ranges: &Ranges, table: &TableSummary, needs: &Needs) -> bool {
    let mut behind: &[u8] = &table.first_key;
    for fragment in ranges.over(&table.first_key, &table.last_key) {
        if *fragment.from > *behind || floor(fragment, needs) <= table.newest {
            return false;
        }
        behind = &fragment.to;
    }
    *behind > *table.last_key
}
