//! Commits, and binaries built from them in a work tree of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::exit::Fault;
use crate::scratch::Scratch;

/// One commit.
#[derive(Clone, Debug)]
pub struct Commit {
    pub hash: String,
    pub subject: String,
}

impl Commit {
    /// As people write it.
    pub fn short(&self) -> &str {
        &self.hash[..self.hash.len().min(10)]
    }
}

/// A repository with a second work tree, which goes when this does.
pub struct Source<'a> {
    repository: PathBuf,
    build: &'a str,
    binary: &'a Path,
    scratch: Scratch,
}

impl<'a> Source<'a> {
    /// `build` is run by a shell in the work tree and leaves `binary`, a path relative to it.
    pub fn new(
        repository: &Path,
        scratch: Scratch,
        build: &'a str,
        binary: &'a Path,
    ) -> Result<Source<'a>, Fault> {
        let source = Source {
            repository: repository.to_path_buf(),
            build,
            binary,
            scratch,
        };
        // Of a run that was killed.
        source.git(&["worktree", "prune"])?;
        let tree = source.tree();
        let tree = tree
            .to_str()
            .ok_or_else(|| Fault::usage("the path of --dir is no text"))?;
        source.git(&["worktree", "add", "--quiet", "--detach", tree, "HEAD"])?;
        Ok(source)
    }

    /// The commit called `name`.
    pub fn commit(&self, name: &str) -> Result<Commit, Fault> {
        let commit = format!("{name}^{{commit}}");
        let found = self.commits(&["-1", &commit]).ok();
        let found = found.and_then(|mut commits| commits.pop());
        found.ok_or_else(|| Fault::usage(format!("git knows no commit {name}")))
    }

    /// What came after `good` up to and with `bad`, oldest first; of merged branches only the merge.
    pub fn between(&self, good: &Commit, bad: &Commit) -> Result<Vec<Commit>, Fault> {
        let is_ancestor = ["merge-base", "--is-ancestor", &good.hash, &bad.hash];
        self.git(&is_ancestor).map_err(|_| {
            let (good, bad) = (good.short(), bad.short());
            Fault::usage(format!("{good} does not come before {bad}"))
        })?;
        let range = format!("{}..{}", good.hash, bad.hash);
        self.commits(&["--reverse", "--first-parent", &range])
    }

    /// The binary of a commit, or what the build said last.
    pub fn binary(&self, commit: &Commit) -> Result<Result<PathBuf, String>, Fault> {
        let kept = self.scratch.path().join(commit.short());
        if kept.exists() {
            return Ok(Ok(kept));
        }
        let tree = self.tree();
        self.git_in(&tree, &["checkout", "--quiet", "--force", &commit.hash])?;
        let _ = std::fs::remove_file(tree.join(self.binary));
        // One target for all steps: neighbours share most of what is compiled.
        let output = Command::new("sh")
            .args(["-c", self.build])
            .current_dir(&tree)
            .env("CARGO_TARGET_DIR", tree.join("target"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Fault::usage(format!("cannot run sh: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let error = said.lines().find(|line| line.starts_with("error"));
            let last = said.lines().last();
            return Ok(Err(error.or(last).unwrap_or("the build failed").to_owned()));
        }
        match std::fs::copy(tree.join(self.binary), &kept) {
            Ok(_) => Ok(Ok(kept)),
            Err(error) => Ok(Err(format!(
                "no {} after the build: {error}",
                self.binary.display()
            ))),
        }
    }

    fn tree(&self) -> PathBuf {
        self.scratch.path().join("tree")
    }

    fn commits(&self, arguments: &[&str]) -> Result<Vec<Commit>, Fault> {
        let log = [&["log", "--format=%H %s"], arguments].concat();
        let text = self.git(&log)?;
        let commit = |line: &str| {
            let (hash, subject) = line.split_once(' ').unwrap_or((line, ""));
            Commit {
                hash: hash.to_owned(),
                subject: subject.to_owned(),
            }
        };
        Ok(text.lines().map(commit).collect())
    }

    fn git(&self, arguments: &[&str]) -> Result<String, Fault> {
        self.git_in(&self.repository, arguments)
    }

    fn git_in(&self, folder: &Path, arguments: &[&str]) -> Result<String, Fault> {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(arguments)
            .output()
            .map_err(|error| Fault::usage(format!("cannot run git: {error}")))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Fault::usage(format!(
                "git {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
        }
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        let tree = self.tree();
        let tree = tree.to_string_lossy();
        let _ = self.git(&["worktree", "remove", "--force", &tree]);
    }
}
