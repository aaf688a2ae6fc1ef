//! Aligned memory that the kernel reads and writes while an operation is in flight.
//!
//! Frames come from a pool of chunks, mapped and registered with the ring only when they are first needed, so that
//! an idle database pins nothing. A frame knows its chunk, and the chunk's index is the ring's buffer index. When the
//! pool's ceiling falls, a chunk is wanted back: its frames are handed out no more, whoever keeps one is asked to let
//! go of it, and with the last of them the chunk leaves the ring and the process.

#![allow(
    unsafe_code,
    reason = "buffers are raw memory because the kernel writes to them behind the compiler's back"
)]

#[cfg(not(feature = "quarantine"))]
use std::alloc::dealloc;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

use crate::PAGE;
use crate::block::Block;
#[cfg(feature = "quarantine")]
use crate::quarantine;

/// Owned, page-aligned, initialised memory. Goes into an operation and comes back in its completion.
pub struct Buffer {
    start: NonNull<u8>,
    length: usize,
    home: Home,
}

enum Home {
    Nowhere,
    Heap,
    Frame {
        pool: Rc<FramePool>,
        chunk: u32,
        registered: bool,
    },
}

impl Buffer {
    /// Zeroed memory of at least `length` bytes, rounded up to whole pages.
    pub fn zeroed(length: usize) -> Buffer {
        if length == 0 {
            return Buffer::empty();
        }
        let length = length.next_multiple_of(PAGE);
        let layout = Buffer::layout(length);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Buffer {
            start,
            length,
            home: Home::Heap,
        }
    }

    /// No memory at all: what a sync carries.
    pub(crate) fn empty() -> Buffer {
        Buffer {
            start: NonNull::dangling(),
            length: 0,
            home: Home::Nowhere,
        }
    }

    fn layout(length: usize) -> Layout {
        Layout::from_size_align(length, PAGE).expect("a buffer fits the address space")
    }

    /// The kernel knows this memory already, which saves it the page lookups of each operation.
    pub fn is_registered(&self) -> bool {
        matches!(
            self.home,
            Home::Frame {
                registered: true,
                ..
            }
        )
    }

