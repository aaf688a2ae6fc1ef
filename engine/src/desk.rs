//! What each calling thread keeps: its lane, a reply slot and memory for keys and values that it uses again and
//! again, and the means to sleep until an answer comes.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::AccessError;
use std::time::Duration;

use crossbeam_utils::sync::{Parker, Unparker};
use ringkeep_shard::{Op, ScanPage};

use crate::batch;
use crate::host::Outcome;
use crate::limits::{DESK_PAGE_BYTES_MAX, DESK_VALUE_BYTES_MAX};
use crate::mailbox::Idle;
use crate::patience::Patience;

thread_local! {
    static DESK: Desk = Desk::new();
    static NEVER_BLOCKS: Cell<bool> = const { Cell::new(false) };
    static IN_STEPS: Cell<bool> = const { Cell::new(false) };
    static LANE: usize = NEXT_LANE.fetch_add(1, Ordering::Relaxed);
}

static NEXT_LANE: AtomicUsize = AtomicUsize::new(0);

struct Desk {
    parker: Parker,
    waker: Waker,
    slot: Cell<Option<Idle<Outcome>>>,
    /// Of the last get, for the next one.
    key: Cell<Vec<u8>>,
    /// Of the last put, for the next one: at most one change.
    ops: Cell<Vec<Op>>,
    /// Of the last scan, for the next one.
    page: Cell<ScanPage>,
    patience: Cell<Patience>,
}

/// Not std's own park: its one token per thread belongs to whatever executor runs on the thread.
struct Unpark(Unparker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl Desk {
    fn new() -> Desk {
        let parker = Parker::new();
        let waker = Waker::from(Arc::new(Unpark(parker.unparker().clone())));
        Desk {
            parker,
            waker,
            slot: Cell::new(None),
            key: Cell::default(),
            ops: Cell::default(),
            page: Cell::default(),
            patience: Cell::default(),
        }
    }
}

/// This thread is a host's: calls that wait on it would wait for themselves.
pub(crate) fn never_blocks() {
    NEVER_BLOCKS.set(true);
}

/// The same for as long as a caller's thread drives a host. What it wakes runs on it, and must neither wait for that host nor
/// for its end.
pub(crate) fn while_it_drives() -> Driving {
    Driving(NEVER_BLOCKS.try_with(|never| never.replace(true)))
}

pub(crate) struct Driving(Result<bool, AccessError>);

impl Drop for Driving {
    fn drop(&mut self) {
        if let Ok(before) = self.0 {
            NEVER_BLOCKS.set(before);
        }
    }
}

/// This thread is a host's.
pub(crate) fn is_hosts() -> bool {
    NEVER_BLOCKS.try_with(Cell::get).unwrap_or(false)
}

/// The lane of this thread: threads spread evenly over the lanes of every inbox.
pub(crate) fn lane() -> usize {
    LANE.try_with(|lane| *lane).unwrap_or(0)
}

/// This thread's reply slot, or a new one while that is in use.
pub(crate) fn slot() -> Idle<Outcome> {
    let kept = DESK.try_with(|desk| desk.slot.take()).ok().flatten();
    kept.unwrap_or_else(Idle::new)
}

/// Keeps a slot for the next call.
pub(crate) fn keep(slot: Idle<Outcome>) {
    let _ = DESK.try_with(|desk| desk.slot.set(Some(slot)));
}

/// A copy of a key.
pub(crate) fn key(key: &[u8]) -> Vec<u8> {
    let mut copy = DESK.try_with(|desk| desk.key.take()).unwrap_or_default();
    copy.clear();
    copy.extend_from_slice(key);
    copy
}

/// Keeps its memory for the next call.
pub(crate) fn keep_key(key: Vec<u8>) {
    let _ = DESK.try_with(|desk| desk.key.set(key));
}

/// The changes of a call that puts one value.
pub(crate) fn put(key: &[u8], value: &[u8]) -> Vec<Op> {
    let mut ops = DESK.try_with(|desk| desk.ops.take()).unwrap_or_default();
    match ops.first_mut() {
        Some(Op::Put {
            key: key_room,
            value: value_room,
        }) => {
            key_room.clear();
            key_room.extend_from_slice(key);
            value_room.clear();
            value_room.extend_from_slice(value);
        }
        _ => ops = vec![batch::put(key, value)],
    }
    ops
}

/// Keeps the memory of a put for the next one, unless it is much.
pub(crate) fn keep_ops(ops: Vec<Op>) {
    if let [Op::Put { value, .. }] = &ops[..]
        && value.capacity() <= DESK_VALUE_BYTES_MAX
    {
        let _ = DESK.try_with(|desk| desk.ops.set(ops));
    }
}

/// A page without entries.
pub(crate) fn page() -> ScanPage {
    DESK.try_with(|desk| desk.page.take()).unwrap_or_default()
}

/// Keeps the memory of a page for the next scan, unless it is much.
pub(crate) fn keep_page(mut page: ScanPage) {
    if page.room() <= DESK_PAGE_BYTES_MAX {
        page.clear();
        let _ = DESK.try_with(|desk| desk.page.set(page));
    }
}

/// Polls `ready` for at most `time`, if that has paid lately on this thread.
pub(crate) fn wait_a_moment(time: Duration, ready: impl Fn() -> bool) {
    let _ = DESK.try_with(|desk| {
        let mut patience = desk.patience.take();
        patience.wait(time, ready);
        desk.patience.set(patience);
    });
}

/// Polls on this thread and sleeps in between.
pub(crate) fn block_on_poll<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    assert!(
        !is_hosts(),
        "a closure on a shard's thread made a call that waits: use its async twin"
    );
    let mut wait = |desk: &Desk| {
        let mut context = Context::from_waker(&desk.waker);
        loop {
            match poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => desk.parker.park(),
            }
        }
    };
    let mut result = None;
    if DESK.try_with(|desk| result = Some(wait(desk))).is_err() {
        // The thread is ending and its desk is gone.
        result = Some(wait(&Desk::new()));
    }
    result.expect("one of the two waits has ended")
}

/// The same of a future that asks for one thing after the other: for each of them this thread may as well wait as a
/// blocking call does, and drive the host for it.
pub(crate) fn block_on_steps<R>(future: impl Future<Output = R>) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IN_STEPS.set(self.0);
        }
    }
    let _before = Before(IN_STEPS.replace(true));
    block_on(future)
}

/// Nothing is lost if this thread waits for an answer here and now.
pub(crate) fn is_in_steps() -> bool {
    IN_STEPS.get()
}

/// Runs a future on this thread to its end.
pub(crate) fn block_on<R>(future: impl Future<Output = R>) -> R {
    let mut future = pin!(future);
    block_on_poll(|context| future.as_mut().poll(context))
}
