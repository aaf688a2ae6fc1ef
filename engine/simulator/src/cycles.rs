//! Whether a history of transactions over lists could have happened at the isolation that it was promised:
//! the method of Elle (Kingsbury and Alvaro, 2020).
//!
//! A list that is only ever appended to tells its own history: who read it saw a prefix of what it became,
//! and so came after the last element seen and before the first one not seen. From that follows a graph of
//! who must come before whom:
//!
//! ```text
//!   ww   appended the element before mine
//!   wr   appended the last element that I saw
//!   rw   appended the first element that I did not see
//! ```
//!
//! A cycle of ww alone is G0, with wr G1c, with one rw G-single: no snapshot allows any of these. With
//! more rw it is G2, which snapshots allow and serializable transactions do not: of those all rw count.

use std::collections::{BTreeMap, VecDeque};

/// One transaction, as its client saw it: it has read lists, then appended its own element to some.
#[derive(Clone, Debug)]
pub struct Seen {
    /// In every list that it has appended to, and nowhere else.
    pub element: u64,
    /// Lists with what was in them.
    pub reads: Vec<(u32, Vec<u64>)>,
    /// Lists appended to.
    pub appends: Vec<u32>,
    /// What was asked for.
    pub serializable: bool,
    /// How it ended.
    pub fate: Fate,
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was acknowledged.
    Committed,
    /// It was refused: nothing of it may ever show.
    Refused,
    /// Its client never heard.
    Unknown,
}

/// What cannot have happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anomaly {
    /// A list is not what an earlier reader saw, with more behind it.
    Order,
    /// An acknowledged append is gone.
    Lost,
    /// What was refused has been seen.
    G1a,
    /// A cycle of writes.
    G0,
    /// A cycle of writes and reads.
    G1c,
    /// A cycle with one read of what was about to change.
    GSingle,
    /// A cycle with several of them, by serializable transactions.
    G2,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    Ww,
    Wr,
    Rw,
}

/// Judges the transactions of one stretch of time, given what all lists held at its beginning and its end.
pub fn judge(
    seen: &[Seen],
    first: &BTreeMap<u32, Vec<u64>>,
    last: &BTreeMap<u32, Vec<u64>>,
) -> Result<(), (Anomaly, String)> {
    let empty = Vec::new();
    let final_of = |list: &u32| last.get(list).unwrap_or(&empty);
    let author: BTreeMap<u64, usize> = seen
        .iter()
        .enumerate()
        .map(|(index, one)| (one.element, index))
        .collect();
    for (list, elements) in last {
        let begun = first.get(list).unwrap_or(&empty);
        if !elements.starts_with(begun) {
            let story = format!("list {list} began as {begun:?} and became {elements:?}");
            return Err((Anomaly::Order, story));
        }
        let refused = elements.iter().find(|element| {
            let author = author.get(element).map(|index| &seen[*index]);
            author.is_some_and(|author| author.fate == Fate::Refused)
        });
        if let Some(element) = refused {
            let story = format!("list {list} has element {element}, which was refused");
            return Err((Anomaly::G1a, story));
        }
    }
    for one in seen {
        for (list, elements) in &one.reads {
            if !final_of(list).starts_with(elements) {
                let last = final_of(list);
                let story =
                    format!("{one:?} saw list {list} as {elements:?}, and it became {last:?}");
                return Err((Anomaly::Order, story));
            }
        }
        let lost = |list: &&u32| !final_of(list).contains(&one.element);
        if one.fate == Fate::Committed
            && let Some(list) = one.appends.iter().find(lost)
        {
            let last = final_of(list);
            let story = format!("{one:?} is not in list {list}, which became {last:?}");
            return Err((Anomaly::Lost, story));
        }
    }
    let graph = Graph::of(seen, &author, last);
    graph.without_cycles(seen)
}

struct Graph {
    edges: Vec<Vec<(usize, Edge)>>,
}

impl Graph {
    fn of(seen: &[Seen], author: &BTreeMap<u64, usize>, last: &BTreeMap<u32, Vec<u64>>) -> Graph {
        let mut edges = vec![Vec::new(); seen.len()];
        let mut add = |from: Option<&usize>, to: Option<&usize>, edge| {
            if let (Some(&from), Some(&to)) = (from, to)
                && from != to
            {
                edges[from].push((to, edge));
            }
        };
        for elements in last.values() {
            for pair in elements.windows(2) {
                add(author.get(&pair[0]), author.get(&pair[1]), Edge::Ww);
            }
        }
        for (index, one) in seen.iter().enumerate() {
            if one.fate == Fate::Refused {
                continue;
            }
            for (list, elements) in &one.reads {
                let latest = elements.last().and_then(|element| author.get(element));
                add(latest, Some(&index), Edge::Wr);
                let next = last.get(list).and_then(|all| all.get(elements.len()));
                let next = next.and_then(|element| author.get(element));
                add(Some(&index), next, Edge::Rw);
            }
        }
        Graph { edges }
    }

    fn without_cycles(&self, seen: &[Seen]) -> Result<(), (Anomaly, String)> {
        let ww = |_: usize, edge| edge == Edge::Ww;
        let known = |_: usize, edge| edge != Edge::Rw;
        let promised = |from: usize, edge| edge != Edge::Rw || seen[from].serializable;
        let tell = |anomaly: Anomaly, cycle: Vec<usize>| {
            let members: Vec<_> = cycle.iter().map(|index| &seen[*index]).collect();
            Err((
                anomaly,
                format!("each before the next, in a circle: {members:?}"),
            ))
        };
        for start in 0..self.edges.len() {
            if let Some(cycle) = self.path(start, start, ww) {
                return tell(Anomaly::G0, cycle);
            }
            if let Some(cycle) = self.path(start, start, known) {
                return tell(Anomaly::G1c, cycle);
            }
            let overwriters = self.edges[start].iter();
            for (next, _) in overwriters.filter(|(_, edge)| *edge == Edge::Rw) {
                if let Some(cycle) = self.path(*next, start, known) {
                    return tell(Anomaly::GSingle, cycle);
                }
            }
        }
        for start in 0..self.edges.len() {
            if let Some(cycle) = self.path(start, start, promised) {
                return tell(Anomaly::G2, cycle);
            }
        }
        Ok(())
    }

