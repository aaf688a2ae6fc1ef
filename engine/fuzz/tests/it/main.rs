//! Every target on mutations of its seeds, on any compiler. What fails prints its input, which belongs into
//! `corpus/<target>/`, and the command that repeats it.
//!
//! `RINGKEEP_FUZZ_INPUTS=1000000 cargo test --release -p ringkeep-fuzz` for more, `RINGKEEP_SEED` for others,
//! `RINGKEEP_FUZZ_TARGET=open` for one target, whose inputs are then named before they are tried.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringkeep_fuzz::{Flips, Mutator, TARGETS, Target, flip_every};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than every target needs together, and less than a length field may ask for.
const MEMORY_BYTES: u64 = 4 << 30;

/// A database is opened a few hundred times a second, everything else is a hundred times faster.
const INPUTS: u64 = 20_000;
const INPUTS_OPENED: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn feed(target: &Target) {
    let ordinary = match target.name {
        "open" | "table" => INPUTS_OPENED,
        _ => INPUTS,
    };
    let count = number("RINGKEEP_FUZZ_INPUTS").unwrap_or(ordinary);
    let seed = number("RINGKEEP_SEED").unwrap_or(1);
    let seeds = (target.seeds)();
    for (index, input) in seeds.iter().enumerate() {
        try_input(target, input, &format!("seed {index}"));
    }
    for (name, input) in target.corpus() {
        try_input(target, &input, &name);
    }
    let mut mutator = Mutator::new(seed);
    for index in 0..count {
        let input = mutator.input(&seeds);
        try_input(
            target,
            &input,
            &format!("input {index} of RINGKEEP_SEED={seed}"),
        );
    }
    println!("{}: {count} inputs", target.name);
}

fn try_input(target: &Target, input: &[u8], name: &str) {
    if std::env::var_os("RINGKEEP_FUZZ_TARGET").is_some() {
        println!("{}: {name}: {}", target.name, hex(input));
    }
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{}: {name}: {}", target.name, hex(input));
    }
}

fn hex(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An allocation past the limit ends the process: lengths are checked before they are believed.
#[test]
fn no_bytes_make_a_decoder_panic_or_ask_for_memory() {
    let limit = getrlimit(Resource::As);
    let current = Some(
        limit
            .maximum
            .map_or(MEMORY_BYTES, |most| most.min(MEMORY_BYTES)),
    );
    setrlimit(Resource::As, Rlimit { current, ..limit }).expect("a limit");
    let chosen = std::env::var("RINGKEEP_FUZZ_TARGET").ok();
    let is_chosen = |target: &&Target| chosen.as_ref().is_none_or(|name| *name == target.name);
    TARGETS.iter().filter(is_chosen).for_each(feed);
}

/// All of them with `RINGKEEP_FLIP_STEP=1 cargo test --release -p ringkeep-fuzz flipped -- --nocapture`.
#[test]
fn a_flipped_byte_is_refused_by_name_or_changes_nothing() {
    let step = number("RINGKEEP_FLIP_STEP").unwrap_or(9973);
    let Flips { bytes, refused } = flip_every(step as usize);
    assert!(refused > 0);
    println!("{bytes} bytes flipped, {refused} refused, every other answer right");
}
