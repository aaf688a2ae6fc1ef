//! The bytes of the FUSE protocol, version 7.31, as far as a small file system needs them: `linux/fuse.h`.

/// What the kernel sends begins with 40 bytes: length, opcode (u32), unique, node (u64), and who asks.
const HEADER_BYTES: usize = 40;
/// The largest write, and so the largest request.
pub const WRITE_BYTES_MAX: usize = 1 << 20;
pub const REQUEST_BYTES_MAX: usize = WRITE_BYTES_MAX + 4096;

pub const LOOKUP: u32 = 1;
pub const FORGET: u32 = 2;
pub const GETATTR: u32 = 3;
pub const SETATTR: u32 = 4;
pub const MKDIR: u32 = 9;
pub const UNLINK: u32 = 10;
pub const RMDIR: u32 = 11;
pub const RENAME: u32 = 12;
pub const OPEN: u32 = 14;
pub const READ: u32 = 15;
pub const WRITE: u32 = 16;
pub const STATFS: u32 = 17;
pub const RELEASE: u32 = 18;
pub const FSYNC: u32 = 20;
pub const FLUSH: u32 = 25;
pub const INIT: u32 = 26;
pub const OPENDIR: u32 = 27;
pub const READDIR: u32 = 28;
pub const RELEASEDIR: u32 = 29;
pub const FSYNCDIR: u32 = 30;
pub const CREATE: u32 = 35;
pub const INTERRUPT: u32 = 36;
pub const DESTROY: u32 = 38;
pub const BATCH_FORGET: u32 = 42;
pub const FALLOCATE: u32 = 43;
pub const RENAME2: u32 = 45;

/// Reads and writes of an open file go past the page cache; then the kernel also forgets O_DSYNC.
pub const OPEN_DIRECT: u32 = 1;
/// In SETATTR: the size is to be changed.
pub const SET_SIZE: u32 = 1 << 3;

/// One request.
pub struct Request<'a> {
    pub opcode: u32,
    pub unique: u64,
    pub node: u64,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    pub fn parse(bytes: &'a [u8]) -> Request<'a> {
        let request = Request {
            opcode: 0,
            unique: 0,
            node: 0,
            body: bytes,
        };
        Request {
            opcode: request.u32(4),
            unique: request.u64(8),
            node: request.u64(16),
            body: &bytes[HEADER_BYTES..],
        }
    }

    pub fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(*self.body[at..].first_chunk().expect("a whole request"))
    }

    pub fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(*self.body[at..].first_chunk().expect("a whole request"))
    }

    pub fn rest(&self, at: usize) -> &'a [u8] {
        &self.body[at..]
    }

    /// The names behind `at`, each with a zero behind it.
    pub fn names(&self, at: usize) -> impl Iterator<Item = String> + 'a {
        let names = self.body[at..].split(|byte| *byte == 0);
        names.map(|name| String::from_utf8_lossy(name).into_owned())
    }
}

/// The body of an answer.
#[derive(Default)]
pub struct Answer(Vec<u8>);

impl Answer {
    pub fn u32(mut self, value: u32) -> Answer {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Answer {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Answer {
        self.0.extend(bytes);
        self
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What goes back to the kernel.
    pub fn sealed(result: Result<Answer, i32>, unique: u64) -> Vec<u8> {
        let (error, body) = match result {
            Ok(answer) => (0, answer.0),
            Err(errno) => (-errno, Vec::new()),
        };
        let mut bytes = Vec::with_capacity(16 + body.len());
        bytes.extend((16 + body.len() as u32).to_le_bytes());
        bytes.extend(error.to_le_bytes());
        bytes.extend(unique.to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// Attributes, never to be cached.
    pub fn attributes(self, node: u64, size: u64, mode: u32) -> Answer {
        let blocks = size.div_ceil(512);
        let times = (0..3).fold(self.u64(node).u64(size).u64(blocks), |a, _| a.u64(0));
        let times = (0..3).fold(times, |a, _| a.u32(0));
        // Mode, links, owner, group, device, block size, flags.
        times.u32(mode).u32(1).u32(0).u32(0).u32(0).u32(4096).u32(0)
    }

    /// A name that was found or made.
    pub fn entry(node: u64, size: u64, mode: u32) -> Answer {
        let head = Answer::default().u64(node).u64(0);
        head.u64(0)
            .u64(0)
            .u32(0)
            .u32(0)
            .attributes(node, size, mode)
    }

    /// What the server can do.
    pub fn init(readahead: u32) -> Answer {
        const ASYNC_READ: u32 = 1;
        const BIG_WRITES: u32 = 1 << 5;
        const ASYNC_DIRECT: u32 = 1 << 15;
        const PARALLEL_DIRECTORIES: u32 = 1 << 18;
        const MAX_PAGES: u32 = 1 << 22;
        let flags = ASYNC_READ | BIG_WRITES | ASYNC_DIRECT | PARALLEL_DIRECTORIES | MAX_PAGES;
        let head = Answer::default().u32(7).u32(31).u32(readahead).u32(flags);
        // In the background 64, congested at 48; times in nanoseconds; pages of a request.
        let middle = head.u32(64 | 48 << 16).u32(WRITE_BYTES_MAX as u32).u32(1);
        let pages = middle.u32((WRITE_BYTES_MAX / 4096) as u32);
        (0..8).fold(pages, |answer, _| answer.u32(0))
    }
}
