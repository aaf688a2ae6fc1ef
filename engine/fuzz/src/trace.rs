//! Recorded traces, which people hand to each other.

use ringkeep_bench::trace::format::{self, BlockBuilder, Head, Key, Keys, Record};
use ringkeep_bench::workload::OpKind;

const HEAD_SUMMED: usize = 32;
const HEAD_BYTES: usize = 40;
const BLOCK_SUMMED: usize = 20;
const BLOCK_HEAD_BYTES: usize = 24;

/// A trace file. The lowest bit of the first byte asks for checksums that match.
pub fn trace(input: &[u8]) {
    let Some((flags, bytes)) = input.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if flags & 1 != 0 {
        mend(&mut bytes);
    }
    let Ok(trace) = format::decode(&bytes) else {
        return;
    };
    // A record of a trace takes at least four bytes of it.
    assert!(trace.records.len() <= input.len());
}

fn mend(file: &mut [u8]) {
    let Some((head, mut rest)) = file.split_at_mut_checked(HEAD_BYTES) else {
        return;
    };
    let sum = crc(&head[..HEAD_SUMMED]);
    head[HEAD_SUMMED..][..4].copy_from_slice(&sum.to_le_bytes());
    while rest.len() >= BLOCK_HEAD_BYTES {
        let length = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        let Some((block, behind)) =
            std::mem::take(&mut rest).split_at_mut_checked(BLOCK_HEAD_BYTES.saturating_add(length))
        else {
            return;
        };
        let summed = [&block[..BLOCK_SUMMED], &block[BLOCK_HEAD_BYTES..]].concat();
        block[BLOCK_SUMMED..BLOCK_HEAD_BYTES].copy_from_slice(&crc(&summed).to_le_bytes());
        rest = behind;
    }
}

fn crc(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// One of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let kinds = [
        (Keys::Raw, Key::Raw(b"a key".to_vec())),
        (Keys::Anonymous, Key::Hash(7)),
    ];
    kinds.map(|(keys, key)| seed(keys, key)).to_vec()
}

fn seed(keys: Keys, key: Key) -> Vec<u8> {
    let head = Head {
        keys,
        one_in: 1,
        started_unix_ns: 5,
    };
    let mut block = BlockBuilder::new(keys);
    let ops = [
        (10, OpKind::Get),
        (300, OpKind::Put),
        (70_000, OpKind::Scan),
    ];
    for (at_ns, op) in ops {
        block.push(&Record {
            at_ns,
            op,
            keys: vec![key.clone()],
            key_size: 5,
            value_size: 100,
            entries: 3,
            absent: false,
        });
    }
    let mut bytes = vec![1];
    bytes.extend(format::encode_head(&head));
    bytes.extend(block.take());
    bytes
}
