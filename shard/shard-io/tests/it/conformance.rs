//! Reads, writes, syncs and who owns the buffers, on every backend.

use ringkeep_io::{Buffer, Doing, IoError, OpenMode, PAGE, WriteDurability};

use crate::rig::{every, filled, finish};

#[test]
fn what_was_written_is_read_back() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("data", OpenMode::CreateNew).unwrap();
        for (durability, byte) in [(WriteDurability::Cached, 1), (WriteDurability::Durable, 2)] {
            let offset = u64::from(byte) * 4 * PAGE as u64;
            let ticket = io.write(&file, offset, filled(3 * PAGE, byte), 2 * PAGE, durability);
            let written = finish(io, ticket);
            assert_eq!(written.result, Ok(2 * PAGE), "{}", rig.name);
            assert_eq!(written.buffer.len(), 3 * PAGE);
            let read = finish(io, io.read(&file, offset, Buffer::zeroed(2 * PAGE)));
            assert_eq!(read.result, Ok(2 * PAGE), "{}", rig.name);
            assert!(
                read.buffer.iter().all(|&found| found == byte),
                "{}",
                rig.name
            );
        }
        let synced = finish(io, io.sync(&file));
        assert_eq!((synced.result, synced.buffer.len()), (Ok(0), 0));
        assert_eq!(file.size(), Ok(10 * PAGE as u64));
    }
}

#[test]
fn a_read_stops_at_the_end_of_the_file() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("short", OpenMode::CreateNew).unwrap();
        finish(
            io,
            io.write(
                &file,
                0,
                filled(4 * PAGE, 5),
                4 * PAGE,
                WriteDurability::Cached,
            ),
        );
        for (size, offset, expected) in [
            (4 * PAGE, 0, 4 * PAGE),
            (4 * PAGE, 3 * PAGE, PAGE),
            (4 * PAGE, 4 * PAGE, 0),
            (4 * PAGE, 9 * PAGE, 0),
            (3 * PAGE + 512, 0, 3 * PAGE + 512),
            (PAGE + 1000, 0, PAGE + 1000),
            (PAGE + 1000, PAGE, 1000),
            (1, 0, 1),
            (0, 0, 0),
        ] {
            file.truncate(size as u64).unwrap();
            let read = finish(io, io.read(&file, offset as u64, filled(4 * PAGE, 9)));
            assert_eq!(
                read.result,
                Ok(expected),
                "{}: size {size}, offset {offset}",
                rig.name
            );
            assert!(read.buffer[..expected].iter().all(|&byte| byte == 5));
        }
    }
}

#[test]
fn more_operations_than_the_ring_holds_wait_their_turn() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("many", OpenMode::CreateNew).unwrap();
        let writes = (0..500u64).map(|page| {
            let buffer = filled(PAGE, page as u8);
            io.write(
                &file,
                page * PAGE as u64,
                buffer,
                PAGE,
                WriteDurability::Cached,
            )
        });
        let writes = writes.collect::<Vec<_>>();
        assert_eq!(io.in_flight(), 500);
        for write in writes {
            assert_eq!(finish(io, write).result, Ok(PAGE), "{}", rig.name);
        }
        assert_eq!(io.in_flight(), 0);
        for page in 0..500u64 {
            let read = finish(io, io.read(&file, page * PAGE as u64, io.frame()));
            assert_eq!(read.result, Ok(PAGE));
            assert!(
                read.buffer.iter().all(|&byte| byte == page as u8),
                "{}: page {page}",
                rig.name
            );
        }
    }
}

#[test]
fn a_dropped_ticket_abandons_the_result_and_not_the_write() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("dropped", OpenMode::CreateNew).unwrap();
        for page in 0..100u64 {
            let buffer = if page % 2 == 0 {
                filled(PAGE, 7)
            } else {
                framed(io, 7)
            };
            drop(io.write(
                &file,
                page * PAGE as u64,
                buffer,
                PAGE,
                WriteDurability::Cached,
            ));
            // Reads into abandoned buffers: the memory must stay the kernel's until it has answered.
            drop(io.read(&file, 0, io.frame()));
        }
        assert_eq!(io.in_flight(), 200);
        while io.in_flight() > 0 {
            io.park(None);
            io.turn();
        }
        let read = finish(io, io.read(&file, 0, Buffer::zeroed(100 * PAGE)));
        assert_eq!(read.result, Ok(100 * PAGE));
        assert!(read.buffer.iter().all(|&byte| byte == 7), "{}", rig.name);
    }
}

fn framed(io: &ringkeep_io::Io, byte: u8) -> Buffer {
    let mut frame = io.frame();
    frame.fill(byte);
    frame
}

#[test]
fn closing_waits_for_what_is_in_flight() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("left", OpenMode::CreateNew).unwrap();
        for page in 0..16u64 {
            let buffer = filled(PAGE, 3);
            drop(io.write(
                &file,
                page * PAGE as u64,
                buffer,
                PAGE,
                WriteDurability::Durable,
            ));
        }
        io.turn();
        drop(file);
        let again = rig.reopen();
        let file = again.directory.open("left", OpenMode::Read).unwrap();
        let read = finish(
            &again.io,
            again.io.read(&file, 0, Buffer::zeroed(16 * PAGE)),
        );
        assert_eq!(read.result, Ok(16 * PAGE), "{}", again.name);
        assert!(read.buffer.iter().all(|&byte| byte == 3), "{}", again.name);
    }
}

