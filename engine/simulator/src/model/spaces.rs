//! Named keyspaces: which there are, and what is in them. Each has one client at a time, and everything that is done to
//! them is durable, so what must be there is known exactly but for what was under way at a stop.

use std::collections::BTreeMap;

use crate::failure::{Check, Verdict, failed};

/// How many names there are.
pub const SPACES: u32 = 3;

/// Keys in each.
pub const SPACE_KEYS: u32 = 12;

/// The entries of a keyspace.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// All of them.
pub struct Spaces(Vec<Space>);

/// Of one name.
#[derive(Clone, Default)]
struct Space {
    state: State,
    /// Which of the keyspaces that had the name.
    generation: u64,
    writes: u64,
    keys: BTreeMap<Vec<u8>, Under>,
    is_busy: bool,
    /// What this life began with.
    base: BTreeMap<Vec<u8>, Vec<u8>>,
    /// And what was done since, in the order in which it was.
    events: Vec<Event>,
}

/// A change of some keys.
#[derive(Clone)]
struct Event {
    /// Nobody knows whether it happened when there is none.
    version: Option<u64>,
    keys: Vec<Vec<u8>>,
    /// What is under all of them from then on.
    leaves: Option<Vec<u8>>,
}

/// What may be under a key.
#[derive(Clone, Default)]
struct Under {
    /// Was acknowledged last.
    known: Option<Vec<u8>>,
    /// Nobody knows the fate of these, which came later.
    perhaps: Vec<Vec<u8>>,
    /// A removal that is under way takes it.
    is_going: bool,
    /// A removal whose fate nobody knows took it.
    may_be_gone: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum State {
    #[default]
    Gone,
    There,
    /// The next opening shows it.
    MayBeMade,
    MayBeDropped,
}

/// A key in one.
pub fn space_key(key: u32) -> Vec<u8> {
    format!("key-{key:02}").into_bytes()
}

impl Default for Spaces {
    fn default() -> Spaces {
        Spaces(vec![Space::default(); SPACES as usize])
    }
}

/// Its name.
pub fn name(space: u32) -> String {
    format!("space-{space}")
}

impl Spaces {
    /// Somebody begins to use it; false when somebody else does, or nobody knows whether it is there.
    pub fn enter(&mut self, space: u32) -> bool {
        let space = &mut self.0[space as usize];
        let is_free = !space.is_busy && matches!(space.state, State::Gone | State::There);
        space.is_busy |= is_free;
        is_free
    }

    /// It is made, or dropped, from here on.
    pub fn begin_change(&mut self, space: u32, makes: bool) {
        let space = &mut self.0[space as usize];
        space.state = match (space.state, makes) {
            (State::Gone, true) => State::MayBeMade,
            (State::There, false) => State::MayBeDropped,
            (state, _) => state,
        };
    }

    /// It was made or dropped, or refused as what it was.
    pub fn changed(&mut self, space: u32, makes: bool, done: bool) -> Verdict {
        let space = self.leave(space);
        let expected = match (space.state, makes) {
            (State::MayBeMade, true) | (State::MayBeDropped, false) => true,
            (_, _) => false,
        };
        if done != expected {
            let what = if makes { "made" } else { "dropped" };
            let story = format!("a keyspace that is {:?} can be {what}: {done}", space.state);
            return failed(Check::Content, story);
        }
        match done {
            true if makes => space.made(),
            true => space.state = State::Gone,
            false => {}
        }
        Ok(())
    }

    /// Which of the keyspaces of this name is there; none when it is gone, or nobody knows.
    pub fn generation(&self, space: u32) -> Option<u64> {
        let space = &self.0[space as usize];
        (space.state == State::There).then_some(space.generation)
    }

    /// Nothing was done.
    pub fn refused(&mut self, space: u32) {
        let space = self.leave(space);
        space.state = match space.state {
            State::MayBeMade => State::Gone,
            State::MayBeDropped => State::There,
            state => state,
        };
    }

