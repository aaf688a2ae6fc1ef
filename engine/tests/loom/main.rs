//! The mailbox under every order of its threads' steps: `RUSTFLAGS="--cfg loom" cargo test -p ringkeep
//! --release --test loom`. Without that flag there is nothing here.
#![cfg(loom)]

#[path = "../../src/mailbox/atomics.rs"]
mod atomics;
#[path = "../../src/mailbox/call.rs"]
#[allow(dead_code, reason = "the models use a part")]
mod call;
#[path = "../../src/mailbox/lane.rs"]
mod lane;
#[path = "../../src/mailbox/lanes.rs"]
#[allow(dead_code, reason = "the models use a part")]
mod lanes;

mod calls;
mod inboxes;
mod rings;
