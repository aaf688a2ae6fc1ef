//! Doubly linked lists through the slots of the cache, by slot number: a slot can leave from the
//! middle, so nothing dead is ever kept waiting in a queue.

pub(super) const NONE: u32 = u32::MAX;

/// A slot's neighbours in one list.
#[derive(Clone, Copy)]
pub(super) struct Links {
    older: u32,
    newer: u32,
}

impl Links {
    pub const UNLINKED: Links = Links {
        older: NONE,
        newer: NONE,
    };
}

/// A list from its oldest to its newest slot.
pub(super) struct List {
    pub oldest: u32,
    newest: u32,
}

impl List {
    pub const EMPTY: List = List {
        oldest: NONE,
        newest: NONE,
    };

    pub fn is_empty(&self) -> bool {
        self.oldest == NONE
    }

    pub fn push<S>(&mut self, slots: &mut [S], slot: u32, links: impl Fn(&mut S) -> &mut Links) {
        *links(&mut slots[slot as usize]) = Links {
            older: self.newest,
            newer: NONE,
        };
        match self.newest {
            NONE => self.oldest = slot,
            newest => links(&mut slots[newest as usize]).newer = slot,
        }
        self.newest = slot;
    }

    pub fn remove<S>(&mut self, slots: &mut [S], slot: u32, links: impl Fn(&mut S) -> &mut Links) {
        let Links { older, newer } =
            std::mem::replace(links(&mut slots[slot as usize]), Links::UNLINKED);
        match older {
            NONE => self.oldest = newer,
            older => links(&mut slots[older as usize]).newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => links(&mut slots[newer as usize]).older = older,
        }
    }
}
