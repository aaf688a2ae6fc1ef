//! The rows that other threads read, under every order of the threads' steps: `RUSTFLAGS="--cfg loom" cargo test -p
//! ringkeep-shard --release --test loom`. Without that flag there is nothing here.
#![cfg(loom)]

#[path = "../../src/rows/mod.rs"]
#[allow(dead_code, reason = "the models use a part")]
mod rows;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use rows::{RowWriter, Rows};

/// Segments that hold three rows of four words each, and the word behind them: the fewest that a row may be in.
const SEGMENTS: usize = 2;
const SEGMENT_WORDS: usize = 16;
const ROWS_PER_SEGMENT: u64 = 3;
const HASH: u64 = 0x1234_5678_9abc_def0;
const OTHER: u64 = 0x1234_5678_6543_def0;

fn read(rows: &Rows, hash: u64, key: &[u8]) -> Option<u64> {
    let mut value = Vec::new();
    rows.read(hash, key, &mut value)
        .then(|| u64::from_le_bytes(value.try_into().expect("eight bytes")))
}

/// Other rows, until so many segments are full together with the row of `HASH`.
fn fill(rows: &Rows, writer: &mut RowWriter, segments: u64) {
    for at in 1..segments * ROWS_PER_SEGMENT {
        writer.show(with_tag(at << 32, at), &at.to_be_bytes(), &at.to_le_bytes());
    }
    assert_eq!(read(rows, HASH, b"key"), Some(11), "it is still there");
}

fn model(steps: impl Fn() + Sync + Send + 'static) {
    // Enough for a reader that is overtaken twice while it copies.
    model_with(3, steps);
}

fn model_with(preemptions: usize, steps: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(steps);
}

#[test]
fn a_row_is_whole_or_not_there_while_its_memory_is_used_again() {
    // Many steps: with one more this takes two minutes.
    model_with(2, || {
        let (rows, mut writer) = Rows::sized(SEGMENTS, SEGMENT_WORDS, 1);
        writer.show(HASH, b"key", &11_u64.to_le_bytes());
        fill(&rows, &mut writer, 1);
        let writing = thread::spawn(move || {
            // The last of these lies where the row of `HASH` was.
            for _ in 0..ROWS_PER_SEGMENT {
                writer.show(OTHER, b"yek", &22_u64.to_le_bytes());
            }
            writer.show(OTHER, b"yek", &33_u64.to_le_bytes());
            writer
        });
        let seen = read(&rows, HASH, b"key");
        assert!(matches!(seen, None | Some(11)), "{seen:?}");
        let other = read(&rows, OTHER, b"yek");
        assert!(matches!(other, None | Some(22 | 33)), "{other:?}");
        drop(writing.join().unwrap());
    });
}

#[test]
fn a_removed_row_is_not_found_by_whoever_knows_of_its_removal() {
    model(|| {
        let (rows, mut writer) = Rows::sized(SEGMENTS, SEGMENT_WORDS, 1);
        writer.show(HASH, b"key", &1_u64.to_le_bytes());
        let acknowledged = Arc::new(AtomicU64::new(1));
        let told = Arc::clone(&acknowledged);
        let writing = thread::spawn(move || {
            writer.remove(HASH);
            told.store(2, Ordering::Release);
            writer.show(HASH, b"key", &2_u64.to_le_bytes());
            writer
        });
        let floor = acknowledged.load(Ordering::Acquire);
        if let Some(seen) = read(&rows, HASH, b"key") {
            assert!(seen >= floor, "{seen} after {floor} was acknowledged");
        }
        drop(writing.join().unwrap());
    });
}