    /// A shortest way of at least one edge along edges that count.
    fn path(
        &self,
        from: usize,
        to: usize,
        counts: impl Fn(usize, Edge) -> bool,
    ) -> Option<Vec<usize>> {
        let mut came_from = vec![usize::MAX; self.edges.len()];
        let mut line = VecDeque::from([from]);
        while let Some(at) = line.pop_front() {
            for &(next, edge) in &self.edges[at] {
                if !counts(at, edge) || came_from[next] != usize::MAX {
                    continue;
                }
                came_from[next] = at;
                if next == to {
                    let mut way = vec![to];
                    while way.last() != Some(&from) || way.len() == 1 {
                        way.push(came_from[way[way.len() - 1]]);
                    }
                    way.reverse();
                    return Some(way);
                }
                line.push_back(next);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIALIZABLE: bool = true;
    const SNAPSHOT: bool = false;

    /// `(list, what was seen)`, and lists appended to.
    fn one(element: u64, reads: &[(u32, &[u64])], appends: &[u32], serializable: bool) -> Seen {
        Seen {
            element,
            reads: reads
                .iter()
                .map(|(list, seen)| (*list, seen.to_vec()))
                .collect(),
            appends: appends.to_vec(),
            serializable,
            fate: Fate::Committed,
        }
    }

    fn lists(lists: &[(u32, &[u64])]) -> BTreeMap<u32, Vec<u64>> {
        lists
            .iter()
            .map(|(list, seen)| (*list, seen.to_vec()))
            .collect()
    }

    fn verdict(seen: &[Seen], last: &[(u32, &[u64])]) -> Option<Anomaly> {
        let verdict = judge(seen, &BTreeMap::new(), &lists(last));
        verdict.err().map(|(anomaly, _)| anomaly)
    }

    #[test]
    fn what_serial_transactions_leave_is_fine() {
        let seen = [
            one(1, &[(7, &[])], &[7], SERIALIZABLE),
            one(2, &[(7, &[1]), (8, &[])], &[7, 8], SERIALIZABLE),
            one(3, &[(7, &[1, 2]), (8, &[2])], &[], SERIALIZABLE),
            one(4, &[(8, &[2]), (7, &[1])], &[8], SNAPSHOT),
        ];
        // The last one has read the past of list 7, as a snapshot may.
        assert_eq!(verdict(&seen[..3], &[(7, &[1, 2]), (8, &[2])]), None);
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
        let last: [(u32, &[u64]); 2] = [(7, &[1, 2]), (8, &[2, 1])];
        assert_eq!(verdict(&seen, &last), Some(Anomaly::G0));
    }

    #[test]
    fn g1a_a_refused_append_shows() {
        let mut refused = one(1, &[], &[7], SNAPSHOT);
        refused.fate = Fate::Refused;
        assert_eq!(verdict(&[refused], &[(7, &[1])]), Some(Anomaly::G1a));
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
        let seen = [
            one(1, &[(7, &[]), (8, &[])], &[7, 8], SNAPSHOT),
            one(2, &[(7, &[1]), (8, &[])], &[], SNAPSHOT),
        ];
        let last: [(u32, &[u64]); 2] = [(7, &[1]), (8, &[1])];
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
    fn g2_is_for_serializable_transactions() {
        let skew = |first, second| {
            let seen = [
                one(1, &[(7, &[]), (8, &[])], &[7], first),
                one(2, &[(7, &[]), (8, &[])], &[8], second),
            ];
            verdict(&seen, &[(7, &[1]), (8, &[2])])
        };
        assert_eq!(skew(SERIALIZABLE, SERIALIZABLE), Some(Anomaly::G2));
        assert_eq!(skew(SNAPSHOT, SNAPSHOT), None);
        assert_eq!(
            skew(SERIALIZABLE, SNAPSHOT),
            None,
            "one of them promised nothing"
        );
    }

    #[test]
    fn g2_over_three() {
        let seen = [
            one(1, &[(8, &[])], &[7], SERIALIZABLE),
            one(2, &[(9, &[])], &[8], SERIALIZABLE),
            one(3, &[(7, &[])], &[9], SERIALIZABLE),
        ];
        let last: [(u32, &[u64]); 3] = [(7, &[1]), (8, &[2]), (9, &[3])];
        assert_eq!(verdict(&seen, &last), Some(Anomaly::G2));
    }

    #[test]
    fn an_append_is_lost_or_was_seen_and_is_gone() {
        let seen = [one(1, &[(7, &[])], &[7], SNAPSHOT)];
        assert_eq!(verdict(&seen, &[(7, &[])]), Some(Anomaly::Lost));
        let mut unknown = one(1, &[], &[7], SNAPSHOT);
        unknown.fate = Fate::Unknown;
        assert_eq!(verdict(std::slice::from_ref(&unknown), &[(7, &[])]), None);
        let reader = one(2, &[(7, &[1])], &[], SNAPSHOT);
        assert_eq!(
            verdict(&[unknown, reader], &[(7, &[])]),
            Some(Anomaly::Order)
        );
        let begun = judge(&[], &lists(&[(7, &[5])]), &lists(&[(7, &[6])]));
        assert_eq!(begun.map_err(|(anomaly, _)| anomaly), Err(Anomaly::Order));
    }
}
