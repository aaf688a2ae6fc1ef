//! The bytes of every persisted structure. A change here is a change of format: give it a new
//! version and keep reading the old one.

use std::cmp::Reverse;
use std::fmt::Write;

use super::fixture::{Fixture, Model};
use crate::Version;

#[test]
fn a_small_table_is_these_very_bytes() {
    let entries = [
        ("user1", 7, Some("a")),
        ("user2", 9, Some("b")),
        ("user2", 8, None),
        ("user22", 7, Some("")),
    ];
    assert_golden(
        "mixed data block, index, filter, footer",
        &entries,
        include_str!("golden/mixed.txt"),
    );
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
    for (page, bytes) in bytes.chunks(4096).enumerate() {
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

fn assert_golden(what: &str, entries: &[(&str, u64, Option<&str>)], expected: &str) {
    let model: Model = entries
        .iter()
        .map(|&(key, version, value)| {
            let key = (key.as_bytes().to_vec(), Reverse(Version(version)));
            // One byte a letter.
            (
                key,
                value.map(|value| value.chars().map(|letter| letter as u8).collect()),
            )
        })
        .collect();
    let fixture = Fixture::new(0);
    fixture.write(0x0102_0304_0506_0708, &model);
    let name = super::fixture::name(0x0102_0304_0506_0708);
    let found = dump(&fixture.disk.read_raw(&format!("/{name}")).unwrap());
    assert_eq!(found.trim(), expected.trim(), "{what}:\n{found}");
}
