//! The second judge: a history can have happened if it can be done again.
//!
//! Every transaction is two events: it begins, which is when it reads, and it commits, which is when it
//! appends. A serializable one is a single event, and of one that was refused only the first is left. From
//! the lists follows which event comes before which:
//!
//! ```text
//!   commit → begin    the reader saw the element
//!   begin → commit    the reader did not see it
//!   commit → begin    of two that append to one list: the first committer wins
//!   end → begin       the client heard of the one before the other began
//! ```
//!
//! Where no row of events respects all that, nothing explains the history. Where one does, it is executed
//! against plain lists: every read must find what was seen, no two that append to one list may overlap, and
//! what is left must be what is there. So a history passes with a proof, whatever was inferred.
//!
//! This and not a check of the versions that the engine hands out, because it takes nobody's word; and events
//! instead of a search through kinds of circles, because then nothing hangs on knowing every kind.

use std::collections::{BTreeMap, BTreeSet};

use super::{Contents, Fate, NEVER, Seen};

/// Explains a history, or says why nothing does.
pub fn judge(seen: &[Seen], first: &Contents, last: &Contents) -> Result<(), String> {
    let events = Events::of(seen, last);
    let row = events.in_a_row(seen)?;
    execute(&row, seen, first, last)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Begin(usize),
    Commit(usize),
    /// Both at once.
    Whole(usize),
    /// A moment that clients have seen pass; nothing happens then.
    Tick,
}

struct Events {
    events: Vec<Event>,
    /// By event: those that come after it.
    after: Vec<Vec<usize>>,
}

impl Events {
    fn of(seen: &[Seen], last: &Contents) -> Events {
        let shown: BTreeSet<u64> = last
            .values()
            .chain(
                seen.iter()
                    .flat_map(|one| one.reads.iter().map(|(_, all)| all)),
            )
            .flatten()
            .copied()
            .collect();
        let mut events = Vec::new();
        // By transaction: the event at which it reads, and the one at which it appends.
        let mut begins = Vec::new();
        let mut commits = Vec::new();
        for (index, one) in seen.iter().enumerate() {
            let happened = match one.fate {
                Fate::Committed => true,
                Fate::Refused => false,
                Fate::Unknown => shown.contains(&one.element),
            };
            begins.push(events.len());
            commits.push(happened.then_some(events.len() + usize::from(!one.serializable)));
            match (happened, one.serializable) {
                (false, _) => events.push(Event::Begin(index)),
                (true, true) => events.push(Event::Whole(index)),
                (true, false) => events.extend([Event::Begin(index), Event::Commit(index)]),
            }
        }
        let mut found = Events {
            after: vec![Vec::new(); events.len()],
            events,
        };
        for (begin, commit) in begins.iter().zip(&commits) {
            found.add(Some(*begin), *commit);
        }
        found.order_by_lists(seen, last, &begins, &commits);
        found.order_by_time(seen, &begins, &commits);
        found
    }

