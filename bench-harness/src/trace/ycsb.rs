//! What YCSB's `basic` binding prints: `READ usertable user42 [ <all fields>]`, one operation a line.
//!
//! It has no times, so a second is given for every thousand operations; `replay --speed` makes of that what is
//! wanted. Lines that are not an operation (YCSB's own report) are left aside.

use super::Trace;
use super::import::{Line, lines, number};
use crate::workload::OpKind;

/// Operations a second.
const RATE: u64 = 1000;

/// Reads the text of a run and keeps one in `one_in` keys.
pub fn read(text: &str, one_in: u32) -> Result<Trace, String> {
    let mut operations = 0;
    lines(text, one_in, |_, line| {
        let mut words = line.splitn(4, ' ');
        let op = match words.next() {
            Some("READ") => OpKind::Get,
            Some("UPDATE") => OpKind::Put,
            Some("INSERT") => OpKind::Insert,
            Some("DELETE") => OpKind::Delete,
            Some("SCAN") => OpKind::Scan,
            _ => return Ok(None),
        };
        let (Some(_table), Some(key)) = (words.next(), words.next()) else {
            return Err("a table and a key are needed".to_string());
        };
        let rest = words.next().unwrap_or("");
        let entries = match (op, rest.split(' ').next()) {
            (OpKind::Scan, Some(count)) => number("the scan's length", count)?,
            _ => 0,
        };
        operations += 1;
        Ok(Some(Line {
            time_s: (operations - 1) / RATE,
            key,
            key_size: key.len() as u64,
            // Between the brackets, with the names of the fields: what a record holds.
            value_size: rest.trim_start_matches("[ ").trim_end_matches(']').len() as u64,
            op,
            entries: entries.min(u64::from(u32::MAX)) as u32,
            times: 1,
            absent: false,
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_becomes_operations() {
        let text = "***************** properties *****************\n\
                    INSERT usertable user1 [ field0=abc field1=de ]\nREAD usertable user1 [ <all fields>]\n\
                    SCAN usertable user1 52 [ <all fields>]\nDELETE usertable user1\n[OVERALL], RunTime(ms), 12\n";
        let trace = read(text, 1).unwrap();
        let found: Vec<_> = trace
            .records
            .iter()
            .map(|r| (r.op, r.key_size, r.value_size, r.entries))
            .collect();
        assert_eq!(
            found,
            [
                (OpKind::Insert, 5, 21, 0),
                (OpKind::Get, 5, 0, 0),
                (OpKind::Scan, 5, 0, 52),
                (OpKind::Delete, 5, 0, 0),
            ]
        );
        assert!(
            read("SCAN t k many [ ]", 1)
                .unwrap_err()
                .contains("line 1: the scan's length")
        );
    }
}
