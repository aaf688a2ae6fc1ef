//! The first judge: a graph of who must come before whom, and no circle in it that isolation forbids. The
//! method of Elle (Kingsbury and Alvaro, 2020).
//!
//! ```text
//!   ww   appended the element before mine
//!   wr   appended the last element that I saw
//!   rw   appended the first element that I did not see
//!   rt   had ended, as its client knew, before I began
//! ```
//!
//! A circle of ww alone is G0, with wr or rt G1c, with one rw G-single, with several of which none follows
//! another G-nonadjacent, as in a long fork: no snapshot allows any of these. Two rw in a row are what a
//! snapshot allows, and a serializable transaction between them does not: G2.

use std::collections::{BTreeMap, VecDeque};

use super::{Contents, Fate, NEVER, Seen};

/// What cannot have happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anomaly {
    /// A list is not what an earlier reader saw, with more behind it.
    Order,
    /// An acknowledged append is gone.
    Lost,
    /// A transaction is there in part.
    Half,
    /// What was refused has been seen.
    G1a,
    /// A circle of writes.
    G0,
    /// A circle of writes, reads and time.
    G1c,
    /// A circle with one read of what was about to change.
    GSingle,
    /// With several of them, each followed by something else.
    GNonadjacent,
    /// With several of them, and serializable transactions wherever two meet.
    G2,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    Ww,
    Wr,
    Rw,
    Rt,
}

/// Judges the transactions of one stretch of time, given what all lists held at its beginning and its end.
pub fn judge(seen: &[Seen], first: &Contents, last: &Contents) -> Result<(), (Anomaly, String)> {
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
        for (place, element) in elements.iter().enumerate().skip(begun.len()) {
            let author = author.get(element).map(|index| &seen[*index]);
            if author.is_some_and(|author| author.fate == Fate::Refused) {
                let story = format!("list {list} has element {element}, which was refused");
                return Err((Anomaly::G1a, story));
            }
            let mine = author.is_some_and(|author| author.appends.contains(list));
            if !mine || elements[..place].contains(element) {
                let story =
                    format!("list {list} has element {element}, which nobody appended here");
                return Err((Anomaly::Order, story));
            }
        }
    }
    if let Some((list, begun)) = first
        .iter()
        .find(|(list, begun)| !begun.is_empty() && !last.contains_key(list))
    {
        return Err((
            Anomaly::Order,
            format!("list {list} began as {begun:?} and is gone"),
        ));
    }
    for one in seen {
        for (list, elements) in &one.reads {
            if elements.contains(&one.element) {
                let story = format!("{one:?} saw in list {list} what it was about to append");
                return Err((Anomaly::Order, story));
            }
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
        let (gone, there) = one.appends.iter().partition::<Vec<&u32>, _>(lost);
        if !gone.is_empty() && !there.is_empty() {
            let story = format!("{one:?} is in lists {there:?} and not in {gone:?}");
            return Err((Anomaly::Half, story));
        }
    }
    Graph::of(seen, &author, last).without_cycles()
}

struct Graph<'s> {
    seen: &'s [Seen],
    edges: Vec<Vec<(usize, Edge)>>,
}

impl<'s> Graph<'s> {
    fn of(seen: &'s [Seen], author: &BTreeMap<u64, usize>, last: &Contents) -> Graph<'s> {
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
            for (list, elements) in &one.reads {
                let latest = elements.last().and_then(|element| author.get(element));
                add(latest, Some(&index), Edge::Wr);
                let next = last.get(list).and_then(|all| all.get(elements.len()));
                let next = next.and_then(|element| author.get(element));
                add(Some(&index), next, Edge::Rw);
            }
        }
        let mut by_end: Vec<usize> = (0..seen.len())
            .filter(|index| seen[*index].ended != NEVER)
            .collect();
        by_end.sort_by_key(|index| seen[*index].ended);
        for (index, one) in seen.iter().enumerate() {
            let ended = by_end.partition_point(|other| seen[*other].ended < one.began);
            // What ended before the youngest of these began comes before that one already.
            let mut youngest = 0;
            for other in by_end[..ended].iter().rev() {
                if seen[*other].ended < youngest {
                    break;
                }
                youngest = youngest.max(seen[*other].began);
                add(Some(other), Some(&index), Edge::Rt);
            }
        }
        Graph { seen, edges }
    }

