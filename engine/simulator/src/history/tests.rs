//! Histories with one thing wrong, each for both judges; and small random ones, which a third judge decides by
//! trying everything.

use super::cycles::Anomaly;
use super::{Contents, Fate, NEVER, Seen, cycles, schedule};
use crate::random::Random;

const SERIALIZABLE: bool = true;
const SNAPSHOT: bool = false;

/// `(list, what was seen)`, and lists appended to.
fn one(element: u64, reads: &[(u32, &[u64])], appends: &[u32], serializable: bool) -> Seen {
    Seen {
        element,
        reads: lists(reads).into_iter().collect(),
        appends: appends.to_vec(),
        serializable,
        fate: Fate::Committed,
        began: 0,
        ended: NEVER,
    }
}

fn ending(fate: Fate, seen: Seen) -> Seen {
    Seen { fate, ..seen }
}

fn during(began: u64, ended: u64, seen: Seen) -> Seen {
    Seen {
        began,
        ended,
        ..seen
    }
}

fn lists(lists: &[(u32, &[u64])]) -> Contents {
    let list = |(list, seen): &(u32, &[u64])| (*list, seen.to_vec());
    lists.iter().map(list).collect()
}

/// What the first judge calls it; the second must agree that there is something, or nothing.
#[track_caller]
fn verdict(seen: &[Seen], last: &[(u32, &[u64])]) -> Option<Anomaly> {
    let (first, last) = (Contents::new(), lists(last));
    let anomaly = cycles::judge(seen, &first, &last).err();
    let explained = schedule::judge(seen, &first, &last);
    assert_eq!(
        anomaly.is_none(),
        explained.is_ok(),
        "{anomaly:?}, {explained:?}"
    );
    anomaly.map(|(anomaly, _)| anomaly)
}

#[test]
fn what_serial_transactions_leave_is_fine() {
    let seen = [
        one(1, &[(7, &[])], &[7], SERIALIZABLE),
        one(2, &[(7, &[1]), (8, &[])], &[7, 8], SERIALIZABLE),
        one(3, &[(7, &[1, 2]), (8, &[2])], &[], SERIALIZABLE),
    ];
    assert_eq!(verdict(&seen, &[(7, &[1, 2]), (8, &[2])]), None);
    // The last one has read the past of list 7, as a snapshot may.
    let early = [
        seen[0].clone(),
        seen[1].clone(),
        one(4, &[(7, &[1])], &[9], SNAPSHOT),
    ];
    assert_eq!(verdict(&early, &[(7, &[1, 2]), (8, &[2]), (9, &[4])]), None);
}

#[test]
fn g0_two_lists_in_opposite_orders() {
    let seen = [
        one(1, &[], &[7, 8], SNAPSHOT),
        one(2, &[], &[7, 8], SNAPSHOT),
    ];
    assert_eq!(
        verdict(&seen, &[(7, &[1, 2]), (8, &[2, 1])]),
        Some(Anomaly::G0)
    );
}

#[test]
fn g1a_a_refused_append_shows() {
    let refused = ending(Fate::Refused, one(1, &[(7, &[])], &[7], SNAPSHOT));
    assert_eq!(
        verdict(std::slice::from_ref(&refused), &[(7, &[1])]),
        Some(Anomaly::G1a)
    );
    let reader = one(2, &[(7, &[1])], &[], SNAPSHOT);
    assert_eq!(verdict(&[refused, reader], &[]), Some(Anomaly::Order));
}

#[test]
fn g1b_half_of_a_transaction_shows() {
    let unknown = ending(Fate::Unknown, one(1, &[], &[7, 8], SNAPSHOT));
    assert_eq!(verdict(std::slice::from_ref(&unknown), &[]), None);
    let all: [(u32, &[u64]); 2] = [(7, &[1]), (8, &[1])];
    assert_eq!(verdict(std::slice::from_ref(&unknown), &all), None);
    assert_eq!(verdict(&[unknown], &all[..1]), Some(Anomaly::Half));
}

#[test]
fn g1c_each_has_seen_the_other() {
    let seen = [
        one(1, &[(8, &[2])], &[7], SNAPSHOT),
        one(2, &[(7, &[1])], &[8], SNAPSHOT),
    ];
    assert_eq!(verdict(&seen, &[(7, &[1]), (8, &[2])]), Some(Anomaly::G1c));
}

#[test]
fn g_single_a_reader_has_seen_half_of_another() {
    let writer = one(1, &[(7, &[]), (8, &[])], &[7, 8], SNAPSHOT);
    let reader = one(2, &[(7, &[1]), (8, &[])], &[], SNAPSHOT);
    let last: [(u32, &[u64]); 2] = [(7, &[1]), (8, &[1])];
    let seen = [writer.clone(), reader.clone()];
    assert_eq!(verdict(&seen, &last), Some(Anomaly::GSingle));
    // That it was refused later is no excuse.
    let seen = [writer, ending(Fate::Refused, reader)];
    assert_eq!(verdict(&seen, &last), Some(Anomaly::GSingle));
}

