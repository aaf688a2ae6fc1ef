//! One `Io` per backend over an empty directory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ringkeep_io::{
    Backend, BackendKind, Buffer, Completion, Direct, Directory, Io, IoError, IoOptions,
    MemoryDisk, SimulatedDisk, SimulatedOptions, Ticket,
};

pub struct Rig {
    pub io: Io,
    pub directory: Directory,
    pub name: &'static str,
    place: Place,
}

enum Place {
    Folder(Folder, Backend),
    Disk(SimulatedDisk),
    Memory(MemoryDisk),
}

/// A folder of its own, removed in the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("io-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Direct where the build folder's file system allows it, so that the suite runs anywhere.
pub fn options(backend: Backend) -> IoOptions {
    IoOptions {
        backend,
        ring_entries: 32,
        frames_bytes: 4 << 20,
        direct: Direct::Optional,
    }
}

impl Rig {
    fn real(backend: Backend) -> Result<Rig, IoError> {
        Rig::on(Folder::new(), backend)
    }

    fn on(folder: Folder, backend: Backend) -> Result<Rig, IoError> {
        let io = Io::open(&options(backend))?;
        Ok(Rig {
            directory: io.directory(&folder.0).expect("the folder exists"),
            name: if backend == Backend::Ring {
                "ring"
            } else {
                "portable"
            },
            place: Place::Folder(folder, backend),
            io,
        })
    }

    pub fn simulated() -> Rig {
        Rig::on_disk(SimulatedDisk::new(7, SimulatedOptions::default()))
    }

    fn on_disk(disk: SimulatedDisk) -> Rig {
        let io = Io::simulated(&disk);
        Rig {
            directory: io.directory(Path::new("/db")).expect("made when missing"),
            io,
            name: "simulated",
            place: Place::Disk(disk),
        }
    }

    fn in_memory(disk: MemoryDisk) -> Rig {
        let io = Io::memory(&disk).expect("an eventfd");
        Rig {
            directory: io.directory(Path::new("/db")).expect("made when missing"),
            io,
            name: "memory",
            place: Place::Memory(disk),
        }
    }

    /// Closes everything and opens it again.
    pub fn reopen(self) -> Rig {
        drop((self.io, self.directory));
        match self.place {
            Place::Folder(folder, backend) => Rig::on(folder, backend).expect("opened before"),
            Place::Disk(disk) => Rig::on_disk(disk),
            Place::Memory(disk) => Rig::in_memory(disk),
        }
    }

    pub fn folder(&self) -> &Folder {
        match &self.place {
            Place::Folder(folder, _) => folder,
            Place::Disk(_) | Place::Memory(_) => panic!("this disk has no folder"),
        }
    }

    /// Closes the `Io` and leaves the folder.
    pub fn into_folder(self) -> Folder {
        let Rig {
            io,
            directory,
            place,
            ..
        } = self;
        drop((directory, io));
        match place {
            Place::Folder(folder, _) => folder,
            Place::Disk(_) | Place::Memory(_) => panic!("this disk has no folder"),
        }
    }
}

/// Every backend that this machine allows; a denied ring is said aloud and left out.
pub fn every() -> Vec<Rig> {
    let mut rigs = real();
    rigs.push(Rig::simulated());
    rigs.push(Rig::in_memory(MemoryDisk::new(1 << 30)));
    rigs
}

/// Those that reach a real file system.
pub fn real() -> Vec<Rig> {
    let portable = Rig::real(Backend::Portable).expect("the portable backend always opens");
    match Rig::real(Backend::Ring) {
        Ok(ring) => {
            assert_eq!(ring.io.report().backend, BackendKind::Ring);
            vec![portable, ring]
        }
        Err(error) => {
            eprintln!("skipping the ring: {error}");
            vec![portable]
        }
    }
}

/// Drives the `Io` until the ticket is done.
pub fn finish(io: &Io, mut ticket: Ticket) -> Completion {
    loop {
        if let Some(completion) = ticket.try_take() {
            return completion;
        }
        io.park(None);
        io.turn();
    }
}

pub fn filled(length: usize, byte: u8) -> Buffer {
    let mut buffer = Buffer::zeroed(length);
    buffer.fill(byte);
    buffer
}