#[test]
fn a_hidden_row_is_not_found_by_whoever_knows_that_it_is_and_is_whole_while_it_is_written_over() {
    model(|| {
        let (rows, mut writer) = Rows::sized(SEGMENTS, 32, 1);
        let wide = |number: u64| [number.to_le_bytes(), number.to_le_bytes()].concat();
        writer.show(HASH, b"key", &wide(1));
        let acknowledged = Arc::new(AtomicU64::new(1));
        let told = Arc::clone(&acknowledged);
        let writing = thread::spawn(move || {
            for number in 2..4 {
                writer.hide(HASH, b"key");
                told.store(number, Ordering::Release);
                writer.show(HASH, b"key", &wide(number));
            }
            writer
        });
        let floor = acknowledged.load(Ordering::Acquire);
        let mut seen = Vec::new();
        if rows.read(HASH, b"key", &mut seen) {
            let halves = seen.as_chunks().0;
            let [first, second] = [0, 1].map(|at| u64::from_le_bytes(halves[at]));
            assert_eq!(first, second, "halves of two values");
            assert!(first >= floor, "{first} after {floor} was acknowledged");
        }
        let writer = writing.join().unwrap();
        seen.clear();
        assert!(rows.read(HASH, b"key", &mut seen) && seen == wide(3));
        drop(writer);
    });
}

#[test]
fn several_rows_are_of_one_instant_while_they_are_written_over() {
    model(|| {
        let (rows, mut writer) = Rows::sized(SEGMENTS, 32, 1);
        let keys: [(u64, &[u8]); 2] = [(HASH, b"key"), (OTHER, b"yek")];
        for (hash, key) in keys {
            writer.show(hash, key, &1_u64.to_le_bytes());
        }
        let writing = thread::spawn(move || {
            // As the shard does: all are hidden before one is shown.
            keys.map(|(hash, key)| writer.hide(hash, key));
            keys.map(|(hash, key)| writer.show(hash, key, &2_u64.to_le_bytes()));
            writer
        });
        let all = keys.iter().map(|(hash, key)| (&*rows, *hash, *key));
        if let Some(values) = Rows::read_all(all) {
            assert_eq!(values[0], values[1], "of two instants");
        }
        drop(writing.join().unwrap());
    });
}

#[test]
fn nothing_is_found_once_the_writer_is_gone() {
    model(|| {
        let (rows, mut writer) = Rows::sized(SEGMENTS, SEGMENT_WORDS, 1);
        writer.show(HASH, b"key", &1_u64.to_le_bytes());
        let gone = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&gone);
        let ending = thread::spawn(move || {
            drop(writer);
            told.store(1, Ordering::Release);
        });
        let is_gone = gone.load(Ordering::Acquire) == 1;
        let seen = read(&rows, HASH, b"key");
        assert!(!is_gone || seen.is_none(), "a row without a writer");
        ending.join().unwrap();
    });
}

#[test]
fn a_row_is_whole_or_not_there_while_its_memory_is_given_back() {
    model(|| {
        let (rows, mut writer) = Rows::sized(4, SEGMENT_WORDS, 1);
        writer.show(HASH, b"key", &11_u64.to_le_bytes());
        fill(&rows, &mut writer, 3);
        let writing = thread::spawn(move || {
            writer.set_limit(2);
            while writer.shrink(1) {}
            // Into memory that was given back.
            writer.set_limit(3);
            writer.show(OTHER, b"yek", &44_u64.to_le_bytes());
            writer
        });
        let seen = read(&rows, HASH, b"key");
        assert!(matches!(seen, None | Some(11)), "{seen:?}");
        drop(writing.join().unwrap());
    });
}

#[test]
fn a_row_of_a_removed_range_is_not_found_by_whoever_knows_of_its_removal() {
    model(|| {
        let (rows, mut writer) = Rows::sized(SEGMENTS, 32, 1);
        writer.show(HASH, b"key", &1_u64.to_le_bytes());
        let acknowledged = Arc::new(AtomicU64::new(1));
        let told = Arc::clone(&acknowledged);
        let writing = thread::spawn(move || {
            writer.begin_removal(b"k", b"l");
            told.store(2, Ordering::Release);
            // Readers that know of it come before this, between its steps, and after it.
            while writer.remove_some(1) {}
            writer
        });
        let is_removed = acknowledged.load(Ordering::Acquire) == 2;
        let seen = read(&rows, HASH, b"key");
        assert!(matches!(seen, None | Some(1)), "{seen:?}");
        assert!(!is_removed || seen.is_none(), "a removed row is found");
        drop(writing.join().unwrap());
    });
}

