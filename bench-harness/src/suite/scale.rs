//! Sizes and durations that a suite leaves to the scale of the run.

use serde::{Deserialize, Serialize};

use crate::quantity::Span;
use crate::workload::Warmup;

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Fractions of a second: keeps suites alive in tests, measures nothing.
    Quick,
    /// Minutes on a small machine.
    S,
    /// Ten times the data of S.
    M,
    /// As large as the suite goes.
    L,
}

impl Scale {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scale::Quick => "quick",
            Scale::S => "s",
            Scale::M => "m",
            Scale::L => "l",
        }
    }

    /// How long a phase is measured if nothing says otherwise.
    pub fn duration(self) -> Span {
        match self {
            Scale::Quick => Span::millis(30),
            Scale::S => Span::secs(25),
            Scale::M => Span::secs(60),
            Scale::L => Span::secs(300),
        }
    }

    /// How a phase warms up if nothing says otherwise.
    pub fn warmup(self) -> Warmup {
        let (min, max) = match self {
            Scale::Quick => (Span::millis(5), Span::millis(5)),
            Scale::S => (Span::secs(2), Span::secs(6)),
            Scale::M => (Span::secs(5), Span::secs(60)),
            Scale::L => (Span::secs(30), Span::secs(300)),
        };
        Warmup { min, max }
    }
}
