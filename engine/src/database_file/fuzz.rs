//! A door to the decoder for `engine/fuzz`. No part of the interface.

use super::format::{COPIES, COPY_BYTES, Copy, decode, encode};
use super::{DatabaseFile, State};
use crate::routing::Routing;
use xxhash_rust::xxh3::xxh3_64;

// Where the sums lie is written out in `format`.
const SUMMED: usize = 48;
const HEAD_SUM_AT: usize = 56;
const TABLE_AT: usize = 4096;

/// One copy of the file `database`. The lowest bit of the first byte asks for checksums that match.
pub fn database_file(input: &[u8]) {
    let Some((flags, bytes)) = input.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if flags & 1 != 0 {
        bytes.resize(COPY_BYTES, 0);
        mend_database_file(&mut bytes);
    }
    for copy in 0..COPIES {
        if let Copy::Valid(file) = decode(&bytes, copy) {
            let mut again = vec![0; COPY_BYTES];
            encode(&file, copy, &mut again);
            assert_eq!(decode(&again, copy), Copy::Valid(file));
        }
    }
}

/// A whole copy, and the beginning of one to be filled up.
pub fn database_file_seeds() -> Vec<Vec<u8>> {
    let file = DatabaseFile {
        store: *b"a store to fuzz.",
        state: State::Ready,
        sequence: 2,
        routing: Routing::even(2),
    };
    let mut copy = vec![0; COPY_BYTES];
    encode(&file, 0, &mut copy);
    vec![
        [&[0], &copy[..]].concat(),
        [&[1], &copy[..HEAD_SUM_AT]].concat(),
    ]
}

/// Makes the checksums of every copy match.
pub fn mend_database_file(file: &mut [u8]) {
    for copy in file.chunks_mut(COPY_BYTES) {
        if copy.len() == COPY_BYTES {
            let table = xxh3_64(&copy[TABLE_AT..]);
            copy[SUMMED..HEAD_SUM_AT].copy_from_slice(&table.to_le_bytes());
            let head = xxh3_64(&copy[..HEAD_SUM_AT]);
            copy[HEAD_SUM_AT..][..8].copy_from_slice(&head.to_le_bytes());
        }
    }
}
