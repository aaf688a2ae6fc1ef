//! Twitter's cache traces: `time,key,key size,value size,client,operation,TTL` for each request.
//!
//! Times are whole seconds. What the store has no word for is
//! mapped to the nearest: add, replace, cas and set write, append, prepend, incr and decr read and write back.

use super::Trace;
use super::import::{Line, lines, number};
use crate::workload::OpKind;

/// Fields after the key, which may hold commas itself.
const AFTER: usize = 5;

/// Reads the text of a trace and keeps one in `one_in` keys.
pub fn read(text: &str, one_in: u32) -> Result<Trace, String> {
    lines(text, one_in, |_, line| {
        let after: Vec<&str> = line.rsplitn(AFTER + 1, ',').map(str::trim).collect();
        let head = after.get(AFTER).and_then(|head| head.split_once(','));
        let Some((time, key)) = head else {
            return Err(
                "7 fields are needed: time,key,key size,value size,client,operation,TTL".into(),
            );
        };
        let [_ttl, op, _client, value_size, key_size] =
            [after[0], after[1], after[2], after[3], after[4]];
        let op = match op {
            "get" | "gets" => OpKind::Get,
            "set" | "add" | "replace" | "cas" => OpKind::Put,
            "append" | "prepend" | "incr" | "decr" => OpKind::Rmw,
            "delete" => OpKind::Delete,
            other => return Err(format!("unknown operation `{other}`")),
        };
        let value_size = number("the value size", value_size)?;
        Ok(Some(Line {
            time_s: number("the time", time.trim())?,
            key: key.trim(),
            key_size: number("the key size", key_size)?,
            value_size,
            op,
            entries: 0,
            times: 1,
            // A get of a value of 0 bytes is a miss there.
            absent: op == OpKind::Get && value_size == 0,
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_operations() {
        let text = "0,q:q:1:8WTfjZU14ee,17,213,4,get,0\n0,yDqF:3q,18,0,2,get,0\n\
                    1,yDqF:3q,18,27,2,set,3600\n1,n,e,3,1,7,incr,0\n";
        let trace = read(text, 1).unwrap();
        let found: Vec<(u64, OpKind, u32, bool)> = trace
            .records
            .iter()
            .map(|r| (r.at_ns, r.op, r.value_size, r.absent))
            .collect();
        assert_eq!(
            found,
            [
                (0, OpKind::Get, 0, false),
                (500_000_000, OpKind::Get, 0, true),
                (1_000_000_000, OpKind::Put, 27, false),
                (1_500_000_000, OpKind::Rmw, 1, false),
            ]
        );
        assert_eq!(trace.records[1].keys, trace.records[2].keys);
    }

    #[test]
    fn a_bad_line_is_named() {
        assert!(
            read("0,k,1,1,1,fly,0", 1)
                .unwrap_err()
                .starts_with("line 1: unknown operation `fly`")
        );
        assert!(read("0,k,1", 1).unwrap_err().contains("7 fields"));
        assert!(read("x,k,1,1,1,get,0", 1).unwrap_err().contains("the time"));
    }
}
