//! Calls of the binary, each in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("perf-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("room for a folder");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("a file")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("room for a file");
    }

    /// Replaces a text that must be there.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} holds no `{from}`");
        self.write(name, &text.replace(from, to));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Exit code, and everything said.
pub fn perf(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_perf"))
        .args(arguments)
        .output()
        .expect("perf runs");
    let mut said = String::from_utf8_lossy(&output.stdout).to_string();
    said += &String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("perf exits by itself"), said)
}

/// Asserts an exit code and a piece of what is said.
#[track_caller]
pub fn check(arguments: &[&str], code: i32, words: &str) {
    let (found, said) = perf(arguments);
    assert!(
        found == code && said.contains(words),
        "perf {arguments:?}: expected {code} and `{words}`, found {found} and:\n{said}"
    );
}

/// Git in a folder, as somebody.
#[track_caller]
pub fn git(folder: &Folder, arguments: &[&str]) {
    let somebody = ["-c", "user.name=t", "-c", "user.email=t@t.t"];
    let output = Command::new("git")
        .args(["-C", &folder.path("")])
        .args(somebody)
        .args(arguments)
        .output()
        .expect("git");
    assert!(output.status.success(), "{output:?}");
}