    fn add(&mut self, from: Option<usize>, to: Option<usize>) {
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            self.after[from].push(to);
        }
    }

    fn order_by_lists(
        &mut self,
        seen: &[Seen],
        last: &Contents,
        begins: &[usize],
        commits: &[Option<usize>],
    ) {
        let mut authors = BTreeMap::new();
        for (index, one) in seen.iter().enumerate() {
            authors.insert(one.element, index);
        }
        let author = |list: &u32, place: usize| -> Option<usize> {
            authors.get(last.get(list)?.get(place)?).copied()
        };
        for (list, elements) in last {
            for place in 1..elements.len() {
                let earlier = author(list, place - 1).and_then(|index| commits[index]);
                let later = author(list, place).map(|index| begins[index]);
                self.add(earlier, later);
            }
        }
        for (index, one) in seen.iter().enumerate() {
            for (list, elements) in &one.reads {
                let newest = elements.len().checked_sub(1);
                let newest = newest.and_then(|place| author(list, place));
                self.add(newest.and_then(|index| commits[index]), Some(begins[index]));
                let next = author(list, elements.len()).and_then(|index| commits[index]);
                self.add(Some(begins[index]), next);
            }
        }
    }

    /// A chain of ticks, one for each moment at which something begins: what has ended lies before the next.
    fn order_by_time(&mut self, seen: &[Seen], begins: &[usize], commits: &[Option<usize>]) {
        let mut ticks: BTreeMap<u64, usize> = BTreeMap::new();
        for one in seen {
            let next = self.events.len();
            ticks.entry(one.began).or_insert_with(|| {
                self.events.push(Event::Tick);
                self.after.push(Vec::new());
                next
            });
        }
        let chain: Vec<usize> = ticks.values().copied().collect();
        for pair in chain.windows(2) {
            self.add(Some(pair[0]), Some(pair[1]));
        }
        for (index, one) in seen.iter().enumerate() {
            self.add(ticks.get(&one.began).copied(), Some(begins[index]));
            let over = commits[index].unwrap_or(begins[index]);
            if one.ended != NEVER {
                let next = ticks.range(one.ended + 1..).next();
                self.add(Some(over), next.map(|(_, tick)| *tick));
            }
        }
    }

    /// All events, each after those that it has to follow.
    fn in_a_row(&self, seen: &[Seen]) -> Result<Vec<Event>, String> {
        let mut waits_for = vec![0usize; self.events.len()];
        for next in self.after.iter().flatten() {
            waits_for[*next] += 1;
        }
        let mut ready: Vec<usize> = (0..self.events.len())
            .filter(|event| waits_for[*event] == 0)
            .collect();
        let mut row = Vec::with_capacity(self.events.len());
        while let Some(event) = ready.pop() {
            row.push(self.events[event]);
            for &next in &self.after[event] {
                waits_for[next] -= 1;
                if waits_for[next] == 0 {
                    ready.push(next);
                }
            }
        }
        if row.len() == self.events.len() {
            return Ok(row);
        }
        let stuck = |event: usize| waits_for[event] > 0;
        let circle = self.circle(stuck);
        let told: Vec<String> = circle.iter().map(|event| tell(*event, seen)).collect();
        Err(format!("no order: {}", told.join(", before ")))
    }

    /// Among events that wait for others of them there is a circle: whoever goes back comes to it.
    fn circle(&self, stuck: impl Fn(usize) -> bool) -> Vec<Event> {
        let mut before = vec![None; self.events.len()];
        let mut at = None;
        for from in (0..self.events.len()).filter(|event| stuck(*event)) {
            for &to in self.after[from].iter().filter(|event| stuck(**event)) {
                before[to] = Some(from);
                at = Some(to);
            }
        }
        let mut way: Vec<usize> = Vec::new();
        while let Some(event) = at {
            if let Some(place) = way.iter().position(|earlier| *earlier == event) {
                way.drain(..place);
                break;
            }
            way.push(event);
            at = before[event];
        }
        way.reverse();
        way.into_iter().map(|event| self.events[event]).collect()
    }
}

fn tell(event: Event, seen: &[Seen]) -> String {
    match event {
        Event::Begin(index) => format!("the beginning of {:?}", seen[index]),
        Event::Commit(index) => format!("the commit of {:?}", seen[index]),
        Event::Whole(index) => format!("all of {:?}", seen[index]),
        Event::Tick => "a moment that clients saw pass".into(),
    }
}

/// Does what the row says, and compares.
fn execute(row: &[Event], seen: &[Seen], first: &Contents, last: &Contents) -> Result<(), String> {
    let mut lists = first.clone();
    // Of each list, when it was appended to last; of each transaction, when it began.
    let mut appended: BTreeMap<u32, usize> = BTreeMap::new();
    let mut began = vec![0; seen.len()];
    for (now, event) in row.iter().enumerate() {
        if let Event::Begin(index) | Event::Whole(index) = *event {
            began[index] = now;
            for (list, elements) in &seen[index].reads {
                let held = lists.get(list).map_or(&[][..], Vec::as_slice);
                if held != elements {
                    let story = &seen[index];
                    return Err(format!("list {list} held {held:?} for {story:?}"));
                }
            }
        }
        if let Event::Commit(index) | Event::Whole(index) = *event {
            let one = &seen[index];
            for list in &one.appends {
                if appended.get(list).is_some_and(|when| *when > began[index]) {
                    return Err(format!("list {list} was appended to during {one:?}"));
                }
                appended.insert(*list, now);
                lists.entry(*list).or_default().push(one.element);
            }
        }
    }
    lists.retain(|_, elements| !elements.is_empty());
    let there = last.iter().filter(|(_, elements)| !elements.is_empty());
    if lists.iter().eq(there) {
        return Ok(());
    }
    Err(format!(
        "the lists became {last:?}, and should be {lists:?}"
    ))
}
