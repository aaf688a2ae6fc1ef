//! A failing plan made shorter: lives, steps, cuts and batches are left out while the same check fails.

use crate::failure::Failure;
use crate::plan::{Action, End, Plan};
use crate::world;

/// The shortest plan found that fails the same check, with its failure, in about `tries` runs.
pub fn shrink(plan: &Plan, failure: &Failure, tries: usize) -> (Plan, Failure) {
    let mut best = (plan.clone(), failure.clone());
    let mut left = tries;
    loop {
        let before = weight(&best.0);
        let pieces = [lives as Cut, cuts, steps, batches, ends];
        for piece in pieces {
            piece(&mut best, &mut left);
        }
        if weight(&best.0) == before || left == 0 {
            return best;
        }
    }
}

type Cut = fn(&mut (Plan, Failure), &mut usize);

fn weight(plan: &Plan) -> usize {
    let life = |life: &crate::plan::Life| {
        let steps = life.steps.iter().map(|step| match &step.action {
            Action::Batch(ops, _) => ops.len(),
            _ => 1,
        });
        let openings = life.cuts_while_opening.len() + life.kills_while_opening.len();
        10 + openings + steps.sum::<usize>()
    };
    plan.lives.iter().map(life).sum()
}

/// Keeps the shorter plan if it fails in the same way.
fn attempt(best: &mut (Plan, Failure), left: &mut usize, shorter: Plan) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    match world::run(&shorter, None).verdict {
        Err(failure) if failure.check == best.1.check => {
            *best = (shorter, failure);
            true
        }
        _ => false,
    }
}

fn lives(best: &mut (Plan, Failure), left: &mut usize) {
    let mut index = best.0.lives.len();
    while index > 0 && best.0.lives.len() > 1 {
        index -= 1;
        let mut shorter = best.0.clone();
        shorter.lives.remove(index);
        attempt(best, left, shorter);
    }
}

fn cuts(best: &mut (Plan, Failure), left: &mut usize) {
    for index in 0..best.0.lives.len() {
        if !best.0.lives[index].cuts_while_opening.is_empty() {
            let mut shorter = best.0.clone();
            shorter.lives[index].cuts_while_opening.clear();
            attempt(best, left, shorter);
        }
        for kill in (0..best.0.lives[index].kills_while_opening.len()).rev() {
            let mut shorter = best.0.clone();
            shorter.lives[index].kills_while_opening.remove(kill);
            attempt(best, left, shorter);
        }
    }
}

/// Halves first, then smaller and smaller pieces.
fn steps(best: &mut (Plan, Failure), left: &mut usize) {
    for life in 0..best.0.lives.len() {
        let mut size = best.0.lives[life].steps.len();
        while size > 0 {
            let mut start = 0;
            while start < best.0.lives[life].steps.len() {
                let mut shorter = best.0.clone();
                let steps = &mut shorter.lives[life].steps;
                let end = (start + size).min(steps.len());
                steps.drain(start..end);
                if !attempt(best, left, shorter) {
                    start += size;
                }
            }
            size /= 2;
        }
    }
}

fn batches(best: &mut (Plan, Failure), left: &mut usize) {
    for life in 0..best.0.lives.len() {
        for step in 0..best.0.lives[life].steps.len() {
            let Action::Batch(ops, _) = &best.0.lives[life].steps[step].action else {
                continue;
            };
            for op in (0..ops.len()).rev() {
                let mut shorter = best.0.clone();
                let action = &mut shorter.lives[life].steps[step].action;
                if let Action::Batch(ops, _) = action
                    && ops.len() > 2
                    && op < ops.len()
                {
                    ops.remove(op);
                    attempt(best, left, shorter);
                }
            }
        }
    }
}

/// A power cut a little earlier, a kill as a plain close.
fn ends(best: &mut (Plan, Failure), left: &mut usize) {
    for life in 0..best.0.lives.len() {
        let mut shorter = best.0.clone();
        shorter.lives[life].end = match &shorter.lives[life].end {
            End::Kill { .. } | End::Drop { .. } => End::CLOSE,
            End::Cut { spared, leaves } if *spared > 0 => End::Cut {
                spared: spared / 2,
                leaves: *leaves,
            },
            _ => continue,
        };
        attempt(best, left, shorter);
    }
}
