//! What the readers of other tools' traces share: lines into records, sampled by key, spread inside a second.

use xxhash_rust::xxh3::xxh3_64;

use super::{Head, Key, Keys, Record, Trace};
use crate::workload::OpKind;

const SECOND_NS: u64 = 1_000_000_000;
/// Longer keys and values are cut to this, whatever a trace says.
const KEY_MAX: u64 = 4096;
const VALUE_MAX: u64 = 16 << 20;

/// One request as another tool wrote it down.
pub(super) struct Line<'a> {
    /// Whole seconds on the tool's clock.
    pub time_s: u64,
    pub key: &'a str,
    pub key_size: u64,
    pub value_size: u64,
    pub op: OpKind,
    pub entries: u32,
    /// How often in a row.
    pub times: u64,
    /// A read that found nothing there.
    pub absent: bool,
}

/// Reads a trace line by line and keeps one in `one_in` keys. `parse` gives nothing for a line without a request;
/// its faults are told with their line.
pub(super) fn lines<'t>(
    text: &'t str,
    one_in: u32,
    mut parse: impl FnMut(usize, &'t str) -> Result<Option<Line<'t>>, String>,
) -> Result<Trace, String> {
    let mut records: Vec<Record> = Vec::new();
    let mut first_s = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let at = |error: String| format!("line {}: {error}: `{line}`", number + 1);
        let Some(found) = parse(number, line).map_err(at)? else {
            continue;
        };
        let start_s = *first_s.get_or_insert(found.time_s);
        let hash = xxh3_64(found.key.as_bytes());
        if !hash.is_multiple_of(u64::from(one_in.max(1))) {
            continue;
        }
        let since_ns = found.time_s.checked_sub(start_s);
        let record = Record {
            at_ns: since_ns
                .and_then(|s| s.checked_mul(SECOND_NS))
                .ok_or_else(|| at("the time runs backwards or is out of range".to_string()))?,
            op: found.op,
            keys: vec![Key::Hash(hash)],
            key_size: found.key_size.min(KEY_MAX) as u32,
            value_size: match found.op.writes() && found.op != OpKind::Delete {
                true => found.value_size.min(VALUE_MAX) as u32,
                false => 0,
            },
            entries: found.entries,
            absent: found.absent,
        };
        records.extend(std::iter::repeat_n(record, found.times as usize));
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

/// Requests of one second are spread over it evenly.
fn spread(records: &mut [Record]) {
    records.sort_by_key(|record| record.at_ns);
    let mut from = 0;
    while from < records.len() {
        let second = records[from].at_ns;
        let to = from + records[from..].partition_point(|record| record.at_ns == second);
        let count = (to - from) as u64;
        for (i, record) in records[from..to].iter_mut().enumerate() {
            record.at_ns += i as u64 * SECOND_NS / count;
        }
        from = to;
    }
}

/// A field that must be a number.
pub(super) fn number(what: &str, text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{what} is not a number: `{text}`"))
}
