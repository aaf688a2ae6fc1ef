//! The rows against what the writer did, on one thread and on several. All orders of a few steps: `tests/loom`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use super::{RowWriter, Rows};
use crate::merge::seeded::with_seeds;

fn read(rows: &Rows, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = b"before".to_vec();
    let found = rows.read(xxh3_64(key), key, &mut value);
    assert!(value.starts_with(b"before"), "what was there is kept");
    assert!(
        found || value.len() == 6,
        "nothing is left of what was not found"
    );
    found.then(|| value.split_off(6))
}

fn show(writer: &mut RowWriter, key: &[u8], value: &[u8]) {
    writer.show(xxh3_64(key), key, value);
}

#[test]
fn a_row_is_what_was_shown_last_or_not_there() {
    with_seeds(30, |random| {
        let (rows, mut writer) = Rows::new(1 << (11 + random.below(7)));
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut found = 0;
        for _ in 0..5000 {
            let key = random.key(200);
            match random.below(11) {
                0 => {
                    writer.remove(xxh3_64(&key));
                    model.remove(&key);
                }
                10 => {
                    writer.set_limit(2 + random.below(40));
                    writer.shrink(random.below(20));
                }
                1..5 => {
                    let length = random.below(40) * random.below(20);
                    let value = random.bytes(length);
                    let admitted = writer.admits(xxh3_64(&key), &key, &value).0;
                    // What nobody asked about may be too large.
                    if admitted || random.below(3) == 0 {
                        match random.below(2) {
                            0 => writer.remove(xxh3_64(&key)),
                            _ => writer.hide(xxh3_64(&key), &key),
                        }
                        assert_eq!(read(&rows, &key), None);
                        show(&mut writer, &key, &value);
                        // A full bucket may have let it go for one that had a second chance.
                        assert!(read(&rows, &key).is_none_or(|read| read == value));
                        model.insert(key, value);
                    } else {
                        writer.remove(xxh3_64(&key));
                        model.remove(&key);
                    }
                }
                _ => {
                    if let Some(value) = read(&rows, &key) {
                        assert_eq!(Some(&value), model.get(&key));
                        found += 1;
                    }
                }
            }
        }
        assert!(found > 100, "only {found} reads found a row");
        assert_eq!(rows.reads().lost, 0, "nobody writes while a row is copied");
    });
}

#[test]
fn a_row_needs_no_more_room_than_its_value() {
    let (rows, mut writer) = Rows::new(1 << 20);
    for length in 0..=24 {
        let (key, shown) = ([length], vec![length; usize::from(length)]);
        show(&mut writer, &key, &shown);
        let mut value = Vec::with_capacity(shown.len());
        let before = value.capacity();
        assert!(rows.read(xxh3_64(&key), &key, &mut value));
        assert_eq!((value.capacity(), &value), (before, &shown));
    }
}

#[test]
fn hardly_a_row_finds_no_place_however_many_there_are() {
    let (_, mut writer) = Rows::new(16 << 20);
    for count in 1..=60_000 {
        let key = (count as u64).to_be_bytes();
        show(&mut writer, &key, &[7; 50]);
        // Those that were taken for another by their tags, above all.
        let lost = count - writer.entries();
        assert!(lost <= 5 + count / 1000, "{lost} of {count}");
    }
}

#[test]
fn a_walk_over_everything_leaves_what_is_read_again() {
    let (rows, mut writer) = Rows::new(64 << 10);
    let key = |at: u32| at.to_be_bytes();
    let ask = |writer: &mut RowWriter, at: u32| {
        let key = key(at);
        if read(&rows, &key).is_none() && writer.admits(xxh3_64(&key), &key, &[7; 50]).0 {
            show(writer, &key, &[7; 50]);
        }
    };
    for _ in 0..3 {
        (0..100).for_each(|at| ask(&mut writer, at));
    }
    assert!(
        (0..100)
            .filter(|at| read(&rows, &key(*at)).is_some())
            .count()
            >= 99
    );
    (1000..20_000).for_each(|at| ask(&mut writer, at));
    let left = (0..100)
        .filter(|at| read(&rows, &key(*at)).is_some())
        .count();
    assert!(left >= 95, "{left} of 100 hot rows are left");
}

#[test]
fn nothing_is_found_without_memory_or_without_the_writer() {
    let (rows, mut writer) = Rows::new(0);
    assert_eq!(
        writer.admits(xxh3_64(b"key"), b"key", b"value"),
        (false, false)
    );
    writer.remove(xxh3_64(b"key"));
    assert_eq!(read(&rows, b"key"), None);

    let (rows, mut writer) = Rows::new(4096);
    show(&mut writer, b"key", b"value");
    assert_eq!(read(&rows, b"key").as_deref(), Some(&b"value"[..]));
    drop(writer);
    assert_eq!(read(&rows, b"key"), None);
}

