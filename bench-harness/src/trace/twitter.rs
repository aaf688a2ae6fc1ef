//! Twitter's cache traces: `time,key,key size,value size,client,operation,TTL` for each request.
//!
//! Times are whole seconds; requests of one second are spread over it evenly. What the store has no word for is
//! mapped to the nearest: add, replace, cas and set write, append, prepend, incr and decr read and write back.

use xxhash_rust::xxh3::xxh3_64;

use super::{Head, Key, Keys, Record, Trace};
use crate::workload::OpKind;

/// Reads the text of a trace and keeps one in `one_in` keys.
pub fn read(text: &str, one_in: u32) -> Result<Trace, String> {
    let mut records: Vec<Record> = Vec::new();
    let mut first_s = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let record = record(line, &mut first_s, one_in)
            .map_err(|error| format!("line {}: {error}: `{line}`", number + 1))?;
        records.extend(record);
    }
    if records.is_empty() {
        return Err("nothing is left to keep; a smaller sample keeps more".to_string());
    }
    spread(&mut records);
    Ok(Trace {
        head: Head {
            keys: Keys::Anonymous,
            one_in,
            started_unix_ns: 0,
        },
        records,
        torn_bytes: 0,
    })
}

fn record(line: &str, first_s: &mut Option<u64>, one_in: u32) -> Result<Option<Record>, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    // A key may hold commas; the six fields around it do not.
    if fields.len() < 7 {
        return Err(
            "seven fields are needed: time,key,key size,value size,client,operation,TTL".into(),
        );
    }
    let n = fields.len();
    let key = fields[1..n - 5].join(",");
    let number = |what: &str, text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("{what} is not a number"))
    };
    let time_s = number("the time", fields[0])?;
    let key_size = number("the key size", fields[n - 5])?;
    let value_size = number("the value size", fields[n - 4])?;
    let op = match fields[n - 2] {
        "get" | "gets" => OpKind::Get,
        "set" | "add" | "replace" | "cas" => OpKind::Put,
        "append" | "prepend" | "incr" | "decr" => OpKind::Rmw,
        "delete" => OpKind::Delete,
        other => return Err(format!("unknown operation `{other}`")),
    };
    let hash = xxh3_64(key.as_bytes());
    let start_s = *first_s.get_or_insert(time_s);
    if !hash.is_multiple_of(u64::from(one_in.max(1))) {
        return Ok(None);
    }
    Ok(Some(Record {
        at_ns: time_s
            .checked_sub(start_s)
            .and_then(|s| s.checked_mul(1_000_000_000))
            .ok_or("the time runs backwards or is out of range")?,
        op,
        keys: vec![Key::Hash(hash)],
        key_size: key_size.min(4096) as u32,
        value_size: match op {
            OpKind::Get | OpKind::Delete => 0,
            _ => value_size.min(16 << 20) as u32,
        },
        entries: 0,
        // A get of a value of 0 bytes is a miss there.
        absent: op == OpKind::Get && value_size == 0,
    }))
}

fn spread(records: &mut [Record]) {
    records.sort_by_key(|record| record.at_ns);
    let mut from = 0;
    while from < records.len() {
        let second = records[from].at_ns;
        let to = from + records[from..].partition_point(|record| record.at_ns == second);
        let count = (to - from) as u64;
        for (i, record) in records[from..to].iter_mut().enumerate() {
            record.at_ns += i as u64 * 1_000_000_000 / count;
        }
        from = to;
    }
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
        assert!(read("0,k,1", 1).unwrap_err().contains("seven fields"));
        assert!(read("x,k,1,1,1,get,0", 1).unwrap_err().contains("the time"));
    }
}
