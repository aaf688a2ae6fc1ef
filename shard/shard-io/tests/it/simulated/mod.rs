//! What a simulated disk keeps, loses and damages; exact, because every choice comes from a seed.

mod crash;
mod faults;
mod order;

use std::path::Path;

use ringkeep_io::{
    Buffer, Crash, Directory, File, Io, IoError, OpenMode, PAGE, SimulatedDisk, SimulatedOptions,
    WriteDurability,
};

use crate::rig::{filled, finish};

/// A host on a disk, with one directory.
struct Machine {
    disk: SimulatedDisk,
    io: Io,
    directory: Directory,
}

impl Machine {
    fn new(seed: u64) -> Machine {
        Machine::on(SimulatedDisk::new(seed, SimulatedOptions::default()))
    }

    fn on(disk: SimulatedDisk) -> Machine {
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/db")).unwrap();
        Machine {
            disk,
            io,
            directory,
        }
    }

    fn crash(self, crash: Crash) -> Machine {
        self.disk.crash_with(crash);
        Machine::on(self.disk)
    }

    /// A file whose name is durable.
    fn create(&self, name: &str) -> File {
        let file = self.directory.open(name, OpenMode::CreateNew).unwrap();
        self.directory.sync().unwrap();
        file
    }

    fn open(&self, name: &str) -> File {
        self.directory.open(name, OpenMode::ReadWrite).unwrap()
    }

    fn write(&self, file: &File, page: u64, pages: usize, byte: u8, durability: WriteDurability) {
        let length = pages * PAGE;
        let write = self.io.write(
            file,
            page * PAGE as u64,
            filled(length, byte),
            length,
            durability,
        );
        assert_eq!(finish(&self.io, write).result, Ok(length));
    }

    fn sync(&self, file: &File) -> Result<usize, IoError> {
        finish(&self.io, self.io.sync(file)).result
    }

    /// The one byte that fills a page; `None` when the page is mixed.
    fn page(&self, file: &File, page: u64) -> Option<u8> {
        let read = finish(
            &self.io,
            self.io.read(file, page * PAGE as u64, Buffer::zeroed(PAGE)),
        );
        assert_eq!(read.result, Ok(PAGE));
        let first = read.buffer[0];
        read.buffer
            .iter()
            .all(|&byte| byte == first)
            .then_some(first)
    }
}
