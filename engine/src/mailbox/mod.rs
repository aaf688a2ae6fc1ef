//! The only cross-thread code of the engine: questions go to a host thread through an [`Inbox`] of
//! bounded lanes, and each answer comes back in its own reply slot. It owns no thread and never
//! blocks; who waits, and how, is decided by the caller.

mod atomics;
mod call;
mod lane;
mod lanes;

pub(crate) use call::{Answer, Idle, Lost, Waiting};
pub(crate) use lanes::{Inbox, LANES_MAX, Mail, Refused, inbox};