    /// Whether anything was done shows later.
    pub fn unknown(&mut self, space: u32) {
        let space = self.leave(space);
        for under in space.keys.values_mut() {
            under.may_be_gone |= std::mem::take(&mut under.is_going);
        }
    }

    /// A value for a key, which may be there from here on.
    pub fn begin_write(&mut self, space: u32, key: u32, bytes: u32) -> (Vec<u8>, Vec<u8>) {
        let space = &mut self.0[space as usize];
        space.writes += 1;
        let mut value = [space.generation, space.writes]
            .map(u64::to_le_bytes)
            .concat();
        value.resize(16 + bytes as usize, key as u8);
        let key = space_key(key);
        if space.state == State::There {
            let under = space.keys.entry(key.clone()).or_default();
            under.perhaps.push(value.clone());
        }
        space.begin(vec![key.clone()], Some(value.clone()));
        (key, value)
    }

    /// It was stored.
    pub fn written(&mut self, space: u32, key: &[u8], value: &[u8], version: u64) -> Verdict {
        let space = self.leave(space);
        space.happened(version);
        if space.state != State::There {
            return failed(Check::Content, "a keyspace that is gone takes a write");
        }
        let under = Under {
            known: Some(value.to_vec()),
            ..Under::default()
        };
        space.keys.insert(key.to_vec(), under);
        Ok(())
    }

    /// It was refused untouched: because there is no such keyspace, or for another reason.
    pub fn not_written(&mut self, space: u32, value: &[u8], is_missing: bool) -> Verdict {
        let space = self.leave(space);
        space.events.pop();
        for under in space.keys.values_mut() {
            under.perhaps.retain(|other| other != value);
        }
        space.missing(is_missing)
    }

    /// These keys may be gone from here on.
    pub fn begin_removal(&mut self, space: u32, keys: std::ops::Range<u32>) {
        let space = &mut self.0[space as usize];
        space.begin(keys.clone().map(space_key).collect(), None);
        for key in keys {
            if let Some(under) = space.keys.get_mut(&space_key(key)) {
                under.is_going = true;
            }
        }
    }

    /// They are.
    pub fn removed(&mut self, space: u32, version: u64) -> Verdict {
        let space = self.leave(space);
        space.happened(version);
        if space.state != State::There {
            return failed(Check::Content, "a keyspace that is gone takes a removal");
        }
        space.keys.retain(|_, under| !under.is_going);
        Ok(())
    }

    /// They are not: because there is no such keyspace, or for another reason. What a removal before it may have taken
    /// stays in doubt.
    pub fn not_removed(&mut self, space: u32, is_missing: bool) -> Verdict {
        let space = self.leave(space);
        space.events.pop();
        let all = space.keys.values_mut();
        all.for_each(|under| under.is_going = false);
        space.missing(is_missing)
    }

    /// It was read; nothing when there is no such keyspace.
    pub fn read(&mut self, space: u32, found: Option<&Entries>) -> Verdict {
        let space = self.leave(space);
        match found {
            Some(found) => space.check(found),
            None => space.missing(true),
        }
    }

    /// It was read as it was at a version of this life.
    pub fn read_past(&mut self, space: u32, at: u64, found: &Entries) -> Verdict {
        let space = self.leave(space);
        if space.state != State::There {
            return failed(Check::Content, "a keyspace that is gone is read");
        }
        for key in (0..SPACE_KEYS).map(space_key) {
            let found = found.iter().find(|(other, _)| *other == key);
            let found = found.map(|(_, value)| value);
            let may = space.may_have_been(&key, at);
            if !may.contains(&found) {
                let length = |value: &Option<&Vec<u8>>| value.map(|value| value.len());
                let may: Vec<_> = may.iter().map(length).collect();
                let story = format!(
                    "{:?} of a keyspace has a value of {:?} bytes at version {at}, and had one of {may:?}",
                    String::from_utf8_lossy(&key),
                    length(&found)
                );
                return failed(Check::Snapshot, story);
            }
        }
        Ok(())
    }

