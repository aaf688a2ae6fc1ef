//! The program from outside: arguments in, exit codes, files and messages out.

mod browser;
mod capacity;
mod faults;
mod interrupt;
mod more;
mod peers;
mod quick;
mod saved;
mod traces;

use std::path::PathBuf;
use std::process::{Command, Output};

/// What a call of loadgen did.
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn loadgen(arguments: &[&str]) -> Done {
    let output = command(arguments).output().expect("loadgen starts");
    Done::from(output)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(arguments);
    command
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            code: output.status.code().expect("loadgen ends by itself"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Done {
    #[track_caller]
    fn expect(self, code: i32) -> Done {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }
}

/// A directory that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("loadgen-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).expect("a new directory");
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
