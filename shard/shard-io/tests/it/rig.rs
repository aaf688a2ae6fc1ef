//! One `Io` per backend over an empty directory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ringkeep_io::{
    Backend, BackendKind, Buffer, Completion, Direct, Directory, Io, IoOptions, SimulatedDisk,
    SimulatedOptions, Ticket,
};

pub struct Rig {
    pub io: Io,
    pub directory: Directory,
    pub name: &'static str,
    _folder: Option<Folder>,
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
    fn real(name: &'static str, io: Io) -> Rig {
        let folder = Folder::new();
        let directory = io.directory(&folder.0).expect("the folder exists");
        Rig {
            io,
            directory,
            name,
            _folder: Some(folder),
        }
    }

    pub fn simulated() -> Rig {
        let disk = SimulatedDisk::new(7, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        Rig {
            directory: io.directory(Path::new("/db")).expect("made when missing"),
            io,
            name: "simulated",
            _folder: None,
        }
    }
}

/// Every backend that this machine allows; a denied ring is said aloud and left out.
pub fn every() -> Vec<Rig> {
    let mut rigs = real();
    rigs.push(Rig::simulated());
    rigs
}

/// Those that reach a real file system.
pub fn real() -> Vec<Rig> {
    let portable =
        Io::open(&options(Backend::Portable)).expect("the portable backend always opens");
    let mut rigs = vec![Rig::real("portable", portable)];
    match Io::open(&options(Backend::Ring)) {
        Ok(io) => {
            assert_eq!(io.report().backend, BackendKind::Ring);
            rigs.push(Rig::real("ring", io));
        }
        Err(error) => eprintln!("skipping the ring: {error}"),
    }
    rigs
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