    /// The buffer index in the ring of the `Io` with this id.
    pub(crate) fn registration(&self, io: u64) -> Option<u16> {
        match &self.home {
            Home::Frame {
                pool,
                chunk,
                registered: true,
            } if pool.io == io => Some(*chunk as u16),
            _ => None,
        }
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Somebody waits for the memory around this: it should be kept no longer than it is needed.
    pub fn is_wanted_back(&self) -> bool {
        match &self.home {
            Home::Frame { pool, chunk, .. } => pool.is_wanted_back(*chunk),
            Home::Nowhere | Home::Heap => false,
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `length` initialised bytes (dangling for none), and whoever can call this owns
        // the buffer, so no operation is in flight on it: `Io` takes buffers by value and hands them out when done.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the exclusive borrow makes it the only one.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        match &self.home {
            Home::Nowhere => {}
            #[cfg(feature = "quarantine")]
            Home::Heap => quarantine::retire(self.start, Buffer::layout(self.length)),
            // SAFETY: allocated in `zeroed` with this very layout, and freed once.
            #[cfg(not(feature = "quarantine"))]
            Home::Heap => unsafe {
                dealloc(self.start.as_ptr(), Buffer::layout(self.length));
            },
            Home::Frame {
                pool,
                chunk,
                registered,
            } => pool.put(Frame {
                start: self.start,
                chunk: *chunk,
                registered: *registered,
            }),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// The frames of one `Io`. Lives until its last frame is dropped, which may be after the `Io`.
pub(crate) struct FramePool {
    io: u64,
    /// The ceiling.
    bytes_max: Cell<usize>,
    /// By index; some may be gone.
    chunks: RefCell<Vec<Option<Block>>>,
    free: RefCell<Vec<Frame>>,
    /// Chunks that are wanted back, and frames of each that are not handed out.
    leaving: RefCell<Vec<(u32, usize)>>,
    /// How often a chunk was wanted back.
    wishes: Cell<u64>,
}

struct Frame {
    start: NonNull<u8>,
    chunk: u32,
    registered: bool,
}

/// A chunk that is mapped and waits to be cut into frames.
pub(crate) struct NewChunk {
    pub index: u32,
    pub start: *mut u8,
}

impl FramePool {
    /// One huge page, so that the page cache costs few TLB entries; also what one registration pins at a time.
    pub const CHUNK_BYTES: usize = Block::BYTES;

    pub fn new(io: u64, frames_bytes: usize) -> FramePool {
        FramePool {
            io,
            bytes_max: Cell::new(frames_bytes),
            chunks: RefCell::default(),
            free: RefCell::default(),
            leaving: RefCell::default(),
            wishes: Cell::default(),
        }
    }

    /// Moves the ceiling. Chunks above it are wanted back, those first that have most free frames.
    pub fn set_ceiling(&self, bytes: usize) {
        self.bytes_max.set(bytes);
        while self.count() - self.leaving.borrow().len() > bytes / FramePool::CHUNK_BYTES {
            let mut free = vec![0_usize; self.chunks.borrow().len()];
            for frame in &*self.free.borrow() {
                free[frame.chunk as usize] += 1;
            }
            let stays = |at: &usize| {
                self.chunks.borrow()[*at].is_some() && !self.is_wanted_back(*at as u32)
            };
            let emptiest = (0..free.len()).filter(stays).max_by_key(|at| free[*at]);
            let Some(chunk) = emptiest else { return };
            self.free
                .borrow_mut()
                .retain(|frame| frame.chunk as usize != chunk);
            self.leaving.borrow_mut().push((chunk as u32, free[chunk]));
            self.wishes.set(self.wishes.get() + 1);
        }
    }

    pub fn ceiling(&self) -> usize {
        self.bytes_max.get()
    }

    /// How often a chunk was wanted back: whoever keeps frames looks through them when this changes.
    pub fn wishes(&self) -> u64 {
        self.wishes.get()
    }

    fn is_wanted_back(&self, chunk: u32) -> bool {
        self.leaving
            .borrow()
            .iter()
            .any(|(leaving, _)| *leaving == chunk)
    }

    fn put(&self, frame: Frame) {
        #[cfg(feature = "quarantine")]
        quarantine::lock(frame.start, PAGE);
        let mut leaving = self.leaving.borrow_mut();
        match leaving.iter_mut().find(|(chunk, _)| *chunk == frame.chunk) {
            Some((_, frames)) => *frames += 1,
            None => self.free.borrow_mut().push(frame),
        }
    }

    /// A chunk that nobody uses any more and that is to go. The ring has to forget it before it is dropped.
    pub fn gone(&self) -> Option<(u32, Block)> {
        let mut leaving = self.leaving.borrow_mut();
        let whole = |(_, frames): &(u32, usize)| *frames == FramePool::CHUNK_BYTES / PAGE;
        let place = leaving.iter().position(whole)?;
        let (chunk, _) = leaving.swap_remove(place);
        let block = self.chunks.borrow_mut()[chunk as usize].take()?;
        Some((chunk, block))
    }

    fn count(&self) -> usize {
        self.chunks.borrow().iter().flatten().count()
    }

    /// A free frame, its contents whatever its last user left.
    pub fn take(self: &Rc<FramePool>) -> Option<Buffer> {
        #[cfg(not(feature = "quarantine"))]
        let frame = self.free.borrow_mut().pop()?;
        #[cfg(feature = "quarantine")]
        let frame = {
            let mut free = self.free.borrow_mut();
            let oldest = (!free.is_empty()).then(|| free.remove(0))?;
            quarantine::unlock(oldest.start, PAGE);
            oldest
        };
        Some(Buffer {
            start: frame.start,
            length: PAGE,
            home: Home::Frame {
                pool: Rc::clone(self),
                chunk: frame.chunk,
                registered: frame.registered,
            },
        })
    }

    /// It is not at its ceiling.
    pub fn may_grow(&self) -> bool {
        (self.count() + 1) * FramePool::CHUNK_BYTES <= self.bytes_max.get()
    }

    /// Maps one more chunk, unless the pool is at its ceiling or the system has no memory.
    pub fn grow(&self) -> Option<NewChunk> {
        if !self.may_grow() {
            return None;
        }
        let mut chunks = self.chunks.borrow_mut();
        let index = chunks.iter().position(Option::is_none);
        let index = index.unwrap_or_else(|| {
            chunks.push(None);
            chunks.len() - 1
        });
        let chunk = Block::map()?;
        let new = NewChunk {
            index: index as u32,
            start: chunk.start().as_ptr(),
        };
        chunks[index] = Some(chunk);
        Some(new)
    }

    /// Cuts a new chunk into frames.
    pub fn stock(&self, chunk: &NewChunk, registered: bool) {
        let base = self.chunks.borrow()[chunk.index as usize]
            .as_ref()
            .expect("the chunk is new")
            .start();
        let mut free = self.free.borrow_mut();
        // Reversed, so that frames are handed out from the start of the chunk.
        free.extend((0..FramePool::CHUNK_BYTES / PAGE).rev().map(|page| Frame {
            // SAFETY: `page * PAGE` lies inside the chunk.
            start: unsafe { base.add(page * PAGE) },
            chunk: chunk.index,
            registered,
        }));
    }
}
