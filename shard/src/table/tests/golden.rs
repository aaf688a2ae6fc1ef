//! The bytes of every persisted structure. A change here is a change of format: give it a new
//! version and keep reading the old one.

use std::cmp::Reverse;
use std::fmt::Write;
use std::ops::Bound;
use std::rc::Rc;

use ringkeep_io::{Buffer, OpenMode, PAGE, WriteDurability};

use super::fixture::{Fixture, Model, expected};
use crate::Version;
use crate::merge::{MergeCursor, Source};
use crate::table::{BlockReader, TableId, TableSummary};
use crate::table_set::TableRun;
use crate::timeline::Moment;

const NUMBER: u64 = 0x0102_0304_0506_0708;

const ENTRIES: [(&str, u64, Option<&str>); 4] = [
    ("user1", 7, Some("a")),
    ("user2", 9, Some("b")),
    ("user2", 8, None),
    ("user22", 7, Some("")),
];

#[test]
fn a_small_table_is_these_very_bytes() {
    assert_golden(
        "mixed data block, index, the same of the past, filter, both top indexes, footer",
        &ENTRIES,
        include_str!("golden/mixed.txt"),
    );
}

/// Version 2 has the past where the present is.
#[test]
fn a_table_of_one_section_is_read() {
    let fixture = Fixture::new(0);
    let bytes = undump(include_str!("golden/version-2.txt"));
    let name = super::fixture::name(NUMBER);
    let file = fixture.directory.open(&name, OpenMode::CreateNew).unwrap();
    let mut buffer = Buffer::zeroed(bytes.len());
    buffer.copy_from_slice(&bytes);
    let cached = WriteDurability::Cached;
    fixture
        .run(fixture.io.write(&file, 0, buffer, bytes.len(), cached))
        .result
        .unwrap();
    let footer = &bytes[bytes.len() - PAGE..];
    let table = fixture
        .open(&TableSummary {
            id: TableId(NUMBER),
            file_bytes: bytes.len() as u64,
            entries: 4,
            keys: 3,
            tombstones: 1,
            first_key: (*b"user1").into(),
            last_key: (*b"user22").into(),
            oldest: Version(7),
            newest: Version(9),
            footer_crc: u32::from_le_bytes(*footer.first_chunk().unwrap()),
            ..TableSummary::default()
        })
        .unwrap();
    let model = model_of(&ENTRIES);
    for (key, at) in model
        .keys()
        .flat_map(|(key, _)| (0..12).map(move |at| (key, at)))
    {
        let found = fixture.find(&table, key, Version(at)).unwrap();
        assert_eq!(found, expected(&model, key, Version(at)));
    }
    for at in [6, 7, 8, 9] {
        let version = Version(at);
        let reader = || BlockReader::sequential(fixture.io.clone());
        let sources = Source::run(&TableRun::new(vec![Rc::clone(&table)]), version, reader);
        let at = Moment { millis: 0, version };
        let mut scan = MergeCursor::visible(sources.into_iter().flatten().collect(), at);
        let mut seen = Vec::new();
        fixture.run(async {
            scan.seek(Bound::Unbounded).await.unwrap();
            while let Some(key) = scan.key() {
                seen.push(key.to_vec());
                scan.next().await.unwrap();
            }
        });
        let has =
            |key: &&[u8]| expected(&model, key, version).is_some_and(|(_, value)| value.is_some());
        let keys = [&b"user1"[..], b"user2", b"user22"];
        assert_eq!(seen, keys.into_iter().filter(has).collect::<Vec<_>>());
    }
}

#[test]
fn uniform_entries_need_no_ends() {
    assert_golden(
        "uniform",
        &[("user1", 7, Some("a")), ("user2", 9, Some("b"))],
        include_str!("golden/uniform.txt"),
    );
    assert_golden(
        "uniform, deleted",
        &[("user1", 7, None), ("user2", 300, None)],
        include_str!("golden/deleted.txt"),
    );
    assert_golden(
        "uniform, all ending at 224",
        &[("user1", 7, Some("\u{e0}a")), ("user2", 9, Some("\u{e0}b"))],
        include_str!("golden/ending.txt"),
    );
}

/// The table's pages without trailing zeros, sixteen bytes a line.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (page, bytes) in bytes.chunks(PAGE).enumerate() {
        writeln!(text, "page {page}").unwrap();
        for (line, bytes) in bytes.chunks(16).enumerate() {
            if bytes.iter().any(|&byte| byte != 0) {
                write!(text, "{:03x} ", line * 16).unwrap();
                bytes
                    .iter()
                    .for_each(|byte| write!(text, " {byte:02x}").unwrap());
                text.push('\n');
            }
        }
    }
    text
}

/// The bytes that were dumped so.
fn undump(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for line in text.lines() {
        if line.starts_with("page") {
            bytes.resize(bytes.len() + PAGE, 0);
            continue;
        }
        let (at, row) = line.split_once("  ").unwrap();
        let at = bytes.len() - PAGE + usize::from_str_radix(at, 16).unwrap();
        for (byte, digits) in bytes[at..].iter_mut().zip(row.split(' ')) {
            *byte = u8::from_str_radix(digits, 16).unwrap();
        }
    }
    bytes
}

fn model_of(entries: &[(&str, u64, Option<&str>)]) -> Model {
    // One byte a letter.
    let bytes = |value: &str| value.chars().map(|letter| letter as u8).collect();
    let entries = entries.iter().map(|&(key, version, value)| {
        let key = (key.as_bytes().to_vec(), Reverse(Version(version)));
        (key, value.map(bytes))
    });
    entries.collect()
}

fn assert_golden(what: &str, entries: &[(&str, u64, Option<&str>)], expected: &str) {
    let fixture = Fixture::new(0);
    fixture.write(NUMBER, &model_of(entries));
    let name = super::fixture::name(NUMBER);
    let bytes = fixture.disk.read_raw(&format!("/{name}")).unwrap();
    let found = dump(&bytes);
    assert_eq!(found.trim(), expected.trim(), "{what}:\n{found}");
    assert_eq!(undump(expected), bytes, "{what}");
}
