//! Fragments against a list that is looked through, and what may be forgotten.

use super::{
    RangeDelete, Ranges, hides_in, hides_some, is_wholly_under, settle_order, still_needed,
};
use crate::Version;
use crate::call::Op;
use crate::merge::seeded::with_seeds;
use crate::needs::Needs;
use crate::table::TableSummary;

fn range(from: &str, to: &str, version: u64) -> RangeDelete {
    RangeDelete {
        from: from.as_bytes().into(),
        to: to.as_bytes().into(),
        version: Version(version),
    }
}

fn table(first: &str, last: &str, oldest: u64, newest: u64) -> TableSummary {
    TableSummary {
        first_key: first.as_bytes().into(),
        last_key: last.as_bytes().into(),
        oldest: Version(oldest),
        newest: Version(newest),
        ..TableSummary::default()
    }
}

#[test]
fn what_hides_a_key_is_found_in_whatever_order_ranges_come() {
    with_seeds(200, |random| {
        let mut all: Vec<RangeDelete> = Vec::new();
        for _ in 0..random.below(20) {
            let version = Version(1 + random.below(12) as u64);
            let (from, to) = (random.key(40), random.key(40));
            all.push(RangeDelete {
                from: from.clone().min(to.clone()).into(),
                to: from.max(to).into(),
                version,
            });
        }
        let ranges = Ranges::of(&all);
        for _ in 0..60 {
            let (key, at) = (random.key(40), Version(random.below(14) as u64));
            let over = all.iter().filter(|r| *r.from <= *key && *key < *r.to);
            let versions = over.map(|range| range.version).filter(|v| *v <= at);
            let expected = versions.max().unwrap_or_default();
            assert_eq!(
                ranges.hidden_below(&key, at),
                expected,
                "{key:?} at {at} under {all:?}"
            );
        }
        let ends = |fragment: &super::Fragment| (fragment.from.clone(), fragment.to.clone());
        let ends: Vec<_> = ranges.above(&[]).map(ends).collect();
        assert!(ends.iter().all(|(from, to)| from < to));
        assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    });
}

#[test]
fn one_is_kept_while_a_table_has_something_older_under_it() {
    let needed = |version, watermark, tables: &[TableSummary]| {
        let all = vec![range("b", "d", version)];
        let hides = |range: &RangeDelete| hides_in(range, tables, |table| table);
        !still_needed(all, &Needs::above(Version(watermark)), hides).is_empty()
    };
    assert!(needed(5, 9, &[table("a", "c", 1, 2)]));
    assert!(
        needed(5, 0, &[table("a", "c", 4, 9)]),
        "whatever the watermark"
    );
    assert!(!needed(5, 9, &[]));
    assert!(
        !needed(5, 9, &[table("a", "az", 1, 2), table("d", "z", 1, 2)]),
        "elsewhere"
    );
    assert!(!needed(5, 9, &[table("a", "z", 5, 9)]), "nothing is older");
    let mut cleared = table("a", "z", 1, 9);
    cleared.cleared = Version(5);
    assert!(
        !needed(5, 9, &[cleared.clone()]),
        "it was written without what is hidden"
    );
    assert!(needed(6, 9, &[cleared]));
}

#[test]
fn one_behind_newer_ones_goes_when_nobody_reads_between() {
    let tables = [table("a", "z", 1, 2)];
    let all = || vec![range("b", "d", 5), range("a", "c", 6), range("c", "e", 7)];
    let kept = |watermark| -> Vec<u64> {
        let hides = |range: &RangeDelete| hides_in(range, &tables, |table| table);
        let kept = still_needed(all(), &Needs::above(Version(watermark)), hides);
        kept.iter().map(|range| range.version.0).collect()
    };
    assert_eq!(kept(4), [5, 6, 7]);
    assert_eq!(kept(6), [5, 6, 7], "a reader at 6 does not see 7");
    assert_eq!(kept(7), [6, 7]);
}

#[test]
fn a_table_is_wholly_under_ranges_that_leave_no_gap() {
    let ranges = Ranges::of(&[range("a", "c", 5), range("c", "e", 6)]);
    let whole = |first, last, newest| {
        is_wholly_under(
            &ranges,
            &table(first, last, 1, newest),
            &Needs::above(Version(9)),
        )
    };
    assert!(whole("a", "d", 4) && whole("c", "cc", 5));
    assert!(!whole("a", "d", 5), "its newest may be in the first range");
    assert!(
        !whole("a", "e", 4) && !whole("0", "b", 4),
        "an end lies outside"
    );
    assert!(
        !is_wholly_under(&ranges, &table("a", "b", 1, 4), &Needs::above(Version(4))),
        "somebody reads below"
    );
    assert!(hides_some(
        &ranges,
        &table("d", "z", 1, 9),
        &Needs::above(Version(9))
    ));
    assert!(!hides_some(
        &ranges,
        &table("d", "z", 6, 9),
        &Needs::above(Version(9))
    ));
}

#[test]
fn within_a_call_a_range_removes_what_stands_before_it() {
    let put = |key: &str| Op::Put {
        key: key.into(),
        value: vec![1],
    };
    let remove = |from: &str, to: &str| Op::DeleteRange {
        from: from.into(),
        to: to.into(),
    };
    let delete = |key: &str| Op::Delete { key: key.into() };
    let mut ops = [
        put("a"),
        put("b"),
        remove("b", "d"),
        put("c"),
        put("d"),
        remove("d", "e"),
    ];
    settle_order(&mut ops);
    let expected = [
        put("a"),
        delete("b"),
        remove("b", "d"),
        put("c"),
        delete("d"),
        remove("d", "e"),
    ];
    assert_eq!(ops, expected);
}
