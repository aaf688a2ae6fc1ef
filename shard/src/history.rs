//! The past of a shard: when its commits were, and what it costs to keep them.

use ringkeep_io::Nanos;

use crate::call::Reply;
use crate::core::Core;
use crate::size::share;
use crate::table::{Table, TableSummary};
use crate::timeline::Moment;
use crate::token::Token;
use crate::transaction::Span;
use crate::version::Version;

const NANOS_PER_MILLI: Nanos = 1_000_000;

impl<T: Token> Core<T> {
    /// The time by which the present judges ends. Whoever asks the pins what is needed asks this first, so that they
    /// hear of it.
    pub fn now(&self) -> u64 {
        self.pins.hear(self.io.wall_clock() / NANOS_PER_MILLI)
    }

    /// The time of a group that is being formed, for its frame; zero where times are not kept.
    pub fn note_time(&self, version: Version) -> u64 {
        let Some(step) = self.pins.step() else {
            return 0;
        };
        let millis = self.io.wall_clock() / NANOS_PER_MILLI;
        let before = self.latest.replace(Moment { millis, version });
        if millis.abs_diff(self.added.get()) >= step {
            self.add_moment(before);
            self.add_latest();
        }
        millis
    }

    /// Puts the newest commit on the timeline.
    pub fn add_latest(&self) {
        self.added.set(self.latest.get().millis);
        self.add_moment(self.latest.get());
    }

    fn add_moment(&self, moment: Moment) {
        if moment != Moment::default() {
            self.pins.timeline().add(moment);
        }
    }

    /// Of each of these ranges and versions: bytes of tables that merges could drop there if nobody read below it.
    pub fn accept_history(&self, token: T, asked: &[(Option<Span>, Version)]) {
        self.add_latest();
        let tables = self.tables.borrow();
        let bytes = |(span, watermark): &(Option<Span>, Version)| {
            let of_each = tables.tables().map(|table| {
                let whole = hidden(table.summary(), past_bytes(table), *watermark);
                match span {
                    None => whole,
                    Some(span) => (whole as f64 * share(table, span)) as u64,
                }
            });
            of_each.sum()
        };
        let bytes = asked.iter().map(bytes).collect();
        self.reply(token, Reply::History(bytes));
    }
}

/// What the old versions of a table take, with their share of what it refers to.
fn past_bytes(table: &Table) -> u64 {
    let summary = table.summary();
    let old = u128::from(summary.entries - summary.keys);
    let referred = u128::from(summary.weight() - summary.file_bytes);
    table.past_bytes() + (referred * old / u128::from(summary.entries.max(1))) as u64
}

/// About how many bytes of a table, whose old versions take `past` bytes, nobody sees who reads at `watermark` or later.
/// There are as many old versions as versions that hide one; these are taken for the newest of the table, evenly spread.
fn hidden(table: &TableSummary, past: u64, watermark: Version) -> u64 {
    let entries = u128::from(table.entries.max(1));
    let old = u128::from(table.entries - table.keys);
    let span = u128::from(table.newest.0 - table.oldest.0) + 1;
    let hiding = (span * old / entries).max(1);
    let above = u128::from(table.newest.0.saturating_sub(watermark.0));
    (u128::from(past) * hiding.saturating_sub(above) / hiding) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_bytes_grow_with_the_watermark() {
        let table = TableSummary {
            entries: 100,
            keys: 60,
            oldest: Version(11),
            newest: Version(20),
            ..TableSummary::default()
        };
        let hidden = |watermark| hidden(&table, 400, Version(watermark));
        assert_eq!([hidden(0), hidden(16), hidden(18)], [0, 0, 200]);
        assert_eq!([hidden(20), hidden(u64::MAX)], [400, 400]);
    }
}
