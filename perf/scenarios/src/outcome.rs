//! What a scenario hands to the one who judges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One run of one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which scenario.
    pub scenario: String,
    /// Identity of the work: sizes, keys, values and their order. Runs of different work are not compared.
    pub workload: String,
    /// Identity of the answers.
    pub answers: String,
    /// Units of work.
    pub ops: u64,
    /// Bytes of keys and values that the work wrote.
    pub user_bytes: u64,
    /// Sums over the measured part.
    pub counts: BTreeMap<String, u64>,
    /// Bytes of tables after it.
    pub space_bytes: u64,
    /// Bytes of the keys and values that exist after it.
    pub live_bytes: u64,
    /// CPU time of the measured part.
    pub cpu_ns: u64,
    /// Real time of it.
    pub wall_ns: u64,
    /// What built the binary.
    pub toolchain: Toolchain,
}

/// What instruction counts depend on besides the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolchain {
    /// Compiler.
    pub rustc: String,
    /// Target and optimisation.
    pub target: String,
    /// Processor features that code here asks for at run time, as this process sees them.
    pub processor: String,
}

impl Toolchain {
    /// Of this binary on this machine.
    pub fn current() -> Toolchain {
        Toolchain {
            rustc: env!("SCENARIOS_RUSTC").to_owned(),
            target: env!("SCENARIOS_TARGET").to_owned(),
            processor: processor(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn processor() -> String {
    let features = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ("vpclmulqdq", is_x86_feature_detected!("vpclmulqdq")),
        ("erms", has_flag("erms")),
        ("fsrm", has_flag("fsrm")),
    ];
    let present = features.iter().filter(|(_, is_present)| *is_present);
    present.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

/// The C library's copies depend on these, and the standard library does not tell.
#[cfg(target_arch = "x86_64")]
fn has_flag(name: &str) -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("flags"));
    line.is_some_and(|line| line.split_whitespace().any(|word| word == name))
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> String {
    std::env::consts::ARCH.to_owned()
}