#[test]
fn a_panic_with_operations_in_flight_unwinds() {
    for rig in every() {
        let name = rig.name;
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let file = rig.directory.open("panic", OpenMode::CreateNew).unwrap();
            let write = |page| {
                rig.io.write(
                    &file,
                    page * PAGE as u64,
                    rig.io.frame(),
                    PAGE,
                    WriteDurability::Durable,
                )
            };
            let _tickets = (0..100).map(write).collect::<Vec<_>>();
            rig.io.turn();
            std::panic::resume_unwind(Box::new("on purpose"));
        }));
        assert_eq!(
            panicked.unwrap_err().downcast_ref(),
            Some(&"on purpose"),
            "{name}"
        );
    }
}

#[test]
fn frames_are_recycled_and_outlive_their_io() {
    for rig in every() {
        let mut frames = (0..1500).map(|_| rig.io.frame()).collect::<Vec<_>>();
        for (number, frame) in frames.iter_mut().enumerate() {
            assert_eq!(frame.len(), PAGE);
            assert_eq!(frame.as_ptr().align_offset(PAGE), 0);
            frame.fill(number as u8);
        }
        let intact =
            |(number, frame): (usize, &Buffer)| frame.iter().all(|&byte| byte == number as u8);
        assert!(frames.iter().enumerate().all(intact));
        if rig.name == "ring" && !cfg!(feature = "quarantine") {
            // The pool's ceiling is 1024 frames; the others are plain memory. A small memlock limit registers fewer.
            let registered = frames.iter().filter(|frame| frame.is_registered()).count();
            let report = rig.io.report();
            assert_eq!((registered * PAGE) as u64, report.registered_bytes);
            let refused = |&(feature, _): &(&str, String)| feature == "more registered frames";
            assert!(
                registered == 1024 || report.refused.iter().any(refused),
                "{report}"
            );
        }
        let last = frames.pop().unwrap();
        let address = frames.remove(0).as_ptr();
        // The others' first frame may be plain memory, which the allocator gives out as it likes.
        if matches!(rig.name, "ring" | "portable") && !cfg!(feature = "quarantine") {
            assert_eq!(rig.io.frame().as_ptr(), address, "{}", rig.name);
        }
        drop((rig, frames));
        assert!(last.iter().all(|&byte| byte == 1499u32 as u8));
    }
}

#[test]
fn reading_and_writing_what_was_not_opened_for_it_is_an_error() {
    for rig in crate::rig::real() {
        let io = &rig.io;
        rig.directory.open("file", OpenMode::CreateNew).unwrap();
        let file = rig.directory.open("file", OpenMode::Read).unwrap();
        for durability in [WriteDurability::Cached, WriteDurability::Durable] {
            let written = finish(io, io.write(&file, 0, filled(PAGE, 1), PAGE, durability));
            assert_eq!(
                written.result,
                Err(IoError::new(libc::EBADF, Doing::Write)),
                "{}",
                rig.name
            );
            assert_eq!(written.buffer.len(), PAGE);
        }
    }
}

#[test]
fn transfers_of_nothing_do_nothing() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("file", OpenMode::CreateNew).unwrap();
        let offset = 8 * PAGE as u64;
        for durability in [WriteDurability::Cached, WriteDurability::Durable] {
            let write = io.write(&file, offset, filled(PAGE, 1), 0, durability);
            assert_eq!(finish(io, write).result, Ok(0), "{}", rig.name);
        }
        let read = finish(io, io.read(&file, offset, Buffer::zeroed(0)));
        assert_eq!((read.result, file.size()), (Ok(0), Ok(0)), "{}", rig.name);
    }
}

#[test]
fn counters_tell_what_was_done() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("counted", OpenMode::CreateNew).unwrap();
        finish(
            io,
            io.write(
                &file,
                0,
                filled(2 * PAGE, 1),
                2 * PAGE,
                WriteDurability::Cached,
            ),
        );
        finish(
            io,
            io.write(&file, 0, filled(PAGE, 1), PAGE, WriteDurability::Durable),
        );
        finish(io, io.sync(&file));
        finish(io, io.read(&file, 0, Buffer::zeroed(4 * PAGE)));
        let counters = io.counters();
        let found = (
            counters.reads,
            counters.read_bytes,
            counters.writes,
            counters.write_bytes,
            counters.syncs,
        );
        assert_eq!(
            found,
            (1, 2 * PAGE as u64, 2, 3 * PAGE as u64, 2),
            "{}",
            rig.name
        );
    }
}

#[test]
#[should_panic(expected = "must be multiples")]
fn an_unaligned_offset_is_a_bug_of_the_caller() {
    let rig = crate::rig::Rig::simulated();
    let file = rig.directory.open("file", OpenMode::CreateNew).unwrap();
    drop(rig.io.read(&file, 512, Buffer::zeroed(PAGE)));
}
