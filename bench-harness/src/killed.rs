//! A load whose process is killed before the target can settle or close.
//!
//! The load runs in a child, which is this program called with an argument that nobody types. It says how the load went
//! and waits; then it is killed, and whoever opens the target's folder next finds what a crash leaves.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::load::{Written, write};
use crate::target::{Answer, Failure, OpenOptions, Target, TargetKind};
use crate::workload::values::Values;
use crate::workload::{Dataset, Durability, Op, OpKind};

/// What makes a program carry out an errand.
pub const ARGUMENT: &str = "load-and-wait";

/// What the child is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Errand {
    /// The target's name.
    pub target: String,
    /// How it is opened.
    pub options: OpenOptions,
    /// What is loaded.
    pub dataset: Dataset,
    /// The seed of its keys and values.
    pub seed: u64,
    /// Threads that load.
    pub loaders: usize,
}

impl Errand {
    /// Sends a child on this errand and kills it when it is done.
    pub fn send(&self, program: &Path) -> Result<Written, Failure> {
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure(format!("cannot start a process to load: {error}")))?;
        let mut line = String::new();
        let told = self.tell(&mut child).and_then(|output| {
            // Read as far as it says; the pipe stays open, so that it waits.
            BufReader::new(output)
                .read_line(&mut line)
                .map_err(Failure::new)
        });
        let killed = child.kill().and_then(|()| child.wait());
        told?;
        killed.map_err(Failure::new)?;
        serde_json::from_str(&line)
            .map_err(|_| Failure("the process that loads ended before it was done".to_string()))
    }

    fn tell<'a>(
        &self,
        child: &'a mut std::process::Child,
    ) -> Result<&'a mut std::process::ChildStdout, Failure> {
        let text = serde_json::to_string(self).expect("errands have only string keys");
        let input = child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{text}").map_err(Failure::new)?;
        Ok(child.stdout.as_mut().expect("it is piped"))
    }

    /// Carries out the errand on the standard input, then waits to be killed. Returns when the parent is gone.
    pub fn run(kinds: &[TargetKind]) -> Result<(), Failure> {
        let mut input = BufReader::new(std::io::stdin());
        let mut line = String::new();
        input.read_line(&mut line).map_err(Failure::new)?;
        let errand: Errand = serde_json::from_str(&line).map_err(Failure::new)?;
        let kind = kinds
            .iter()
            .find(|kind| kind.name == errand.target)
            .ok_or_else(|| Failure(format!("there is no target {}", errand.target)))?;
        let target = (kind.open)(&errand.options)?;
        let written = errand.load(&*target)?;
        println!(
            "{}",
            serde_json::to_string(&written).expect("plain numbers")
        );
        input.read_to_string(&mut line).map_err(Failure::new)?;
        Ok(())
    }

    /// All keys, and a durable write after them: what was buffered must be there as well.
    fn load(&self, target: &dyn Target) -> Result<Written, Failure> {
        let never = AtomicBool::new(false);
        let dataset = &self.dataset;
        let written = write(
            target,
            dataset,
            self.seed,
            self.loaders,
            &never,
            &mut |_, _| {},
        )?;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        dataset.key.write(0, &mut key);
        let length = dataset.value.length.mean() as usize;
        Values::new(&dataset.value, self.seed).write(0, 1, length, &mut value);
        let last = Op {
            kind: OpKind::Put,
            keys: &key,
            key_size: dataset.key.size,
            values: &value,
            value_size: value.len(),
            entries: 0,
            reverse: false,
            durability: Durability::Sync,
        };
        target.caller()?.call(&last, &mut Answer::counting())?;
        Ok(written)
    }
}
