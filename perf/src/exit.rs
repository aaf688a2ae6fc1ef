//! Exit codes. Scripts rely on them: none ever gets a second meaning, and 1 is never used, because it is what
//! anything that breaks on the way exits with.

use std::fmt;
use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Nothing is worse than allowed.
    Pass = 0,
    /// Arguments or files that cannot be used.
    Usage = 2,
    /// Something is worse than allowed.
    Regression = 3,
    /// With `--strict`: something could not be decided.
    Undecided = 4,
    /// There is no baseline to compare with.
    NoBaseline = 5,
    /// A fault of perf itself, or of what it measures.
    Internal = 70,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// Why nothing could be done, and the exit code for it.
#[derive(Debug)]
pub struct Fault {
    /// What to exit with.
    pub code: Code,
    message: String,
}

impl Fault {
    /// The user can fix it.
    pub fn usage(message: impl fmt::Display) -> Fault {
        Fault::new(Code::Usage, message)
    }

    /// The user cannot.
    pub fn internal(message: impl fmt::Display) -> Fault {
        Fault::new(Code::Internal, message)
    }

    /// With a code of its own.
    pub fn new(code: Code, message: impl fmt::Display) -> Fault {
        Fault {
            code,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
