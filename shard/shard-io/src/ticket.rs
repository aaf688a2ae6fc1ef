//! The caller's end of an operation in flight.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::flight::Token;
use crate::io::Inner;
use crate::{Buffer, Result};

/// What an operation left behind: its buffer, and how many bytes were done.
#[derive(Debug)]
pub struct Completion {
    /// The buffer that went in, empty for a sync.
    pub buffer: Buffer,
    /// Bytes done. Fewer than asked means that a read met the end of the file.
    pub result: Result<usize>,
}

/// A future for one operation. Dropping it abandons the result; the operation itself goes on.
pub struct Ticket {
    io: Rc<Inner>,
    /// `None` once the completion was taken.
    token: Option<Token>,
}

impl Ticket {
    pub(crate) fn new(io: Rc<Inner>, token: Token) -> Ticket {
        Ticket {
            io,
            token: Some(token),
        }
    }

    /// The completion is there to be taken.
    pub fn is_done(&self) -> bool {
        self.token
            .is_some_and(|token| self.io.flight.borrow().is_done(token))
    }

    /// Takes the completion if it is there; at most once.
    pub fn try_take(&mut self) -> Option<Completion> {
        let completion = self.io.flight.borrow_mut().take(self.token?)?;
        self.token = None;
        Some(completion)
    }
}

impl Future for Ticket {
    type Output = Completion;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Completion> {
        let token = self.token.expect("a ticket is polled after it was taken");
        let mut flight = self.io.flight.borrow_mut();
        let Some(completion) = flight.take(token) else {
            let replaced = flight.wait(token, context.waker());
            drop(flight);
            drop(replaced);
            return Poll::Pending;
        };
        drop(flight);
        self.token = None;
        Poll::Ready(completion)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            // Bound first: what is left must be dropped after the borrow has ended.
            let left = self.io.flight.borrow_mut().abandon(token);
            drop(left);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("done", &self.is_done())
            .finish()
    }
}
