//! Lengths and counts in records: believed up to the limits of what is written, and no further.

use crate::limits::{
    BATCH_OPS_MAX, KEY_BYTES_MAX, RANGE_END_BYTES_MAX, SHARDS_MAX, VALUE_BYTES_MAX,
};
use crate::log::format::{FrameHeader, HEADER_BYTES, take_record};
use crate::varint;

fn is_read(record: &[u8]) -> bool {
    take_record(&mut &record[..]).is_some()
}

fn record(kind: u8, lengths: &[usize], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    for length in lengths {
        varint::push(&mut bytes, *length as u64);
    }
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn keys_have_a_byte_at_least_and_as_many_as_a_call_may_bring() {
    for (kind, value) in [(1, &[0][..]), (2, &[]), (6, &[0])] {
        for (bytes, read) in [
            (0, false),
            (1, true),
            (KEY_BYTES_MAX, true),
            (KEY_BYTES_MAX + 1, false),
        ] {
            let lengths = [&[bytes][..], &value.iter().map(|_| 0).collect::<Vec<_>>()].concat();
            let long = record(kind, &lengths, &vec![7; bytes + 6]);
            assert_eq!(is_read(&long), read, "kind {kind}, {bytes} bytes");
        }
    }
}

#[test]
fn values_have_as_many_bytes_as_a_call_may_bring() {
    for (bytes, read) in [(VALUE_BYTES_MAX, true), (VALUE_BYTES_MAX + 1, false)] {
        for kind in [1, 6] {
            let long = record(kind, &[1, bytes], &vec![0; 1 + 6 + bytes]);
            assert_eq!(is_read(&long), read, "kind {kind}, {bytes} bytes");
        }
    }
}

#[test]
fn a_range_ends_behind_its_beginning_and_has_short_ends() {
    for (from, to, read) in [
        (&b"a"[..], &b"b"[..], true),
        (b"", b"b", true),
        (b"b", b"b", false),
        (b"b", b"a", false),
        (b"", b"", false),
    ] {
        let range = record(7, &[from.len(), to.len()], &[from, to].concat());
        assert_eq!(is_read(&range), read, "{from:?} to {to:?}");
    }
    for (bytes, read) in [
        (RANGE_END_BYTES_MAX, true),
        (RANGE_END_BYTES_MAX + 1, false),
    ] {
        let range = record(7, &[0, bytes], &vec![7; bytes]);
        assert_eq!(is_read(&range), read, "{bytes} bytes");
    }
}

#[test]
fn a_decision_has_as_many_participants_as_there_are_shards() {
    for (count, read) in [(SHARDS_MAX, true), (SHARDS_MAX + 1, false)] {
        let mut bytes = vec![4];
        bytes.extend_from_slice(&9u64.to_le_bytes());
        varint::push(&mut bytes, u64::from(count));
        bytes.extend((0..count).flat_map(u16::to_le_bytes));
        varint::push(&mut bytes, 0);
        assert_eq!(is_read(&bytes), read, "{count} participants");
    }
}

#[test]
fn a_record_has_as_many_operations_as_a_batch() {
    let mut bytes = vec![3];
    bytes.extend_from_slice(&[0; 10]);
    varint::push(&mut bytes, BATCH_OPS_MAX as u64);
    let count = bytes.len();
    for _ in 0..=BATCH_OPS_MAX {
        bytes.extend_from_slice(&[2, 1, b'k']);
    }
    assert!(is_read(&bytes));
    let mut more = Vec::new();
    varint::push(&mut more, BATCH_OPS_MAX as u64 + 1);
    bytes.splice(11..count, more);
    assert!(!is_read(&bytes));
}

#[test]
fn the_format_of_a_whole_head_is_told_whatever_it_is() {
    let mut head = vec![0; 100];
    head[..4].copy_from_slice(b"RKLG");
    head[4] = 9;
    let seal = |head: &mut [u8]| {
        let crc = crate::checksum::crc32c(&head[..HEADER_BYTES - 4]);
        head[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    };
    assert_eq!(
        FrameHeader::format_of(&head),
        None,
        "its checksum is missing"
    );
    seal(&mut head);
    assert_eq!(FrameHeader::format_of(&head), Some(9));
    assert_eq!(FrameHeader::format_of(&head[..HEADER_BYTES - 1]), None);
    head[0] = b'X';
    seal(&mut head);
    assert_eq!(FrameHeader::format_of(&head), None, "it is something else");
}
