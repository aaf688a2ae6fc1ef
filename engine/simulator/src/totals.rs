//! What runs have done, summed up.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident: $label:literal,)*) => {
        /// Counts over any number of runs.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        pub struct Totals { $($(#[$doc])* pub $name: u64,)* }

        impl AddAssign for Totals {
            fn add_assign(&mut self, other: Totals) { $(self.$name += other.$name;)* }
        }

        impl fmt::Display for Totals {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let rows = [$(($label, self.$name)),*];
                for (index, (label, value)) in rows.into_iter().enumerate() {
                    if index > 0 { f.write_str("\n")?; }
                    write!(f, "{label:<44}{value:>14}")?;
                }
                Ok(())
            }
        }
    };
}

totals! {
    /// Plans.
    runs: "seeds",
    /// From an opening to a stop.
    lives: "lives",
    /// Openings after a stop, with everything compared.
    recoveries: "crash-recoveries",
    /// Power cuts, also of copies.
    cuts: "power cuts",
    /// Power cuts in the midst of a recovery.
    cuts_while_opening: "power cuts during recovery",
    /// Kills, also of copies.
    kills: "kills",
    /// Kills in the midst of a recovery.
    kills_while_opening: "kills during recovery",
    /// Copies of which the log's tail was harmed.
    tails_harmed: "tails harmed",
    /// Closings.
    closings: "closings",
    /// Drops of the last handle.
    drops: "drops without closing",
    /// Virtual time that went by.
    simulated_millis: "simulated milliseconds",
    /// Steps of plans.
    steps: "steps taken",
    /// Answers.
    answers: "calls answered",
    /// Writes among them.
    acknowledged: "writes acknowledged",
    /// Transactions committed.
    transactions: "transactions committed",
    /// Of these, over lists, through both judges of histories.
    judged: "of these through two cycle checkers",
    /// Transactions that lost.
    conflicts: "transactions in conflict",
    /// Ranges removed.
    range_deletes: "range deletes asked for",
    /// Values read and compared.
    reads: "values read",
    /// Keyspaces made, dropped, written and read.
    spaces: "calls to keyspaces",
    /// Scans compared.
    scans: "scans at a version",
    /// Of these, of the past.
    past: "reads of the past",
    /// Errors that faults explain.
    errors: "errors with a cause",
    /// Failing, stuck and full disks.
    faults: "faults injected",
    /// Bits turned over and writes misdirected.
    damages: "damages at rest",
    /// Of these, refused by name.
    refusals: "refusals of damage",
}

impl Totals {
    /// The rate that CI prints.
    pub fn rate(&self, took: Duration) -> f64 {
        self.recoveries as f64 / took.as_secs_f64().max(0.001)
    }

    /// How many seconds a second simulates.
    pub fn speed(&self, took: Duration) -> f64 {
        self.simulated_millis as f64 / 1000.0 / took.as_secs_f64().max(0.001)
    }

    /// Transactions that both judges of histories have looked at, a second.
    pub fn judged_rate(&self, took: Duration) -> f64 {
        self.judged as f64 / took.as_secs_f64().max(0.001)
    }
}
