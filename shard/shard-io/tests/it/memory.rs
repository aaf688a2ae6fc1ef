//! What only a disk in memory has: a limit of its own, and threads that share it.

use std::path::Path;

use ringkeep_io::{Buffer, Directory, Doing, Io, MemoryDisk, OpenMode, PAGE, WriteDurability};

const CHUNK: u64 = 64 << 10;

fn open(disk: &MemoryDisk) -> (Io, Directory) {
    let io = Io::memory(disk).unwrap();
    let directory = io.directory(Path::new("/db")).unwrap();
    (io, directory)
}

fn write(io: &Io, directory: &Directory, name: &str, offset: u64) -> Result<usize, i32> {
    let file = directory.open(name, OpenMode::ReadWrite).unwrap();
    let page = Buffer::zeroed(PAGE);
    let mut ticket = io.write(&file, offset, page, PAGE, WriteDurability::Durable);
    io.turn();
    let done = ticket.try_take().expect("done in the turn that takes it");
    done.result.map_err(|error| error.errno)
}

#[test]
fn a_full_disk_refuses_and_has_room_again() {
    let disk = MemoryDisk::new(3 * CHUNK);
    let (io, directory) = open(&disk);
    for name in ["a", "b"] {
        directory.open(name, OpenMode::CreateNew).unwrap();
    }
    assert_eq!(write(&io, &directory, "a", 0), Ok(PAGE));
    // A hole takes no room, and a file as long as the disk fits.
    assert_eq!(write(&io, &directory, "a", 8 * CHUNK), Ok(PAGE));
    assert_eq!(write(&io, &directory, "b", 0), Ok(PAGE));
    assert_eq!(directory.free_bytes(), Ok(0));
    assert_eq!(write(&io, &directory, "b", CHUNK), Err(libc::ENOSPC));
    assert_eq!(write(&io, &directory, "b", 0), Ok(PAGE), "what is there");
    let file = directory.open("b", OpenMode::ReadWrite).unwrap();
    let refused = file.allocate(2 * CHUNK).unwrap_err();
    assert_eq!(
        (refused.errno, refused.doing),
        (libc::ENOSPC, Doing::Allocate)
    );

    let other = directory.open("a", OpenMode::ReadWrite).unwrap();
    other.truncate(10).unwrap();
    assert_eq!(disk.used_bytes(), 2 * CHUNK);
    file.allocate(2 * CHUNK).unwrap();
    directory.remove("b").unwrap();
    assert_eq!(disk.used_bytes(), 3 * CHUNK, "somebody has it open");
    drop(file);
    assert_eq!(disk.used_bytes(), CHUNK);
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    let disk = MemoryDisk::new(1 << 20);
    let (io, directory) = open(&disk);
    let file = directory.open("a", OpenMode::CreateNew).unwrap();
    let mut page = Buffer::zeroed(PAGE);
    page.fill(7);
    drop(io.write(&file, 0, page, PAGE, WriteDurability::Cached));
    io.turn();
    file.truncate(100).unwrap();
    file.truncate(PAGE as u64).unwrap();
    let mut ticket = io.read(&file, 0, Buffer::zeroed(PAGE));
    io.turn();
    let done = ticket.try_take().unwrap();
    assert_eq!(done.result, Ok(PAGE));
    assert!(done.buffer[..100].iter().all(|&byte| byte == 7));
    assert!(done.buffer[100..].iter().all(|&byte| byte == 0));
}

#[test]
fn threads_share_a_disk() {
    let disk = MemoryDisk::new(1 << 20);
    let writer = disk.clone();
    let written = std::thread::spawn(move || {
        let (io, directory) = open(&writer);
        directory.open("a", OpenMode::CreateNew).unwrap();
        write(&io, &directory, "a", 0)
    });
    assert_eq!(written.join().unwrap(), Ok(PAGE));
    let (_io, directory) = open(&disk);
    assert_eq!(directory.list().unwrap(), ["a"]);
}