    /// After a stop: whether it is there, and with what.
    pub fn survived(&self, space: u32, found: Option<&Entries>) -> Verdict {
        let space = &self.0[space as usize];
        match (space.state, found) {
            (State::Gone | State::MayBeMade | State::MayBeDropped, None) => Ok(()),
            (State::MayBeMade, Some(found)) if found.is_empty() => Ok(()),
            (State::There | State::MayBeDropped, Some(found)) => space.check(found),
            (state, found) => {
                let found = found.map(Vec::len);
                let story = format!("a keyspace that was {state:?} has after a stop: {found:?}");
                failed(Check::Durability, story)
            }
        }
    }

    /// What was found is what the next life begins with.
    pub fn adopt(&mut self, space: u32, found: Option<Entries>) {
        let space = &mut self.0[space as usize];
        space.is_busy = false;
        match (space.state, &found) {
            (State::MayBeMade, Some(_)) => space.made(),
            (_, Some(_)) => space.state = State::There,
            (_, None) => space.state = State::Gone,
        }
        let under = |value| Under {
            known: Some(value),
            ..Under::default()
        };
        space.base = found.iter().flatten().cloned().collect();
        space.events.clear();
        let found = found.unwrap_or_default().into_iter();
        space.keys = found.map(|(key, value)| (key, under(value))).collect();
    }

    fn leave(&mut self, space: u32) -> &mut Space {
        let space = &mut self.0[space as usize];
        space.is_busy = false;
        space
    }
}

impl Space {
    fn made(&mut self) {
        self.state = State::There;
        self.generation += 1;
        self.keys.clear();
        self.base.clear();
        self.events.clear();
    }

    fn begin(&mut self, keys: Vec<Vec<u8>>, leaves: Option<Vec<u8>>) {
        self.events.push(Event {
            version: None,
            keys,
            leaves,
        });
    }

    /// What was begun last did.
    fn happened(&mut self, version: u64) {
        if let Some(event) = self.events.last_mut() {
            event.version = Some(version);
        }
    }

    /// What may have been under a key at a version.
    fn may_have_been(&self, key: &Vec<u8>, at: u64) -> Vec<Option<&Vec<u8>>> {
        let mut may = vec![self.base.get(key)];
        for event in &self.events {
            match event.version {
                Some(version) if version > at => break,
                Some(_) if event.keys.contains(key) => may = vec![event.leaves.as_ref()],
                None if event.keys.contains(key) => may.push(event.leaves.as_ref()),
                _ => {}
            }
        }
        may
    }

    fn missing(&self, is_missing: bool) -> Verdict {
        if is_missing && self.state == State::There {
            return failed(Check::Content, "a keyspace that is there is not found");
        }
        Ok(())
    }

    fn check(&self, found: &Entries) -> Verdict {
        if self.state == State::Gone {
            return failed(Check::Content, "a keyspace that is gone is read");
        }
        for (key, value) in found {
            let is_known = self.keys.get(key).is_some_and(|under| {
                let mut all = under.known.iter().chain(&under.perhaps);
                all.any(|known| known == value)
            });
            if !is_known {
                let story = format!(
                    "{:?} holds {:02x?}, which nobody left there in keyspace {} of this name",
                    String::from_utf8_lossy(key),
                    &value[..16.min(value.len())],
                    self.generation
                );
                return failed(Check::Content, story);
            }
        }
        let is_found = |key: &Vec<u8>| found.iter().any(|(other, _)| other == key);
        let mut keys = self.keys.iter();
        let must_be_found =
            |under: &Under| under.known.is_some() && !under.is_going && !under.may_be_gone;
        match keys.find(|(key, under)| must_be_found(under) && !is_found(key)) {
            None => Ok(()),
            Some((key, _)) => failed(
                Check::Durability,
                format!("{:?} of a keyspace is lost", String::from_utf8_lossy(key)),
            ),
        }
    }
}