#[test]
fn g_single_an_append_to_what_was_never_seen() {
    let seen = [
        one(1, &[(7, &[])], &[7], SNAPSHOT),
        one(2, &[(7, &[])], &[7], SNAPSHOT),
    ];
    assert_eq!(verdict(&seen, &[(7, &[1, 2])]), Some(Anomaly::GSingle));
}

#[test]
fn g_nonadjacent_two_readers_see_two_writers_in_opposite_orders() {
    let fork = |readers| {
        let seen = [
            one(1, &[], &[7], SNAPSHOT),
            one(2, &[], &[8], SNAPSHOT),
            one(3, &[(7, &[1]), (8, &[])], &[], readers),
            one(4, &[(7, &[]), (8, &[2])], &[], readers),
        ];
        verdict(&seen, &[(7, &[1]), (8, &[2])])
    };
    assert_eq!(fork(SNAPSHOT), Some(Anomaly::GNonadjacent), "a long fork");
    assert_eq!(fork(SERIALIZABLE), Some(Anomaly::GNonadjacent));
}

#[test]
fn g2_write_skew_is_for_serializable_transactions() {
    let skew = |first, second| {
        let seen = [
            one(1, &[(7, &[]), (8, &[])], &[7], first),
            one(2, &[(7, &[]), (8, &[])], &[8], second),
        ];
        verdict(&seen, &[(7, &[1]), (8, &[2])])
    };
    assert_eq!(skew(SERIALIZABLE, SERIALIZABLE), Some(Anomaly::G2));
    assert_eq!(skew(SNAPSHOT, SNAPSHOT), None);
    // One of them promised nothing.
    assert_eq!(skew(SERIALIZABLE, SNAPSHOT), None);
}

#[test]
fn g2_over_three() {
    let over_three = |third| {
        let seen = [
            one(1, &[(8, &[])], &[7], SERIALIZABLE),
            one(2, &[(9, &[])], &[8], SERIALIZABLE),
            one(3, &[(7, &[])], &[9], third),
        ];
        verdict(&seen, &[(7, &[1]), (8, &[2]), (9, &[3])])
    };
    assert_eq!(over_three(SERIALIZABLE), Some(Anomaly::G2));
    assert_eq!(over_three(SNAPSHOT), None);
}

#[test]
fn g2_a_serializable_one_between_snapshots() {
    let seen = |second| {
        let seen = [
            one(1, &[(7, &[]), (9, &[3])], &[], SNAPSHOT),
            one(2, &[(9, &[])], &[7], second),
            one(3, &[], &[9], SNAPSHOT),
        ];
        verdict(&seen, &[(7, &[2]), (9, &[3])])
    };
    assert_eq!(seen(SERIALIZABLE), Some(Anomaly::G2));
    assert_eq!(seen(SNAPSHOT), None);
}

#[test]
fn what_had_ended_is_seen_by_who_begins_then() {
    let stale = |began| {
        let seen = [
            during(1, 5, one(1, &[], &[7], SNAPSHOT)),
            during(began, 9, one(2, &[(7, &[])], &[], SNAPSHOT)),
        ];
        verdict(&seen, &[(7, &[1])])
    };
    assert_eq!(stale(4), None);
    assert_eq!(stale(6), Some(Anomaly::GSingle));
    let early = [
        during(1, 2, one(1, &[(7, &[2])], &[], SNAPSHOT)),
        during(3, 4, one(2, &[], &[7], SNAPSHOT)),
    ];
    assert_eq!(verdict(&early, &[(7, &[2])]), Some(Anomaly::G1c));
}

#[test]
fn an_append_is_lost_or_was_seen_and_is_gone() {
    let seen = [one(1, &[(7, &[])], &[7], SNAPSHOT)];
    assert_eq!(verdict(&seen, &[(7, &[])]), Some(Anomaly::Lost));
    let unknown = ending(Fate::Unknown, one(1, &[], &[7], SNAPSHOT));
    assert_eq!(verdict(std::slice::from_ref(&unknown), &[(7, &[])]), None);
    let reader = one(2, &[(7, &[1])], &[], SNAPSHOT);
    let seen = [unknown, reader];
    assert_eq!(verdict(&seen, &[(7, &[])]), Some(Anomaly::Order));
    for last in [&[(7, &[6][..])][..], &[]] {
        let (first, last) = (lists(&[(7, &[5])]), lists(last));
        let anomaly = cycles::judge(&[], &first, &last).map_err(|(anomaly, _)| anomaly);
        assert_eq!(anomaly, Err(Anomaly::Order));
        assert!(schedule::judge(&[], &first, &last).is_err());
    }
}

#[test]
fn an_element_that_nobody_appended_or_twice_is_refused() {
    assert_eq!(verdict(&[], &[(7, &[3])]), Some(Anomaly::Order));
    let seen = [one(1, &[], &[7], SNAPSHOT)];
    assert_eq!(verdict(&seen, &[(7, &[1, 1])]), Some(Anomaly::Order));
    assert_eq!(
        verdict(&seen, &[(7, &[1]), (8, &[1])]),
        Some(Anomaly::Order)
    );
}

