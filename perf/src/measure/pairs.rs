//! Times of two binaries, side by side: blocks of A B B A or B A A B, so that a machine that slows down or speeds
//! up meanwhile does it to both.

use ringkeep_bench::random::Stream;
use ringkeep_scenarios::Outcome;

use super::Subject;
use crate::exit::Fault;
use crate::filter::Filter;
use crate::gate::{Block, Samples, blocks_min};
use crate::metric::{CPU, WALL};
use crate::scratch::Scratch;

/// A measured part shorter than this is mostly start and noise; operations are added until it is as long.
const PART_NS: u64 = 40_000_000;
const GROWTH_MAX: u64 = 64;

/// How to pair.
pub struct Pairing {
    /// Pairs of each scenario; two a block.
    pub pairs: u64,
    /// Decides which side begins each block.
    pub seed: u64,
}

/// Times of all selected scenarios that both binaries have and that do the same work in both.
pub fn times(
    base: &Subject,
    head: &Subject,
    filter: &Filter,
    pairing: &Pairing,
) -> Result<Vec<Samples>, Fault> {
    // Fresh copies under names of one length: where a file lies in memory and how long its path is can move times
    // by several percent, and must not be what the two sides differ in.
    let scratch = Scratch::temporary()?;
    let base = &base.copied_to(&scratch.path().join("a"))?;
    let head = &head.copied_to(&scratch.path().join("b"))?;
    let known = base.scenarios()?;
    let names: Vec<String> = head
        .scenarios()?
        .into_iter()
        .filter(|name| known.contains(name))
        .collect();
    let names = filter.select(names)?;
    let pairs_min = 2 * blocks_min(2 * names.len()) as u64;
    if pairing.pairs < pairs_min {
        return Err(Fault::usage(format!(
            "from --pairs {} no regression of {} scenarios could be told from chance; use {pairs_min} or more",
            pairing.pairs,
            names.len()
        )));
    }
    let mut samples = Vec::new();
    for name in names {
        // The first runs, which no one counts, also tell how long is long enough.
        let (first, other) = (base.outcome(&name)?, head.outcome(&name)?);
        if first.workload != other.workload {
            continue;
        }
        let ops = first.ops * PART_NS.div_ceil(first.cpu_ns.max(1)).clamp(1, GROWTH_MAX);
        samples.extend(scenario(base, head, &name, ops, pairing)?);
    }
    Ok(samples)
}

fn scenario(
    base: &Subject,
    head: &Subject,
    name: &str,
    ops: u64,
    pairing: &Pairing,
) -> Result<[Samples; 2], Fault> {
    let empty = |metric: &str| Samples {
        metric: format!("{name}/{metric}"),
        blocks: Vec::new(),
        calibrated: None,
    };
    let (mut cpu, mut wall) = (empty(CPU), empty(WALL));
    let coin = Stream::new(pairing.seed, name, 0);
    for number in 0..pairing.pairs.div_ceil(2) {
        let base_first = coin.at(number).below(2) == 0;
        let (outer, inner) = if base_first {
            (base, head)
        } else {
            (head, base)
        };
        let runs = [outer, inner, inner, outer].map(|subject| subject.outcome_of(name, ops));
        let [first, second, third, last] = runs;
        let (outer, inner) = ((first?, last?), (second?, third?));
        let (base, head) = if base_first {
            (outer, inner)
        } else {
            (inner, outer)
        };
        let block = |of: fn(&Outcome) -> u64| -> Result<Block, Fault> {
            let each = |run: &Outcome| match of(run) {
                0 => Err(Fault::internal(format!(
                    "{name} took no time by this clock"
                ))),
                nanos => Ok(nanos as f64 / run.ops as f64),
            };
            Ok(Block {
                base: (each(&base.0)?, each(&base.1)?),
                head: (each(&head.0)?, each(&head.1)?),
            })
        };
        cpu.blocks.push(block(|run| run.cpu_ns)?);
        wall.blocks.push(block(|run| run.wall_ns)?);
    }
    Ok([cpu, wall])
}
