//! What happens while a thread that is not an `Io`'s own uses it: a visit. The ring takes requests from one thread
//! alone, so a visitor leaves them aside, for the owner's next turn or as an errand of its own.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use crate::errand::{Errand, Job, Returned};
use crate::flight::{Flight, Token};
use crate::operation::Kind;

pub(crate) struct Visits {
    under_way: Cell<bool>,
    /// Operations that the door has not been told of.
    aside: RefCell<VecDeque<Token>>,
    /// There was no frame left in the pool.
    lacked_frames: Cell<bool>,
    /// Places in the ring's table of files that are to be emptied.
    slots: RefCell<Vec<u32>>,
    /// Errands whose answers were not taken.
    out: Cell<usize>,
    /// Errands ever, each a system call.
    errands: Cell<u64>,
    returned: Arc<Returned>,
}

/// What is left to do after a visit.
pub struct Visited {
    /// The only thing that was started, for the visitor to carry out if it will.
    pub errand: Option<Errand>,
    /// The owner has something to tell the kernel.
    pub left: bool,
}

/// Put aside in one visit, mostly; no visit takes memory for it.
const ASIDE_FEW: usize = 8;

impl Visits {
    pub fn none() -> Visits {
        Visits {
            under_way: Cell::new(false),
            aside: RefCell::new(VecDeque::with_capacity(ASIDE_FEW)),
            lacked_frames: Cell::new(false),
            slots: RefCell::default(),
            out: Cell::new(0),
            errands: Cell::new(0),
            returned: Arc::default(),
        }
    }

    pub fn errands(&self) -> u64 {
        self.errands.get()
    }

    pub fn are_under_way(&self) -> bool {
        self.under_way.get()
    }

    pub fn begin(&self) {
        self.under_way.set(true);
    }

    /// Ends it; `may_block`: the visitor has time for an errand.
    pub fn end(&self, may_block: bool, flight: &mut Flight) -> Visited {
        self.under_way.set(false);
        let mut aside = self.aside.borrow_mut();
        let errand = match aside.front() {
            Some(token) if may_block && aside.len() == 1 => {
                let operation = flight.operation(*token);
                // The names of a directory change seldom, and it takes long.
                let short = operation.kind != Kind::SyncNames;
                short.then(|| Job::of(*token, operation))
            }
            _ => None,
        };
        let errand = errand.map(|job| {
            aside.clear();
            self.out.set(self.out.get() + 1);
            self.errands.set(self.errands.get() + 1);
            Errand::new(job, Arc::clone(&self.returned))
        });
        Visited {
            errand,
            left: !aside.is_empty() || !self.slots.borrow().is_empty() || self.lacked_frames.get(),
        }
    }

    pub fn put_aside(&self, token: Token) {
        self.aside.borrow_mut().push_back(token);
    }

    pub fn take_aside(&self) -> Option<Token> {
        self.aside.borrow_mut().pop_front()
    }

    pub fn leave_slot(&self, slot: u32) {
        self.slots.borrow_mut().push(slot);
    }

    pub fn take_slot(&self) -> Option<u32> {
        self.slots.borrow_mut().pop()
    }

    pub fn lack_frames(&self, lack: bool) {
        self.lacked_frames.set(lack);
    }

    /// Tells once.
    pub fn lacked_frames(&self) -> bool {
        self.lacked_frames.take()
    }

    /// Moves the answers of errands to `ready`.
    pub fn take_returned(&self, ready: &mut Vec<(Token, i32)>) {
        if self.out.get() > 0 {
            self.out.set(self.out.get() - self.returned.take(ready));
        }
    }

    /// Sleeps until every errand is done.
    pub fn wait(&self) {
        self.returned.wait_for(self.out.get());
    }
}
