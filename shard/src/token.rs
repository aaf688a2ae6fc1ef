//! Who waits for an answer, as far as a shard has to do with it.

use std::rc::Rc;

use ringkeep_io::Nanos;

use crate::watch::Watch;

/// Names who waits for an answer. The shard only hands it back, and says what becomes of the call.
pub trait Token: 'static {
    /// The call will not be answered at once.
    fn waits(&mut self, now: impl FnOnce() -> Nanos) {
        let _ = now;
    }

    /// What follows the call, if its caller asked for that.
    fn watch(&self) -> Option<&Rc<Watch>> {
        None
    }
}

/// A number that whoever drives the shard knows.
impl Token for u64 {}