    fn without_cycles(&self) -> Result<(), (Anomaly, String)> {
        let all = [Edge::Ww, Edge::Wr, Edge::Rt, Edge::Rw];
        let Some(mut cycle) = self.cycle(&all, usize::MAX) else {
            return Ok(());
        };
        let kinds = [
            (Anomaly::G0, &all[..1], 0),
            (Anomaly::G1c, &all[..3], 0),
            (Anomaly::GSingle, &all[..], 1),
        ];
        let mut named = None;
        for (anomaly, edges, rw_max) in kinds {
            if let Some(worse) = self.cycle(edges, rw_max) {
                cycle = worse;
                named = Some(anomaly);
                break;
            }
        }
        let meet = |pair: &[(usize, Edge)]| pair.iter().all(|(_, edge)| *edge == Edge::Rw);
        let around: Vec<_> = cycle.iter().chain(cycle.first()).copied().collect();
        let anomaly = named.unwrap_or(match around.windows(2).any(meet) {
            true => Anomaly::G2,
            false => Anomaly::GNonadjacent,
        });
        let members: Vec<_> = cycle
            .iter()
            .map(|(index, edge)| format!("{:?} {edge:?}", self.seen[*index]))
            .collect();
        Err((
            anomaly,
            format!("each before the next, in a circle: {members:?}"),
        ))
    }

    /// A circle along such edges, with so many rw at most, in which two rw meet at serializable transactions only;
    /// each member with the edge to the next.
    fn cycle(&self, edges: &[Edge], rw_max: usize) -> Option<Vec<(usize, Edge)>> {
        let groups = self.groups();
        (0..self.edges.len()).find_map(|start| {
            let begins = self.edges[start].iter();
            let mut begins = begins
                .filter(|(next, edge)| groups[*next] == groups[start] && edges.contains(edge));
            begins.find_map(|first| self.way_back(start, *first, edges, rw_max, &groups))
        })
    }

    /// The rest of a circle that begins with an edge: breadth first over transactions, how they were come to, and
    /// whether an rw is left.
    fn way_back(
        &self,
        start: usize,
        first: (usize, Edge),
        edges: &[Edge],
        rw_max: usize,
        groups: &[usize],
    ) -> Option<Vec<(usize, Edge)>> {
        let spent = |count: usize, edge| (count + usize::from(edge == Edge::Rw)).min(2);
        let may_meet = |at: usize, came: Edge, goes: Edge| {
            !(came == Edge::Rw && goes == Edge::Rw) || self.is_whole(at)
        };
        let begin = (first.0, first.1 == Edge::Rw, spent(0, first.1));
        if begin.2 > rw_max {
            return None;
        }
        // By state: the state before, and the edge from there.
        let mut came_from = BTreeMap::from([(begin, (begin, first.1))]);
        let mut line = VecDeque::from([begin]);
        while let Some(state) = line.pop_front() {
            let (at, by_rw, count) = state;
            let came = if by_rw { Edge::Rw } else { Edge::Wr };
            if at == start && may_meet(start, came, first.1) {
                let mut way = Vec::new();
                let mut back = state;
                while back != begin {
                    let (before, edge) = came_from[&back];
                    way.push((before.0, edge));
                    back = before;
                }
                way.push((start, first.1));
                way.reverse();
                return Some(way);
            }
            for &(next, edge) in &self.edges[at] {
                let count = spent(count, edge);
                let counts = edges.contains(&edge) && groups[next] == groups[start];
                let state_next = (next, edge == Edge::Rw, count);
                if counts
                    && (rw_max > 1 || count <= rw_max)
                    && may_meet(at, came, edge)
                    && !came_from.contains_key(&state_next)
                {
                    came_from.insert(state_next, (state, edge));
                    line.push_back(state_next);
                }
            }
        }
        None
    }

    /// It reads and writes at one instant. Of one that was refused only what it has read counts.
    fn is_whole(&self, index: usize) -> bool {
        self.seen[index].serializable && self.seen[index].fate != Fate::Refused
    }

    /// Which transactions can be on one circle at all: those that can be reached from each other have one number.
    fn groups(&self) -> Vec<usize> {
        let count = self.edges.len();
        let mut back = vec![Vec::new(); count];
        for (from, edges) in self.edges.iter().enumerate() {
            edges.iter().for_each(|(to, _)| back[*to].push(from));
        }
        let mut order = Vec::with_capacity(count);
        let mut visited = vec![false; count];
        for root in 0..count {
            let mut stack = vec![(root, 0)];
            while let Some((at, next)) = stack.pop() {
                if next == 0 && std::mem::replace(&mut visited[at], true) {
                    continue;
                }
                match self.edges[at].get(next) {
                    Some((to, _)) => stack.extend([(at, next + 1), (*to, 0)]),
                    None => order.push(at),
                }
            }
        }
        let mut groups = vec![usize::MAX; count];
        for root in order.into_iter().rev() {
            let mut stack = vec![root];
            while let Some(at) = stack.pop() {
                if groups[at] == usize::MAX {
                    groups[at] = root;
                    stack.extend(&back[at]);
                }
            }
        }
        groups
    }
}
