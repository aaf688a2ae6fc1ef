//! How far merges may fall behind the writers, and what each merged byte lets writers bring so that they do not.
//!
//! While the last level is rewritten, writers bring the next tiers. A limit that is felt only when there are too many of
//! those lets them run until then and all but stops them after it. So they are held to one share from the first byte on: what is
//! left of the room, over all that is to be written until it is used up. It corrects itself, and the next merge into
//! the last level is due when one ends.

use super::pick::{RunFacts, SPACE_PARTS, TIER_RUNS, begun, debt};

/// Bytes that writers may bring before runs or space pass what is allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Room {
    /// Until writers are slowed by much; nothing once they are.
    pub bytes: u64,
    /// How much of what lies beyond is used, from 0 to 1.
    pub pressure: f64,
    /// What each merged byte lets in; infinite if there is no limit.
    pub share: f64,
    /// What merges still have to read.
    pub debt: u64,
}

/// However hard the pressure, a merged byte lets this part of a byte in.
const SHARE_LEAST: f64 = 0.05;
/// More than this is no limit.
const SHARE_MOST: f64 = 64.0;
/// Runs are given this many times the room that would be just enough.
const RUNS_SPARE: f64 = 2.0;

impl Room {
    /// Nothing is to be merged.
    pub const UNLIMITED: Room = Room {
        bytes: u64::MAX,
        pressure: 0.0,
        share: f64::INFINITY,
        debt: 0,
    };

