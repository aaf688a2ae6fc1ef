//! What a caller can choose; plain data with the defaults beside the fields.

/// How to open an [`Io`](crate::Io).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoOptions {
    /// Which door to the kernel.
    pub backend: Backend,
    /// Operations in the kernel at a time; more wait their turn. Rounded up to a power of two.
    pub ring_entries: u32,
    /// Ceiling of the registered frame pool behind [`Io::frame`](crate::Io::frame); frames beyond it are plain memory.
    pub frames_bytes: usize,
    /// What to do where direct I/O is missing or not known to be safe.
    pub direct: Direct,
}

impl Default for IoOptions {
    fn default() -> IoOptions {
        IoOptions {
            backend: Backend::Auto,
            // Flash is saturated at a few hundred outstanding operations, and a ring of this size costs 24 KiB.
            ring_entries: 256,
            frames_bytes: 64 << 20,
            direct: Direct::Required,
        }
    }
}

/// Which door to the kernel to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Backend {
    /// The ring where a probe shows that it works, the portable backend where it is denied or missing.
    #[default]
    Auto,
    /// The ring or an error.
    Ring,
    /// Blocking calls on a few threads.
    Portable,
}

/// What to do where direct I/O (past the page cache) is missing or not known to be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direct {
    /// Refuse to open files there.
    #[default]
    Required,
    /// Explicit opt-in: fall back to buffered I/O, and follow every durable write by fdatasync, because such file systems
    /// have been seen to ignore the per-write flag.
    Optional,
    /// Buffered I/O and fdatasync everywhere, even where direct I/O would work.
    Off,
}
