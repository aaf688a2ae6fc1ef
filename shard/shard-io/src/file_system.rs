//! Which file systems keep the promises that durable direct writes rest on.

use std::fmt;

use crate::Direct;

/// A file system by its magic number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileSystem {
    /// `f_type` of statfs.
    pub magic: u32,
}

/// How files of one directory are opened and how a durable write is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Access {
    pub direct: DirectOpen,
    /// Follow a durable write by fdatasync instead of trusting RWF_DSYNC.
    pub explicit_sync: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DirectOpen {
    /// Direct or an error.
    Must,
    /// Direct, and statx must report an alignment; otherwise an error.
    MustReportAlignment,
    /// Direct where the file system accepts it, else buffered.
    Try,
    Never,
    Refuse,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Direct I/O and RWF_DSYNC measured or documented to work.
    Known,
    /// As good as what lies beneath, which only the alignment report tells.
    Stacked,
    /// Memory: nothing to make durable.
    Memory,
    Unknown,
}

const NAMES: &[(u32, &str, Class)] = &[
    (0xef53, "ext4 (ext2, ext3)", Class::Known),
    (0x5846_5342, "xfs", Class::Known),
    (0x9123_683e, "btrfs", Class::Known),
    (0xf2f5_2010, "f2fs", Class::Known),
    (0x794c_7630, "overlayfs", Class::Stacked),
    (0x0102_1994, "tmpfs", Class::Memory),
    (0x8584_58f6, "ramfs", Class::Memory),
    (0x6573_5546, "fuse", Class::Unknown),
    (0x2fc1_2fc1, "zfs", Class::Unknown),
    (0xca45_1a4e, "bcachefs", Class::Unknown),
    (0x6969, "nfs", Class::Unknown),
    (0xff53_4d42, "cifs", Class::Unknown),
    (0xfe53_4d42, "smb", Class::Unknown),
    (0x0102_1997, "9p", Class::Unknown),
    (0x00c3_6400, "ceph", Class::Unknown),
    (0x0bd0_0bd0, "lustre", Class::Unknown),
    (0x4d44, "vfat", Class::Unknown),
    (0x2011_bab0, "exfat", Class::Unknown),
    (0x7366_746e, "ntfs3", Class::Unknown),
];

impl FileSystem {
    /// Its usual name, where it is a usual one.
    pub fn name(&self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    fn row(&self) -> Option<&'static (u32, &'static str, Class)> {
        NAMES.iter().find(|row| row.0 == self.magic)
    }

    pub(crate) fn is_stacked(&self) -> bool {
        self.row().is_some_and(|row| row.2 == Class::Stacked)
    }

    pub(crate) fn is_memory(&self) -> bool {
        self.row().is_some_and(|row| row.2 == Class::Memory)
    }

    pub(crate) fn access(&self, wanted: Direct) -> Access {
        let class = self.row().map_or(Class::Unknown, |row| row.2);
        let (direct, explicit_sync) = match (wanted, class) {
            // Memory has nothing to sync, so the explicit call would only cost time.
            (Direct::Off | Direct::Optional, Class::Memory) => (DirectOpen::Never, false),
            (Direct::Off, _) => (DirectOpen::Never, true),
            (Direct::Required, Class::Known) => (DirectOpen::Must, false),
            (Direct::Required, Class::Stacked) => (DirectOpen::MustReportAlignment, false),
            (Direct::Required, Class::Memory | Class::Unknown) => (DirectOpen::Refuse, false),
            (Direct::Optional, Class::Known) => (DirectOpen::Try, false),
            (Direct::Optional, Class::Stacked | Class::Unknown) => (DirectOpen::Try, true),
        };
        Access {
            direct,
            explicit_sync,
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "an unknown file system (magic {:#x})", self.magic),
        }
    }
}
