//! Exit codes. Scripts rely on them: none ever gets a second meaning.

use std::fmt;
use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// Done, objectives met.
    Done = 0,
    /// An objective was missed.
    SloMissed = 1,
    /// Arguments or files that cannot be used.
    Usage = 2,
    /// The numbers may not be used: the generator set the pace, or there was too little.
    Invalid = 3,
    /// An answer was wrong, or the target failed.
    WrongAnswers = 4,
    /// A fault of loadgen itself.
    Internal = 70,
    /// Ended by Ctrl-C; what was measured is reported.
    Interrupted = 130,
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
        Fault {
            code: Code::Usage,
            message: message.to_string(),
        }
    }

    /// The target failed.
    pub fn target(message: impl fmt::Display) -> Fault {
        Fault {
            code: Code::WrongAnswers,
            message: message.to_string(),
        }
    }

    /// Ctrl-C before anything was measured.
    pub fn interrupted() -> Fault {
        Fault {
            code: Code::Interrupted,
            message: "ended before anything was measured".to_string(),
        }
    }

    /// The user cannot.
    pub fn internal(message: impl fmt::Display) -> Fault {
        Fault {
            code: Code::Internal,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
