//! What a table costs beside its keys and values.

use std::cmp::Reverse;

use super::fixture::{Fixture, Model};
use crate::Version;
use crate::merge::seeded::Seeded;

#[test]
fn small_records_cost_at_most_8_percent_more_than_themselves() {
    let mut random = Seeded(1);
    let mut model = Model::new();
    while model.len() < 60_000 {
        let key = (
            random.bytes(16),
            Reverse(Version(1 + random.next() % 1_000_000)),
        );
        // None of them ends.
        model.insert(key, Some([&[0][..], &random.bytes(99)].concat()));
    }
    let table = Fixture::new(0).table(1, &model);
    let ratio = table.summary().file_bytes as f64 / (60_000 * 116) as f64;
    assert!(ratio <= 1.08, "{ratio}");
}

#[test]
fn records_of_all_sizes_waste_little() {
    for (length, most) in [
        (10, 1.55),
        (300, 1.1),
        (1100, 1.3),
        (1400, 1.25),
        (2100, 1.25),
        (4200, 1.4),
        (9000, 1.4),
        (100_000, 1.05),
    ] {
        let mut random = Seeded(length as u64);
        let mut model = Model::new();
        for _ in 0..(1 << 20) / length {
            let length = length - length / 10 + random.below(1 + length / 5);
            model.insert(
                (random.bytes(16), Reverse(Version(random.next() >> 40))),
                Some(random.bytes(length)),
            );
        }
        let raw: usize = model.values().flatten().map(|value| 16 + value.len()).sum();
        let table = Fixture::new(0).table(1, &model);
        let ratio = table.summary().file_bytes as f64 / raw as f64;
        assert!(ratio <= most, "{ratio} for values of about {length} bytes");
    }
}

#[test]
fn resident_memory_is_mostly_the_filter() {
    let model: Model = (0..50_000u64)
        .map(|key| {
            (
                (key.to_be_bytes().to_vec(), Reverse(Version(1))),
                Some(vec![7; 100]),
            )
        })
        .collect();
    let table = Fixture::new(0).table(1, &model);
    assert!(
        table.resident_bytes() < 50_000 * 10 / 8 + (16 << 10),
        "{}",
        table.resident_bytes()
    );
}
