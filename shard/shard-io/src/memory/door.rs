//! One thread's door to files in memory. An operation is done in the turn that takes it; only a sleep is a
//! system call.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::{MemoryDirectory, MemoryDisk};
use crate::flight::{Flight, Token};
use crate::operation::{Operation, Step};
use crate::sleep::Sleep;
use crate::{Doorbell, Nanos, Result, system};

pub(crate) struct MemoryDoor {
    disk: MemoryDisk,
    bell: Arc<File>,
    asked: RefCell<VecDeque<Token>>,
    waits: Cell<u64>,
}

impl MemoryDoor {
    pub fn new(disk: &MemoryDisk, bell: Arc<File>) -> MemoryDoor {
        MemoryDoor {
            disk: disk.clone(),
            bell,
            asked: RefCell::default(),
            waits: Cell::new(0),
        }
    }

    pub fn directory(&self, path: &Path) -> Result<MemoryDirectory> {
        self.disk.root.find(path)
    }

    pub fn bell(&self) -> &File {
        &self.bell
    }

    pub fn doorbell(&self) -> Doorbell {
        Doorbell::kernel(Arc::clone(&self.bell))
    }

    pub fn enters(&self) -> u64 {
        self.waits.get()
    }

    pub fn enqueue(&self, token: Token) {
        self.asked.borrow_mut().push_back(token);
    }

    pub fn turn(&self, flight: &RefCell<Flight>, ready: &mut Vec<(Token, i32)>) {
        let mut flight = flight.borrow_mut();
        let answer = |token| (token, run(flight.operation(token)));
        ready.extend(self.asked.borrow_mut().drain(..).map(answer));
    }

    /// Something waits for a turn.
    pub fn is_asked(&self) -> bool {
        !self.asked.borrow().is_empty()
    }

    /// A sleep until the deadline or the doorbell: there is never anything else to wait for.
    pub fn lie_down(&self, deadline: Option<Nanos>) -> Sleep {
        let timeout = deadline.map(|deadline| deadline.saturating_sub(system::monotonic()));
        self.waits.set(self.waits.get() + 1);
        Sleep::by_bell(Arc::clone(&self.bell), timeout)
    }
}

/// Does a step; answers as the kernel would.
fn run(operation: &mut Operation) -> i32 {
    let (offset, length) = operation.remaining();
    let (step, from) = (operation.step(), operation.done);
    let file = Arc::clone(operation.file.in_memory());
    let bytes = from..from + length;
    match step {
        Step::Read => file.read(offset, &mut operation.buffer[bytes]) as i32,
        Step::Write { .. } => match file.write(offset, &operation.buffer[bytes]) {
            Ok(()) => length as i32,
            Err(_) => -libc::ENOSPC,
        },
        Step::Sync | Step::SyncNames => 0,
    }
}