#[test]
fn nobody_sees_what_he_is_about_to_append() {
    let seen = [one(1, &[(7, &[1])], &[7], SNAPSHOT)];
    assert_eq!(verdict(&seen, &[(7, &[1])]), Some(Anomaly::Order));
}

/// Executes any event that can come next, until all have come, and takes nothing from the judges.
struct Trial<'s> {
    seen: &'s [Seen],
    last: &'s Contents,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waits,
    /// Since so many events.
    Reads(usize),
    Done,
}

impl Trial<'_> {
    fn can_end(
        &self,
        states: &[State],
        lists: &Contents,
        log: &[(usize, u32)],
        now: usize,
    ) -> bool {
        if states.iter().all(|state| *state == State::Done) {
            return lists == self.last;
        }
        (0..states.len()).any(|index| {
            let one = &self.seen[index];
            let heard_before =
                |other: usize| self.seen[other].ended < one.began && states[other] != State::Done;
            let (since, stays) = match states[index] {
                State::Done => return false,
                State::Waits => {
                    let holds = |list: &u32| lists.get(list).cloned().unwrap_or_default();
                    let early = (0..states.len()).any(heard_before);
                    if early || one.reads.iter().any(|(list, all)| holds(list) != *all) {
                        return false;
                    }
                    (now, !one.serializable && one.fate != Fate::Refused)
                }
                State::Reads(since) => (since, false),
            };
            let mut states = states.to_vec();
            if stays {
                states[index] = State::Reads(since);
                return self.can_end(&states, lists, log, now + 1);
            }
            states[index] = State::Done;
            if one.fate == Fate::Refused {
                return self.can_end(&states, lists, log, now + 1);
            }
            let overlaps =
                |(when, list): &(usize, u32)| *when > since && one.appends.contains(list);
            if log.iter().any(overlaps) {
                return false;
            }
            let (mut lists, mut log) = (lists.clone(), log.to_vec());
            for list in &one.appends {
                lists.entry(*list).or_default().push(one.element);
                log.push((now, *list));
            }
            self.can_end(&states, &lists, &log, now + 1)
        })
    }
}

/// Lists become something, and transactions have seen any part of that.
fn random_history(random: &mut Random) -> (Vec<Seen>, Contents) {
    let count = random.between(2, 4);
    let mut seen: Vec<Seen> = (1..=count)
        .map(|element| {
            let appends = (0..3).filter(|_| random.chance(40)).collect::<Vec<u32>>();
            let began = random.below(6);
            let fate = match random.chance(15) {
                true => Fate::Refused,
                false => Fate::Committed,
            };
            let ended = match random.chance(50) {
                true => random.between(began + 1, 8),
                false => NEVER,
            };
            let seen = one(element, &[], &appends, random.chance(50));
            during(began, ended, ending(fate, seen))
        })
        .collect();
    let mut last = Contents::new();
    for one in seen.iter().filter(|one| one.fate == Fate::Committed) {
        for list in &one.appends {
            let elements = last.entry(*list).or_default();
            // Mostly in one order everywhere.
            let place = match random.chance(15) {
                true => random.below(elements.len() as u64 + 1) as usize,
                false => elements.len(),
            };
            elements.insert(place, one.element);
        }
    }
    for one in &mut seen {
        for list in 0..3 {
            let all = last.get(&list).cloned().unwrap_or_default();
            // Who appends has mostly seen all before it.
            let mine = all.iter().position(|element| *element == one.element);
            let length = match mine {
                Some(place) if random.chance(80) => place,
                _ => random.below(all.len() as u64 + 1) as usize,
            };
            if mine.is_some() || random.chance(50) {
                one.reads.push((list, all[..length].to_vec()));
            }
        }
    }
    (seen, last)
}

#[test]
fn both_judges_say_what_trying_every_order_says() {
    let mut random = Random::new(1);
    let (mut possible, mut impossible) = (0, 0);
    for number in 0..20_000 {
        let (seen, last) = random_history(&mut random);
        let states = vec![State::Waits; seen.len()];
        let trial = Trial {
            seen: &seen,
            last: &last,
        };
        let is_possible = trial.can_end(&states, &Contents::new(), &[], 0);
        let by_cycles = cycles::judge(&seen, &Contents::new(), &last);
        let by_schedule = schedule::judge(&seen, &Contents::new(), &last);
        let verdicts = (by_cycles.is_ok(), by_schedule.is_ok());
        assert_eq!(
            verdicts,
            (is_possible, is_possible),
            "history {number}: {seen:#?} {last:?} {by_cycles:?} {by_schedule:?}"
        );
        *if is_possible {
            &mut possible
        } else {
            &mut impossible
        } += 1;
    }
    assert!(
        possible > 3000 && impossible > 3000,
        "{possible}, {impossible}"
    );
}
