//! Machines that do not exist, to learn how often the gate is wrong where the truth is known.

use ringkeep_bench::random::{Draws, Stream};

use super::pairs::{Block, Samples};

/// How a machine disturbs what is timed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Not at all.
    #[cfg(test)]
    Still,
    /// By 1.5 %, each run for itself.
    Quiet,
    /// It slows down and speeds up by a fifth over a few runs, besides.
    Drifting,
    /// One run in eight is interrupted and takes up to twice as long.
    Interrupted,
    /// It has two speeds, 15 % apart, and a run has one of them.
    TwoSpeeds,
    /// A block's outer runs take 4 % more than its inner ones.
    Ordered,
    /// Nothing can be told here.
    Hopeless,
}

impl Machine {
    /// Those on which a gate has to be right.
    pub const ALL: [Machine; 6] = [
        Machine::Quiet,
        Machine::Drifting,
        Machine::Interrupted,
        Machine::TwoSpeeds,
        Machine::Ordered,
        Machine::Hopeless,
    ];

    /// Runs of two binaries of which the head takes more by the share `grown`.
    pub fn samples(self, metric: &str, grown: f64, blocks: usize, number: u64) -> Samples {
        let random = Stream::new(number, "machine", 0);
        let block = |i: u64| {
            let mut draws = random.at(i);
            let base_first = draws.below(2) == 0;
            let phase = i as f64 * 4.0;
            let runs = [0, 1, 2, 3].map(|place| 100.0 * self.disturbance(place, phase, &mut draws));
            let (outer, inner) = ((runs[0], runs[3]), (runs[1], runs[2]));
            let more = |(a, b): (f64, f64)| (a * (1.0 + grown), b * (1.0 + grown));
            match base_first {
                true => Block {
                    base: outer,
                    head: more(inner),
                },
                false => Block {
                    base: inner,
                    head: more(outer),
                },
            }
        };
        Samples {
            metric: metric.to_owned(),
            blocks: (0..blocks as u64).map(block).collect(),
            calibrated: None,
        }
    }

    fn disturbance(self, place: u32, phase: f64, draws: &mut Draws) -> f64 {
        let noise = |draws: &mut Draws, share: f64| (share * draws.normal()).exp();
        let own = noise(draws, 0.015);
        match self {
            #[cfg(test)]
            Machine::Still => 1.0,
            Machine::Quiet => own,
            Machine::Drifting => own * (1.0 + 0.1 * ((phase + f64::from(place)) / 5.0).sin()),
            Machine::Interrupted if draws.below(8) == 0 => own * (1.0 + draws.unit()),
            Machine::Interrupted => own,
            Machine::TwoSpeeds => own * (1.0 + 0.15 * draws.below(2) as f64),
            Machine::Ordered => own * if matches!(place, 0 | 3) { 1.04 } else { 1.0 },
            Machine::Hopeless => noise(draws, 0.5),
        }
    }
}
