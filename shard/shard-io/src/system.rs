//! Blocking system calls behind safe signatures; errors are plain errnos.

#![allow(
    unsafe_code,
    reason = "every call here crosses into libc; pointers live for the call only"
)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::Nanos;

/// Success, or the errno.
pub(crate) type Answer<T> = Result<T, i32>;

pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

fn check(result: libc::c_int) -> Answer<libc::c_int> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

fn uninterrupted(mut call: impl FnMut() -> libc::c_int) -> Answer<libc::c_int> {
    loop {
        match check(call()) {
            Err(libc::EINTR) => continue,
            answer => return answer,
        }
    }
}

fn clock(id: libc::clockid_t) -> Nanos {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is valid for one timespec, which the call fills on success.
    let time = unsafe {
        let result = libc::clock_gettime(id, time.as_mut_ptr());
        assert_eq!(result, 0, "the clock is always there");
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub(crate) fn monotonic() -> Nanos {
    clock(libc::CLOCK_MONOTONIC)
}

pub(crate) fn wall_clock() -> Nanos {
    clock(libc::CLOCK_REALTIME)
}

/// Opens relative to `directory`, or to the current directory when there is none. Always close-on-exec.
pub(crate) fn open_at(
    directory: Option<BorrowedFd<'_>>,
    name: &CStr,
    flags: i32,
    mode: u32,
) -> Answer<OwnedFd> {
    let at = directory.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    let fd = uninterrupted(|| unsafe {
        libc::openat(
            at,
            name.as_ptr(),
            flags | libc::O_CLOEXEC,
            mode as libc::c_uint,
        )
    })?;
    // SAFETY: the call just returned this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn remove_at(directory: BorrowedFd<'_>, name: &CStr) -> Answer<()> {
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    uninterrupted(|| unsafe { libc::unlinkat(directory.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

pub(crate) fn rename_at(directory: BorrowedFd<'_>, from: &CStr, to: &CStr) -> Answer<()> {
    let at = directory.as_raw_fd();
    // SAFETY: both names are NUL-terminated strings that outlive the call.
    uninterrupted(|| unsafe { libc::renameat(at, from.as_ptr(), at, to.as_ptr()) }).map(drop)
}

pub(crate) fn make_directory_at(directory: BorrowedFd<'_>, name: &CStr, mode: u32) -> Answer<()> {
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    uninterrupted(|| unsafe { libc::mkdirat(directory.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

pub(crate) fn fsync(fd: BorrowedFd<'_>) -> Answer<()> {
    // SAFETY: takes no pointer. Not repeated on EINTR: a sync that failed once must be seen.
    check(unsafe { libc::fsync(fd.as_raw_fd()) }).map(drop)
}

/// Every name in the directory but itself and its parent, unsorted.
pub(crate) fn names(directory: BorrowedFd<'_>) -> Answer<Vec<String>> {
    // A description of its own, because reading moves the position that duplicates would share.
    let own = open_at(Some(directory), c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    // SAFETY: fdopendir takes over the descriptor on success; on failure it leaks, which EMFILE-like errors only can cause.
    let stream = unsafe { libc::fdopendir(own.into_raw_fd()) };
    if stream.is_null() {
        return Err(errno());
    }
    let mut names = Vec::new();
    let outcome = loop {
        // SAFETY: errno is this thread's own; `stream` is open; an entry is valid until the next readdir.
        let name = unsafe {
            *libc::__errno_location() = 0;
            let entry = libc::readdir(stream);
            if entry.is_null() {
                break errno();
            }
            CStr::from_ptr((*entry).d_name.as_ptr())
        };
        if name != c"." && name != c".." {
            names.push(name.to_string_lossy().into_owned());
        }
    };
    // SAFETY: `stream` is open and used no more.
    unsafe { libc::closedir(stream) };
    if outcome == 0 {
        Ok(names)
    } else {
        Err(outcome)
    }
}

pub(crate) fn size(fd: BorrowedFd<'_>) -> Answer<u64> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is valid for one stat, which the call fills on success.
    unsafe {
        check(libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()))?;
        Ok(stat.assume_init().st_size as u64)
    }
}

pub(crate) fn truncate(fd: BorrowedFd<'_>, bytes: u64) -> Answer<()> {
    // SAFETY: takes no pointer.
    uninterrupted(|| unsafe { libc::ftruncate(fd.as_raw_fd(), bytes as libc::off_t) }).map(drop)
}

/// Reserves blocks from the start of the file and extends its size.
pub(crate) fn allocate(fd: BorrowedFd<'_>, bytes: u64) -> Answer<()> {
    // SAFETY: takes no pointer.
    uninterrupted(|| unsafe { libc::fallocate(fd.as_raw_fd(), 0, 0, bytes as libc::off_t) })
        .map(drop)
}

pub(crate) struct FileSystemState {
    pub magic: u32,
    pub free_bytes: u64,
}

pub(crate) fn file_system(fd: BorrowedFd<'_>) -> Answer<FileSystemState> {
    let mut state = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `state` is valid for one statfs, which the call fills on success.
    let state = unsafe {
        check(libc::fstatfs(fd.as_raw_fd(), state.as_mut_ptr()))?;
        state.assume_init()
    };
    Ok(FileSystemState {
        magic: state.f_type as u32,
        free_bytes: (state.f_bavail as u64).saturating_mul(state.f_bsize as u64),
    })
}

/// Memory and offset alignment for direct I/O, where the kernel reports them for this file.
pub(crate) fn direct_alignment(fd: BorrowedFd<'_>) -> Option<(u32, u32)> {
    // STATX_DIOALIGN and the two fields that it fills; older C libraries lack the names.
    const STATX_DIOALIGN: u32 = 0x2000;
    let mut state = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the empty path means the descriptor itself; `state` is valid for one statx and all-zero is a valid one.
    let state = unsafe {
        let result = libc::statx(
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            STATX_DIOALIGN,
            state.as_mut_ptr(),
        );
        if result < 0 {
            return None;
        }
        state.assume_init()
    };
    let reported = state.stx_mask & STATX_DIOALIGN != 0 && state.stx_dio_offset_align != 0;
    reported.then_some((state.stx_dio_mem_align, state.stx_dio_offset_align))
}

pub(crate) fn eventfd() -> Answer<File> {
    // Blocking, because io_uring before 6.0 answers a read of an empty non-blocking one at once instead of waiting.
    // SAFETY: takes no pointer; the descriptor is fresh and owned by nobody else.
    unsafe {
        let fd = check(libc::eventfd(0, libc::EFD_CLOEXEC))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// Waits until `fd` is readable, the timeout is over or a signal arrives; true when readable.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<Nanos>) -> bool {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let timeout = timeout.map(|nanos| libc::timespec {
        tv_sec: (nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), |time| time as *const _);
    // SAFETY: one pollfd, a timespec or null, and no signal mask; all outlive the call.
    let result = unsafe { libc::ppoll(&mut poll, 1, timeout, std::ptr::null()) };
    result > 0
}

/// The soft limit of a resource; `None` when unlimited.
pub(crate) fn limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for one rlimit.
    let result = unsafe { libc::getrlimit(resource, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

pub(crate) fn kernel_release() -> String {
    let mut names = MaybeUninit::<libc::utsname>::uninit();
    // SAFETY: `names` is valid for one utsname, which the call fills with NUL-terminated strings on success.
    unsafe {
        if libc::uname(names.as_mut_ptr()) != 0 {
            return "unknown".to_owned();
        }
        let names = names.assume_init();
        CStr::from_ptr(names.release.as_ptr())
            .to_string_lossy()
            .into_owned()
    }
}

pub(crate) const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_EXT_ARG: u32 = 1 << 3;
pub(crate) const ENTER_REGISTERED_RING: u32 = 1 << 4;
pub(crate) const ENTER_NO_IOWAIT: u32 = 1 << 7;

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct EnterArgument {
    sigmask: u64,
    sigmask_size: u32,
    min_wait_micros: u32,
    time: u64,
}

/// Submits entries of a ring and waits for completions. `ring` is a descriptor, or a registered index with its flag.
/// The caller answers for what the entries point to; it did so when it queued them.
pub(crate) fn enter_ring(
    ring: RawFd,
    submit: u32,
    wait: u32,
    flags: u32,
    timeout: Option<Nanos>,
) -> Answer<()> {
    let time = timeout.map(|nanos| {
        [
            (nanos / 1_000_000_000) as i64,
            (nanos % 1_000_000_000) as i64,
        ]
    });
    let argument = EnterArgument {
        sigmask: 0,
        sigmask_size: 0,
        min_wait_micros: 0,
        time: time.as_ref().map_or(0, |time| time.as_ptr() as u64),
    };
    // SAFETY: `argument` and the kernel timespec (two i64) that it points to outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring,
            submit,
            wait,
            flags | ENTER_EXT_ARG,
            std::ptr::from_ref(&argument),
            size_of::<EnterArgument>(),
        )
    };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct RingUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

pub(crate) const REGISTER_RING_FDS: u8 = 20;
pub(crate) const UNREGISTER_RING_FDS: u8 = 21;

/// Registers a ring with this thread, which saves each enter the descriptor lookup; returns its index. The io-uring
/// crate's own call keeps the index inside a borrowed submitter, where it cannot live as long as the ring.
pub(crate) fn register_ring(ring: RawFd) -> Answer<u32> {
    let mut update = RingUpdate {
        offset: u32::MAX,
        reserved: 0,
        data: ring as u64,
    };
    update_ring(ring, REGISTER_RING_FDS, &mut update)?;
    Ok(update.offset)
}

pub(crate) fn unregister_ring(ring: RawFd, index: u32) {
    let mut update = RingUpdate {
        offset: index,
        reserved: 0,
        data: 0,
    };
    // Failing leaves the ring to go away with its thread.
    let _ = update_ring(ring, UNREGISTER_RING_FDS, &mut update);
}

fn update_ring(ring: RawFd, code: u8, update: &mut RingUpdate) -> Answer<()> {
    // SAFETY: one update of the kernel's layout, exclusive for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            u32::from(code),
            std::ptr::from_mut(update),
            1u32,
        )
    };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// A name for the kernel; EINVAL when it holds a NUL.
pub(crate) fn c_string(name: impl Into<Vec<u8>>) -> Answer<CString> {
    CString::new(name).map_err(|_| libc::EINVAL)
}

/// Makes one system call fail on this thread for ever, as container profiles do.
#[cfg(test)]
pub(crate) fn deny(call: u32, errno: i32) {
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    // The call's number is the first word of what the filter sees.
    let mut steps = [
        step(LOAD_WORD, 0, 0, 0),
        step(JUMP_EQUAL, call, 0, 1),
        step(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program and its steps outlive the calls; the kernel copies them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}
