//! An operation's next step as a submission queue entry.

use io_uring::{opcode, squeue, types};

use crate::operation::{Operation, Step};

/// The entry for the ring of the `Io` with this id. It points into the operation's buffer.
pub(crate) fn entry(operation: &Operation, io: u64) -> squeue::Entry {
    let (fd, flags) = match operation.file.slot(io) {
        // A place in the fixed table stands where the descriptor would; the flag tells them apart.
        Some(slot) => (types::Fd(slot as i32), squeue::Flags::FIXED_FILE),
        None => (
            types::Fd(operation.file.descriptor()),
            squeue::Flags::empty(),
        ),
    };
    let (offset, length) = operation.remaining();
    // The kernel moves at most 2 GiB per entry anyway, and the rest follows.
    let length = u32::try_from(length).unwrap_or(!0xfff);
    let start = operation.buffer.start().wrapping_add(operation.done);
    let entry = match (operation.step(), operation.buffer.registration(io)) {
        (Step::Read, Some(index)) => opcode::ReadFixed::new(fd, start, length, index)
            .offset(offset)
            .build(),
        (Step::Read, None) => opcode::Read::new(fd, start, length).offset(offset).build(),
        (Step::Write { dsync }, Some(index)) => opcode::WriteFixed::new(fd, start, length, index)
            .offset(offset)
            .rw_flags(rw_flags(dsync))
            .build(),
        (Step::Write { dsync }, None) => opcode::Write::new(fd, start, length)
            .offset(offset)
            .rw_flags(rw_flags(dsync))
            .build(),
        (Step::Sync, _) => opcode::Fsync::new(fd)
            .flags(types::FsyncFlags::DATASYNC)
            .build(),
        (Step::SyncNames, _) => opcode::Fsync::new(fd).build(),
    };
    entry.flags(flags)
}

fn rw_flags(dsync: bool) -> i32 {
    if dsync { libc::RWF_DSYNC } else { 0 }
}
