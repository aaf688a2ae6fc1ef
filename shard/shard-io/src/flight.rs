//! Every operation that is not yet taken by its caller, and the only owner of its buffer.
//!
//! ```text
//!   Free --insert--> Pending --finish--> Done --take--> Free
//!                    Pending --abandon, finish--------> Free
//!                                        Done --abandon-> Free
//! ```
//! A token carries the slot's generation, so that an answer to an operation that has ended cannot be taken for
//! one to its successor: it is a broken invariant, and the process stops.

use std::task::Waker;

use crate::operation::Operation;
use crate::{Completion, Result};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    index: u32,
    generation: u32,
}

impl Token {
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub fn from_u64(value: u64) -> Token {
        Token {
            index: value as u32,
            generation: (value >> 32) as u32,
        }
    }
}

#[derive(Default)]
pub(crate) struct Flight {
    slots: Vec<Slot>,
    free: Vec<u32>,
    pending: usize,
}

struct Slot {
    generation: u32,
    state: State,
    waker: Option<Waker>,
    abandoned: bool,
}

// Boxing the operation would cost the hot path an allocation to save memory in free slots only.
#[allow(clippy::large_enum_variant)]
enum State {
    Free,
    Pending(Operation),
    Done(Completion),
}

/// What is left of a finished operation, to be woken or dropped when the flight is no longer borrowed.
pub(crate) struct Finished {
    pub waker: Option<Waker>,
    pub abandoned: Option<Operation>,
}

impl Flight {
    /// Operations that the kernel, or the line before it, still has.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Every operation that is pending.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        let pending = |slot: &Slot| matches!(slot.state, State::Pending(_));
        let slots = (0..)
            .zip(&self.slots)
            .filter(move |(_, slot)| pending(slot));
        slots.map(|(index, slot)| Token {
            index,
            generation: slot.generation,
        })
    }

    pub fn insert(&mut self, operation: Operation) -> Token {
        self.pending += 1;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot {
                    generation: 0,
                    state: State::Free,
                    waker: None,
                    abandoned: false,
                });
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.state = State::Pending(operation);
        slot.abandoned = false;
        Token {
            index,
            generation: slot.generation,
        }
    }

    pub fn operation(&mut self, token: Token) -> &mut Operation {
        match self.slots.get_mut(token.index as usize) {
            Some(Slot {
                generation,
                state: State::Pending(operation),
                ..
            }) if *generation == token.generation => operation,
            _ => panic!("an answer came for {token:?}, which is not in flight"),
        }
    }

    pub fn finish(&mut self, token: Token, result: Result<usize>) -> Finished {
        self.operation(token);
        self.pending -= 1;
        let slot = &mut self.slots[token.index as usize];
        let State::Pending(operation) = std::mem::replace(&mut slot.state, State::Free) else {
            unreachable!("checked above");
        };
        if slot.abandoned {
            self.release(token);
            return Finished {
                waker: None,
                abandoned: Some(operation),
            };
        }
        let Operation { buffer, file, .. } = operation;
        slot.state = State::Done(Completion { buffer, result });
        let waker = slot.waker.take();
        // The file may close here: it takes no borrow of the flight.
        drop(file);
        Finished {
            waker,
            abandoned: None,
        }
    }

    pub fn is_done(&self, token: Token) -> bool {
        matches!(self.slot(token).state, State::Done(_))
    }

    pub fn take(&mut self, token: Token) -> Option<Completion> {
        if !self.is_done(token) {
            return None;
        }
        let slot = &mut self.slots[token.index as usize];
        let State::Done(completion) = std::mem::replace(&mut slot.state, State::Free) else {
            unreachable!("checked above");
        };
        self.release(token);
        Some(completion)
    }

    /// Remembers whom to wake. Hands back a waker that it replaces, because dropping one may run foreign code.
    #[must_use]
    pub fn wait(&mut self, token: Token, waker: &Waker) -> Option<Waker> {
        assert!(!self.is_done(token));
        let slot = &mut self.slots[token.index as usize];
        match &slot.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => slot.waker.replace(waker.clone()),
        }
    }

    /// Nobody waits any more. A completion or a waker that is there is the caller's to drop.
    #[must_use]
    pub fn abandon(&mut self, token: Token) -> (Option<Completion>, Option<Waker>) {
        if let Some(completion) = self.take(token) {
            return (Some(completion), None);
        }
        let slot = &mut self.slots[token.index as usize];
        slot.abandoned = true;
        (None, slot.waker.take())
    }

    fn slot(&self, token: Token) -> &Slot {
        let slot = &self.slots[token.index as usize];
        assert_eq!(
            slot.generation, token.generation,
            "a ticket outlived its operation"
        );
        slot
    }

    fn release(&mut self, token: Token) {
        let slot = &mut self.slots[token.index as usize];
        debug_assert!(slot.waker.is_none(), "woken or taken before");
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(token.index);
    }
}