    /// With these runs, newest first, and memtables of this size.
    pub fn of(runs: &[RunFacts<'_>], runs_max: usize, memtable_bytes: u64) -> Room {
        let debt = debt(runs, runs_max);
        if debt == 0 {
            return Room::UNLIMITED;
        }
        // Outputs of begun merges are runs as well, and not what is meant by many.
        let begun = begun(runs);
        let allowed = (runs_max + begun.len() + 1) as f64;
        let excess = runs.len() as f64 / allowed - 1.0;
        let run_room = (allowed - runs.len() as f64).max(0.0) * memtable_bytes as f64;
        let at_the_bottom = begun.last().filter(|merge| merge.end + 1 >= runs.len());
        let fresh = at_the_bottom.map_or(runs.len().saturating_sub(1), |merge| merge.start);
        let (above, below) = runs.split_at(fresh);
        let least = TIER_RUNS as u64 * memtable_bytes;
        // While a merge into the last level goes on, what it works on takes space as well.
        let parts = SPACE_PARTS * if at_the_bottom.is_some() { 2 } else { 1 };
        let allowed_above = (bytes(below) / parts).max(least);
        let replacing = replacing(above);
        let space_used = replacing as f64 / allowed_above as f64 - 1.0;
        let share = at_the_bottom.map_or(f64::INFINITY, |merge| {
            let tiers = &runs[fresh..merge.end - 1];
            share_of_space(above, tiers, below, debt, memtable_bytes)
        });
        let share = share.min(share_of_runs(excess)).max(SHARE_LEAST);
        Room {
            bytes: allowed_above.saturating_sub(replacing).min(run_room as u64),
            pressure: excess.max(space_used).clamp(0.0, 1.0),
            share: if share > SHARE_MOST {
                f64::INFINITY
            } else {
                share
            },
            debt,
        }
    }
}

fn bytes(runs: &[RunFacts<'_>]) -> u64 {
    runs.iter().map(|run| run.bytes).sum()
}

fn replacing(runs: &[RunFacts<'_>]) -> u64 {
    runs.iter().map(|run| run.replaces).sum()
}

/// What a merged byte lets in while `tiers` go into the last level: both and what has become of them are `below`.
fn share_of_space(
    above: &[RunFacts<'_>],
    tiers: &[RunFacts<'_>],
    below: &[RunFacts<'_>],
    debt: u64,
    memtable_bytes: u64,
) -> f64 {
    let settled = bytes(below).saturating_sub(replacing(tiers));
    // A little more than the next such merge is due at: an end that comes late shall not find writers all but stopped.
    let due = (settled / SPACE_PARTS * 9 / 8).max(TIER_RUNS as u64 * memtable_bytes);
    let left = due.saturating_sub(replacing(above)) as f64;
    // What is replaced is read, but not written.
    let to_write = debt as f64 * settled as f64 / bytes(below).max(1) as f64;
    // And what comes meanwhile goes through tiers, the last of which goes to the bottom at once.
    let tiers_due = (due as f64 / memtable_bytes.max(1) as f64).log(TIER_RUNS as f64) - 1.0;
    // New keys take none of this room.
    let all = (bytes(above) + bytes(tiers)) as f64;
    let new_for_each_old = all / (replacing(above) + replacing(tiers)).max(1) as f64;
    left / (to_write + tiers_due.max(0.0) * left).max(1.0) * new_for_each_old.max(1.0)
}

/// What a merged byte lets in when there are too many runs, by so great a part of those allowed.
fn share_of_runs(excess: f64) -> f64 {
    match excess > 0.0 {
        true => (1.0 - excess).max(0.0) / excess / RUNS_SPARE,
        false => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::super::pick::tests::runs;
    use super::*;

    #[test]
    fn writers_feel_pressure_before_runs_or_space_get_out_of_hand() {
        let quiet = Room::of(&runs(&[10, 10, 6000]), 8, 10);
        assert_eq!((quiet.debt, quiet.pressure), (0, 0.0));
        let busy = Room::of(&runs(&[10, 10, 10, 10, 6000]), 8, 10);
        assert_eq!((busy.debt, busy.pressure, busy.bytes), (40, 0.0, 40));
        let many = Room::of(&runs(&[10; 14]), 6, 10);
        assert_eq!((many.pressure, many.bytes), (1.0, 0));
        let mut behind = runs(&[10, 100, 500, 800, 3000]);
        assert_eq!(Room::of(&behind, 8, 10).pressure, 0.0);
        behind[2].from = b"k";
        behind[3].from = b"k";
        behind[1].replaces = 1600;
        let pressure = Room::of(&behind, 8, 10).pressure;
        assert!(pressure > 0.4 && pressure < 0.6, "{pressure}");
    }

    /// A last level with two tiers on their way into it, `done` parts of a hundred of which are there, and what came meanwhile.
    fn midway(done: u64, above: u64, replaces: u64) -> Vec<RunFacts<'static>> {
        let left = |bytes: u64| bytes * (100 - done) / 100;
        let mut runs = runs(&[above, left(100), left(400), left(1000), 10 * done]);
        runs[0].replaces = above * replaces / 100;
        for run in &mut runs[1..4] {
            run.from = b"k";
        }
        (runs[3].replaces, runs[4].replaces) = (0, 0);
        runs
    }

    #[test]
    fn writers_are_held_to_one_share_while_the_last_level_is_rewritten() {
        let share = |done, above| Room::of(&midway(done, above, 100), 8, 10).share;
        let first = share(1, 5);
        assert!(first > 0.2 && first < 0.5, "{first}");
        for done in [20u64, 50, 80] {
            let even = share(done, 5 * done);
            assert!(
                (even / first - 1.0).abs() < 0.3,
                "{even} after {done}, {first} at first"
            );
            let behind = share(done, 4 * done);
            let ahead = share(done, 11 * done / 2);
            assert!(behind > even && even > ahead, "{behind}, {even}, {ahead}");
        }
    }

    #[test]
    fn writers_are_slowed_never_stopped() {
        assert_eq!(Room::of(&midway(50, 900, 100), 8, 10).share, SHARE_LEAST);
        assert_eq!(Room::of(&runs(&[10; 40]), 6, 10).share, SHARE_LEAST);
        let shares: Vec<f64> = (7..14)
            .map(|many| Room::of(&runs(&vec![10; many]), 6, 10).share)
            .collect();
        assert!(shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
    }

    #[test]
    fn new_keys_take_no_room() {
        let overwriting = Room::of(&midway(50, 200, 100), 8, 10).share;
        let mut loading = midway(50, 200, 1);
        for run in &mut loading {
            run.replaces = run.bytes / 100;
        }
        let more = Room::of(&loading, 8, 10).share;
        assert!(more > 50.0 * overwriting, "{more}, {overwriting}");
        for run in &mut loading {
            run.replaces = 0;
        }
        assert_eq!(Room::of(&loading, 8, 10).share, f64::INFINITY);
        assert_eq!(Room::of(&runs(&[10, 10, 6000]), 8, 10), Room::UNLIMITED);
    }
}
