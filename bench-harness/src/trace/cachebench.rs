//! CacheBench's traces: comma-separated, the first line names the columns.
//!
//! `key` and `op` are needed; `op_time` (seconds), `key_size`, `size`, `op_count` are taken where they are, any
//! other column is left aside. Leases are what they lead to: a read or a write.

use super::Trace;
use super::import::{Line, lines, number};
use crate::workload::OpKind;

/// More repetitions of one request than this are a damaged line.
const TIMES_MAX: u64 = 1_000_000;

/// Reads the text of a trace and keeps one in `one_in` keys.
pub fn read(text: &str, one_in: u32) -> Result<Trace, String> {
    let names: Vec<&str> = text
        .lines()
        .next()
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .collect();
    let column = |name: &str| names.iter().position(|known| *known == name);
    let (Some(key), Some(op)) = (column("key"), column("op")) else {
        return Err("the first line must name the columns, `key` and `op` among them".to_string());
    };
    let (time, key_size, size, times) = (
        column("op_time"),
        column("key_size"),
        column("size"),
        column("op_count"),
    );
    lines(text, one_in, |line_number, line| {
        if line_number == 0 {
            return Ok(None);
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if fields.len() != names.len() {
            return Err(format!("{} fields are needed", names.len()));
        }
        let optional = |what: &str, column: Option<usize>, otherwise: u64| match column {
            Some(at) if !fields[at].is_empty() => number(what, fields[at]),
            _ => Ok(otherwise),
        };
        let op = match fields[op] {
            "GET" | "GET_LEASE" => OpKind::Get,
            "SET" | "SET_LEASE" => OpKind::Put,
            "DELETE" => OpKind::Delete,
            other => return Err(format!("unknown operation `{other}`")),
        };
        let value_size = optional("size", size, 1024)?;
        let times = optional("op_count", times, 1)?;
        if times > TIMES_MAX {
            return Err(format!("op_count is above {TIMES_MAX}"));
        }
        Ok(Some(Line {
            time_s: optional("op_time", time, 0)?,
            key: fields[key],
            key_size: optional("key_size", key_size, fields[key].len() as u64)?,
            value_size,
            op,
            entries: 0,
            times,
            absent: op == OpKind::Get && value_size == 0,
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_counts_repeat() {
        let text = "key,op,size,op_count,op_time,usecase\na,GET,0,1,7,x\nb,SET,300,2,7,x\na,DELETE,,1,9,x\n";
        let trace = read(text, 1).unwrap();
        let found: Vec<_> = trace
            .records
            .iter()
            .map(|r| (r.at_ns / 1_000_000, r.op, r.value_size, r.absent))
            .collect();
        assert_eq!(
            found,
            [
                (0, OpKind::Get, 0, true),
                (333, OpKind::Put, 300, false),
                (666, OpKind::Put, 300, false),
                (2000, OpKind::Delete, 0, false),
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        assert!(read("op,size\n", 1).unwrap_err().contains("`key` and `op`"));
        let fault = |line: &str| read(&format!("key,op,size\n{line}\n"), 1).unwrap_err();
        assert!(fault("k,FLY,1").starts_with("line 2: unknown operation `FLY`"));
        assert!(fault("k,GET").contains("3 fields are needed"));
        assert!(fault("k,GET,big").contains("size is not a number"));
    }
}