/// A value that says whose and which version it is, all over, so that half of another one shows. Several versions in a row
/// are of one length.
fn told(key: u64, version: u64) -> Vec<u8> {
    let words = 3 + (key ^ version >> 8) % 9;
    (0..words)
        .flat_map(|word| (key << 48 | version << 8 | word).to_le_bytes())
        .collect()
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the readers of a shard's rows are threads of others"
)]
fn readers_beside_the_writer_see_whole_rows_that_are_not_stale() {
    const KEYS: u64 = 24;
    const WRITES: u64 = 60_000;
    // So small that memory is used anew every few rows.
    let (rows, mut writer) = Rows::sized(6, 64, 64);
    // Every version below is gone: whoever begins to read now must not find it.
    let floors: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let done = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        let reader = |start: u64| {
            let (rows, floors, done) = (&rows, &floors, &done);
            move || {
                let (mut found, mut at) = (0_u64, start);
                while !done.load(Ordering::Relaxed) {
                    at = (at + 7) % KEYS;
                    let floor = floors[at as usize].load(Ordering::Acquire);
                    if let Some(value) = read(rows, &at.to_be_bytes()) {
                        let head = u64::from_le_bytes(*value.first_chunk().expect("a word"));
                        let version = head >> 8 & 0xff_ffff_ffff;
                        assert_eq!(value, told(at, version), "a row that was never written");
                        assert!(
                            version >= floor,
                            "version {version} after {floor} was acknowledged"
                        );
                        found += 1;
                    }
                }
                found
            }
        };
        let readers: Vec<_> = (0..2).map(|start| scope.spawn(reader(start))).collect();
        for version in 1..=WRITES {
            let key = version * 5 % KEYS;
            match version % 5 {
                0 => writer.remove(xxh3_64(&key.to_be_bytes())),
                _ => writer.hide(xxh3_64(&key.to_be_bytes()), &key.to_be_bytes()),
            }
            floors[key as usize].store(version, Ordering::Release);
            show(&mut writer, &key.to_be_bytes(), &told(key, version));
            // Memory comes and goes beneath the readers.
            writer.set_limit((2 + version / 97 % 5) as usize);
            writer.shrink(3);
        }
        done.store(true, Ordering::Relaxed);
        readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader"))
            .sum::<u64>()
    });
    assert!(found > 0, "readers found nothing, so nothing was shown");
}

#[test]
fn no_row_of_a_removed_range_is_found_while_it_is_removed_and_afterwards() {
    with_seeds(30, |random| {
        let (rows, mut writer) = Rows::new(1 << (14 + random.below(5)));
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let (mut found, mut hidden) = (0, 0);
        for _ in 0..8000 {
            let key = random.key(3000);
            match random.below(200) {
                0 => {
                    let other = random.key(3000);
                    let (from, to) = (key.clone().min(other.clone()), key.max(other));
                    match random.below(2) {
                        0 => writer.remove_range(&from, &to),
                        _ => writer.begin_removal(&from, &to),
                    }
                    model.retain(|key, _| *key < from || *key >= to);
                }
                1..20 => {
                    writer.remove_some(1 + random.below(200));
                }
                20..100 => {
                    let value = random.bytes(8);
                    show(&mut writer, &key, &value);
                    model.insert(key, value);
                }
                _ => match read(&rows, &key) {
                    Some(value) => {
                        assert!(!writer.is_removing());
                        assert_eq!(Some(&value), model.get(&key));
                        found += 1;
                    }
                    None => hidden += u32::from(writer.is_removing()),
                },
            }
        }
        assert!(found > 100 && hidden > 0, "{found} found, {hidden} hidden");
        while writer.remove_some(100) {}
        for (key, value) in &model {
            assert!(read(&rows, key).is_none_or(|read| read == *value));
        }
    });
}

#[test]
fn a_row_that_is_written_over_where_it_lies_leaves_nothing_dead() {
    // All rows that fit, so that one more would drive another out.
    let (rows, mut writer) = Rows::new(64 << 10);
    let key = |at: u64| at.to_be_bytes();
    let mut count = 0;
    while writer.has_room() {
        show(&mut writer, &key(count), &[0; 100]);
        count += 1;
    }
    // A place in the index is missing for some.
    let is_there = |at: &u64| read(&rows, &key(*at)).is_some();
    let there: Vec<u64> = (0..count).filter(is_there).collect();
    for version in 1..10_000 {
        let key = key(there[version % there.len()]);
        writer.hide(xxh3_64(&key), &key);
        assert!(writer.admits_written(xxh3_64(&key), &key, &[0; 97]));
        show(&mut writer, &key, &[version as u8; 97]);
        assert_eq!(read(&rows, &key).as_deref(), Some(&[version as u8; 97][..]));
    }
    assert!(there.iter().all(is_there));
    // What is hidden and not shown again gets in when it is asked for.
    writer.hide(xxh3_64(&key(count - 1)), &key(count - 1));
    assert_eq!(read(&rows, &key(count - 1)), None);
    assert_eq!(
        writer.admits(xxh3_64(&key(count - 1)), &key(count - 1), b""),
        (true, false)
    );
}

#[test]
fn rows_that_nobody_reads_stay_beside_a_few_that_take_all_writes() {
    const ROWS: u64 = 3000;
    let (rows, mut writer) = Rows::new(640 << 10);
    let key = |at: u64| at.to_be_bytes();
    let mut write = |at: u64, version: u64| {
        let key = key(at);
        writer.remove(xxh3_64(&key));
        let value = [version as u8; 100];
        assert!(writer.admits_written(xxh3_64(&key), &key, &value));
        show(&mut writer, &key, &value);
    };
    (0..ROWS).for_each(|at| write(at, 0));
    // Several times round, through long stretches where nothing is dead.
    (0..10 * ROWS).for_each(|version| write(version % 30, version));
    let found = (30..ROWS).filter(|at| read(&rows, &key(*at)).as_deref() == Some(&[0; 100]));
    let missing = ROWS as usize - 30 - found.count();
    assert!(missing <= 3, "{missing} of {ROWS} are missing");
}
