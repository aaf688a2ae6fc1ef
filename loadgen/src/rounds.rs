//! In which order targets take their turns.

use ringkeep_bench::random::Stream;

/// The order of the targets in one round of one workload: a fresh one each time, so that none always runs
/// before, after or hotter than another; the same on every machine.
pub fn order(targets: usize, workload: &str, round: u32) -> Vec<usize> {
    let mut draws = Stream::new(1, workload, 0).at(u64::from(round));
    let mut order: Vec<usize> = (0..targets).collect();
    for last in (1..targets).rev() {
        order.swap(last, draws.below(last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_one_turn_and_all_come_first_at_times() {
        let mut first = [0; 4];
        for round in 0..200 {
            let order = order(4, "w", round);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
            first[order[0]] += 1;
        }
        assert!(first.iter().all(|&times| times > 25), "{first:?}");
    }
}
