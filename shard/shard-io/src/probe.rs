//! Finds out whether the ring works here, by using it: set up, restrict, enable, a no-op and a read.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use io_uring::{IoUring, opcode, register::Restriction};

use crate::buffer::FramePool;
use crate::ring::{Ring, Setup};
use crate::{Doing, IoError, IoOptions, Result, system};

/// What was learnt on the way, for the report.
#[derive(Clone, Debug, Default)]
pub(crate) struct RingFacts {
    pub granted: Vec<&'static str>,
    pub refused: Vec<(&'static str, String)>,
    pub fixed_files: u32,
    pub chunks_max: u32,
}

/// A ring never needs more open files than this to be in its table; the others use plain descriptors.
const FIXED_FILES_MAX: u64 = 4096;
/// The kernel's own ceiling for registered buffers.
const REGISTERED_CHUNKS_MAX: usize = 1 << 14;

/// Setup flags, newest last. Kernels learnt them in this order, so on EINVAL the last one goes first.
const LADDER: [&str; 5] = [
    "R_DISABLED",
    "SUBMIT_ALL",
    "COOP_TASKRUN",
    "SINGLE_ISSUER",
    "DEFER_TASKRUN",
];

/// Every flag that there is.
pub(crate) const RUNGS_ALL: usize = LADDER.len();

/// `rungs_max` lets tests be an older kernel.
pub(crate) fn open_ring(
    io: u64,
    options: &IoOptions,
    bell: &Arc<File>,
    rungs_max: usize,
) -> Result<(Ring, RingFacts)> {
    let failed = |errno| IoError::new(errno, Doing::Setup);
    let mut facts = RingFacts::default();
    let entries = options.ring_entries.clamp(8, 4096).next_power_of_two();
    let (queues, steps) = climb(entries, rungs_max, &mut facts)?;
    let parameters = queues.params();
    if !parameters.is_feature_ext_arg() || !parameters.is_feature_nodrop() {
        return Err(failed(libc::EOPNOTSUPP));
    }
    let submitter = queues.submitter();

    let places = system::limit(libc::RLIMIT_NOFILE)
        .unwrap_or(u64::MAX)
        .min(FIXED_FILES_MAX) as u32;
    match submitter.register_files_sparse(places) {
        Ok(()) => facts.fixed_files = places,
        Err(error) => facts.refused.push(("fixed files", error.to_string())),
    }
    let chunks = (options.frames_bytes / FramePool::CHUNK_BYTES).min(REGISTERED_CHUNKS_MAX) as u32;
    if chunks > 0 {
        match submitter.register_buffers_sparse(chunks) {
            Ok(()) => facts.chunks_max = chunks,
            Err(error) => facts
                .refused
                .push(("registered buffers", error.to_string())),
        }
    }
    // Index 0 of LADDER: only a disabled ring can be restricted.
    if steps > 0 {
        match submitter.register_restrictions(&mut restrictions()) {
            Ok(()) => facts.granted.push("restrictions"),
            Err(error) => facts.refused.push(("restrictions", error.to_string())),
        }
        submitter.register_enable_rings().map_err(setup_error)?;
    }
    let registered_index = match system::register_ring(queues.as_raw_fd()) {
        Ok(index) => {
            facts.granted.push("registered ring");
            Some(index)
        }
        Err(errno) => {
            let error = std::io::Error::from_raw_os_error(errno);
            facts.refused.push(("registered ring", error.to_string()));
            None
        }
    };
    if parameters.is_feature_no_iowait() {
        facts.granted.push("NO_IOWAIT");
    }
    let setup = Setup {
        fixed_files: facts.fixed_files,
        chunks_max: facts.chunks_max,
        registered_index,
        queues,
    };
    let ring = Ring::new(io, setup, Arc::clone(bell));
    if let Err(errno) = ring.rehearse() {
        if !ring.close() {
            ring.leak();
        }
        return Err(failed(errno));
    }
    Ok((ring, facts))
}

/// Sets the ring up with as many flags as the kernel takes; also says how many of [`LADDER`] those are.
fn climb(entries: u32, rungs_max: usize, facts: &mut RingFacts) -> Result<(IoUring, usize)> {
    for steps in (0..=rungs_max).rev() {
        let mut builder = IoUring::builder();
        builder.dontfork();
        for &step in &LADDER[..steps] {
            match step {
                "R_DISABLED" => builder.setup_r_disabled(),
                "SUBMIT_ALL" => builder.setup_submit_all(),
                // The flag tells us without a call that there is work for a call: invariant 3 of the ring.
                "COOP_TASKRUN" => builder.setup_coop_taskrun().setup_taskrun_flag(),
                "SINGLE_ISSUER" => builder.setup_single_issuer(),
                _ => builder.setup_defer_taskrun(),
            };
        }
        match builder.build(entries) {
            Ok(queues) => {
                facts.granted = LADDER[..steps].to_vec();
                let refusal = "this kernel does not know it".to_owned();
                let refused = LADDER[steps..].iter().map(|&flag| (flag, refusal.clone()));
                facts.refused = refused.collect();
                return Ok((queues, steps));
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && steps > 0 => {}
            Err(error) => return Err(setup_error(error)),
        }
    }
    unreachable!("the last rung returns")
}

pub(crate) fn setup_error(error: std::io::Error) -> IoError {
    IoError::new(error.raw_os_error().unwrap_or(libc::EIO), Doing::Setup)
}

/// The operations and registrations that this crate uses; every other one the ring will refuse from now on.
fn restrictions() -> Vec<Restriction> {
    const REGISTER_BUFFERS_UPDATE: u8 = 16;
    const UNREGISTER_BUFFERS: u8 = 1;
    const REGISTER_FILES_UPDATE: u8 = 6;
    const UNREGISTER_FILES: u8 = 3;
    const REGISTER_EVENTFD: u8 = 4;
    let operations = [
        opcode::Nop::CODE,
        opcode::Read::CODE,
        opcode::ReadFixed::CODE,
        opcode::Write::CODE,
        opcode::WriteFixed::CODE,
        opcode::Fsync::CODE,
        opcode::Close::CODE,
    ];
    let registrations = [
        REGISTER_BUFFERS_UPDATE,
        UNREGISTER_BUFFERS,
        REGISTER_FILES_UPDATE,
        UNREGISTER_FILES,
        REGISTER_EVENTFD,
        system::REGISTER_RING_FDS,
        system::UNREGISTER_RING_FDS,
    ];
    const FIXED_FILE: u8 = 1 << 0;
    const ASYNC: u8 = 1 << 4;
    let operations = operations.into_iter().map(Restriction::sqe_op);
    let registrations = registrations.into_iter().map(Restriction::register_op);
    let flags = [Restriction::sqe_flags_allowed(FIXED_FILE | ASYNC)];
    operations.chain(registrations).chain(flags).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, BackendKind, Buffer, Direct, Io, OpenMode, PAGE, WriteDurability};

    fn options(backend: Backend) -> IoOptions {
        IoOptions {
            backend,
            direct: Direct::Optional,
            ..IoOptions::default()
        }
    }

    /// Also without a limit on locked memory, which would strike at any of the rings that a test opens.
    fn ring_works_here() -> bool {
        let rings = [(); 8].map(|()| Io::open(&options(Backend::Ring)));
        let failure = rings.into_iter().find_map(|ring| ring.err());
        if let Some(error) = &failure {
            eprintln!("skipping, no ring here: {error}");
        }
        failure.is_none()
    }

    /// A write, a sync and a read through frames, and a park that a bell ends.
    fn exercise(io: &Io) {
        let directory = io.directory(&std::env::temp_dir()).unwrap();
        let name = format!("ringkeep-probe-{}-{}", std::process::id(), io.id());
        let file = directory.open(&name, OpenMode::CreateNew).unwrap();
        directory.remove(&name).unwrap();
        let finish = |mut ticket: crate::Ticket| {
            loop {
                io.park(None);
                if let Some(completion) = ticket.try_take() {
                    return completion;
                }
            }
        };
        let mut frame = io.frame();
        frame.fill(9);
        let written = finish(io.write(&file, 0, frame, PAGE, WriteDurability::Durable));
        assert_eq!(written.result, Ok(PAGE));
        assert_eq!(finish(io.sync(&file)).result, Ok(0));
        let read = finish(io.read(&file, 0, Buffer::zeroed(PAGE)));
        assert_eq!(read.result, Ok(PAGE));
        assert!(read.buffer.iter().all(|&byte| byte == 9));
        io.doorbell().ring();
        io.park(None);
    }

    #[test]
    fn every_rung_works() {
        if !ring_works_here() {
            return;
        }
        for rungs in 0..=RUNGS_ALL {
            let io = Io::open_up_to(rungs, &options(Backend::Ring)).unwrap();
            let report = io.report();
            assert_eq!(report.granted[..rungs], LADDER[..rungs]);
            assert_eq!(report.granted.contains(&"restrictions"), rungs > 0);
            exercise(&io);
        }
    }

    /// Runs on a thread of its own, because a filter binds its thread for ever.
    fn where_denied(call: u32, errno: i32, check: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(move || {
            system::deny(call, errno);
            check();
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_denied_ring_is_replaced_or_explained() {
        if !ring_works_here() {
            return;
        }
        for call in [
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
        ] {
            for errno in [libc::EPERM, libc::ENOSYS] {
                where_denied(call as u32, errno, move || {
                    let io = Io::open(&options(Backend::Auto)).unwrap();
                    assert_eq!(io.report().backend, BackendKind::Portable);
                    exercise(&io);
                    let error = Io::open(&options(Backend::Ring)).unwrap_err();
                    assert_eq!(error, IoError::new(errno, Doing::Setup));
                    assert!(error.to_string().contains("Backend::Portable"), "{error}");
                    assert!(io.report().reason.contains(&error.to_string()));
                });
            }
        }
    }
}