/// Two buckets more than one: the row moves, and moves back.
#[test]
fn a_row_that_moves_in_the_index_is_neither_old_nor_back_once_removed() {
    // Enough that the index is to be split with the last one.
    let hashes: Vec<u64> = (1..=FULL + 1).map(|at| with_tag(at << 32, at)).collect();
    // Many steps: with one more this takes a minute.
    model_with(2, move || moves_and_is_removed(&hashes, true));
}

/// Rows in one bucket of eight before it is split.
const FULL: u64 = 4;

/// The last row finds both its homes full, of four buckets, and another one goes to its other home for it.
#[test]
fn a_row_that_makes_room_for_another_is_neither_old_nor_back_once_removed() {
    let all = || (1..).map(|bits: u64| with_tag(bits << 32, bits));
    let of = |homes: [usize; 2]| all().filter(move |hash| homes_of(*hash) == homes);
    let one = of([0, 2]).take(1);
    let hashes = one.chain(of([0, 1]).take(7)).chain(of([1, 0]).take(8));
    let hashes: Vec<u64> = hashes.chain(of([0, 1]).skip(7).take(1)).collect();
    model(move || moves_and_is_removed(&hashes, false));
}

/// Shows rows, the last one beside a reader of the first, which is removed behind it. Then the index may shrink.
fn moves_and_is_removed(hashes: &[u64], shrinks: bool) {
    let (rows, mut writer) = Rows::sized(8, 32, 1);
    let (last, before) = hashes.split_last().expect("some");
    for hash in before {
        writer.show(*hash, &hash.to_be_bytes(), &hash.to_le_bytes());
    }
    let acknowledged = Arc::new(AtomicU64::new(1));
    let told = Arc::clone(&acknowledged);
    let (last, hash, all) = (*last, hashes[0], hashes.to_vec());
    let writing = thread::spawn(move || {
        writer.show(last, &last.to_be_bytes(), &[1; 8]);
        assert_eq!(writer.entries(), all.len(), "none had to leave");
        writer.remove(hash);
        told.store(2, Ordering::Release);
        if shrinks {
            all[1..3].iter().for_each(|other| writer.remove(*other));
            writer.show(last, &last.to_be_bytes(), &[1; 8]);
        }
        writer
    });
    let is_removed = acknowledged.load(Ordering::Acquire) == 2;
    let seen = read(&rows, hash, &hash.to_be_bytes());
    assert!(seen.is_none_or(|seen| seen == hash), "{seen:?}");
    assert!(!is_removed || seen.is_none(), "a removed row came back");
    drop(writing.join().unwrap());
}

/// By tag alone a row is taken for another in the same bucket.
fn with_tag(hash: u64, tag: u64) -> u64 {
    hash | tag % (1 << 15) << 17
}

/// The two of four buckets, as the index says.
fn homes_of(hash: u64) -> [usize; 2] {
    [hash, hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)].map(|hash| (hash >> 32) as usize % 4)
}

/// It goes to the newest segment because all that is alive fits.
#[test]
fn a_row_that_is_moved_is_whole_or_not_there_and_stays() {
    // Many steps, as above.
    model_with(2, || {
        let (rows, mut writer) = Rows::sized(8, SEGMENT_WORDS, 1);
        writer.show(HASH, b"key", &11_u64.to_le_bytes());
        for _ in 0..DEAD {
            writer.show(OTHER, b"yek", &22_u64.to_le_bytes());
        }
        // It has its bit from here on: loom takes a bit that is set while the writer stores for one that may undo the store.
        assert_eq!(read(&rows, HASH, b"key"), Some(11));
        let writing = thread::spawn(move || {
            writer.show(OTHER, b"yek", &33_u64.to_le_bytes());
            writer
        });
        let seen = read(&rows, HASH, b"key");
        assert!(matches!(seen, None | Some(11)), "{seen:?}");
        let writer = writing.join().unwrap();
        assert_eq!(read(&rows, HASH, b"key"), Some(11));
        drop(writer);
    });
}

/// With one more the memory begins to be cleaned.
const DEAD: u64 = 16;
