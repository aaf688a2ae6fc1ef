//! Names, sizes and space, on every backend.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ringkeep_io::{Backend, Direct, Doing, Io, IoError, IoOptions, OpenMode, PAGE};

use crate::rig::{Folder, every, options, real};

#[test]
fn names_come_and_go() {
    for rig in every() {
        let directory = &rig.directory;
        assert_eq!(directory.list(), Ok(vec![]));
        directory.open("b", OpenMode::CreateNew).unwrap();
        directory.open("a", OpenMode::CreateNew).unwrap();
        let error = directory.open("a", OpenMode::CreateNew).unwrap_err();
        assert!(error.is_present(), "{error}");
        let error = directory.open("c", OpenMode::ReadWrite).unwrap_err();
        assert!(error.is_missing(), "{error}");
        directory.create_directory("sub").unwrap();
        assert!(directory.create_directory("sub").unwrap_err().is_present());
        directory.rename("b", "c").unwrap();
        assert_eq!(
            directory.list(),
            Ok(vec!["a".into(), "c".into(), "sub".into()])
        );
        directory.rename("a", "c").unwrap();
        assert!(directory.rename("a", "c").unwrap_err().is_missing());
        assert_eq!(directory.list(), Ok(vec!["c".into(), "sub".into()]));
        directory.sync().unwrap();
        directory.remove("c").unwrap();
        assert!(directory.remove("c").unwrap_err().is_missing());
        assert!(directory.free_bytes().unwrap() > 0);
        let sub = directory.directory("sub").unwrap();
        sub.open("deep", OpenMode::CreateNew).unwrap();
        assert_eq!(sub.list(), Ok(vec!["deep".into()]), "{}", rig.name);
        assert!(directory.directory("none").unwrap_err().is_missing());
    }
}

#[test]
fn no_name_leads_out_of_its_directory() {
    for rig in every() {
        for name in ["", ".", "..", "a/b", "/etc/passwd", "../x", "nul\0"] {
            if name.contains('\0') && rig.name == "simulated" {
                continue;
            }
            for mode in [OpenMode::Read, OpenMode::CreateNew] {
                let error = rig.directory.open(name, mode).unwrap_err();
                assert_eq!(error.errno, libc::EINVAL, "{}: {name:?}", rig.name);
            }
            assert_eq!(rig.directory.remove(name).unwrap_err().errno, libc::EINVAL);
            assert_eq!(
                rig.directory.rename("a", name).unwrap_err().errno,
                libc::EINVAL
            );
            assert_eq!(
                rig.directory.directory(name).unwrap_err().errno,
                libc::EINVAL
            );
            assert_eq!(
                rig.directory.create_directory(name).unwrap_err().errno,
                libc::EINVAL
            );
        }
    }
}

#[test]
fn symbolic_links_inside_are_not_followed() {
    for rig in real() {
        let inside = &rig.folder().0;
        std::fs::write(inside.join("target"), b"x").unwrap();
        std::os::unix::fs::symlink("target", inside.join("link")).unwrap();
        std::os::unix::fs::symlink(".", inside.join("loop")).unwrap();
        let error = rig.directory.open("link", OpenMode::ReadWrite).unwrap_err();
        assert_eq!(error.errno, libc::ELOOP);
        assert!(error.to_string().contains("symbolic links"), "{error}");
        assert!(rig.directory.directory("loop").is_err());
    }
}

#[test]
fn what_is_created_is_private() {
    use std::os::unix::fs::PermissionsExt;
    for rig in real() {
        rig.directory.open("file", OpenMode::CreateNew).unwrap();
        rig.directory.create_directory("sub").unwrap();
        for (name, expected) in [("file", 0o600), ("sub", 0o700)] {
            let mode = std::fs::metadata(rig.folder().0.join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, expected, "{name}");
        }
    }
}

#[test]
fn sizes_change_on_request() {
    for rig in every() {
        let file = rig.directory.open("sized", OpenMode::CreateNew).unwrap();
        assert_eq!(file.size(), Ok(0));
        file.truncate(3 * PAGE as u64).unwrap();
        assert_eq!(file.size(), Ok(3 * PAGE as u64));
        file.truncate(5).unwrap();
        assert_eq!(file.size(), Ok(5));
        file.allocate(8 * PAGE as u64).unwrap();
        // Where a file system cannot allocate, that is no error and the size stays.
        assert!(
            [5, 8 * PAGE as u64].contains(&file.size().unwrap()),
            "{}",
            rig.name
        );
    }
}

#[test]
fn the_report_says_how_files_are_accessed() {
    for rig in real() {
        rig.directory.open("file", OpenMode::CreateNew).unwrap();
        let report = rig.io.report();
        assert_eq!(report.directories.len(), 1);
        assert!(report.directories[0].direct.is_some());
        let text = report.to_string();
        for word in ["kernel", "backend", "directory", "durable write"] {
            assert!(
                text.contains(word) || text.contains("power loss"),
                "{word} in\n{text}"
            );
        }
    }
}

#[test]
fn memory_is_no_place_for_a_database_unless_asked_for() {
    let shm = Path::new("/dev/shm");
    let open = |direct| {
        let io = Io::open(&IoOptions {
            direct,
            ..options(Backend::Auto)
        })
        .unwrap();
        let directory = io.directory(shm)?;
        let file = directory.open(
            &format!("ringkeep-{}", std::process::id()),
            OpenMode::CreateNew,
        )?;
        directory.remove(&format!("ringkeep-{}", std::process::id()))?;
        file.size()
    };
    let Err(error) = open(Direct::Required) else {
        return eprintln!("skipping: /dev/shm is not in memory here");
    };
    if error.is_missing() || error.is_forbidden() {
        return eprintln!("skipping: no usable /dev/shm here");
    }
    assert!(
        matches!(error.doing, Doing::OpenDirect(system) if system.name() == Some("tmpfs")),
        "{error}"
    );
    assert!(error.to_string().contains("tmpfs") && error.to_string().contains("Direct::Optional"));
    assert_eq!(open(Direct::Optional), Ok(0));
}

#[test]
fn buffered_access_follows_durable_writes_by_a_sync() {
    for backend in [Backend::Auto, Backend::Portable] {
        let folder = Folder::new();
        let direct = Direct::Off;
        let io = Io::open(&IoOptions {
            direct,
            ..options(backend)
        })
        .unwrap();
        let directory = io.directory(&folder.0).unwrap();
        let file = directory.open("file", OpenMode::CreateNew).unwrap();
        let durable = ringkeep_io::WriteDurability::Durable;
        let write = io.write(&file, 0, crate::rig::filled(PAGE, 4), PAGE, durable);
        assert_eq!(crate::rig::finish(&io, write).result, Ok(PAGE));
        let facts = &io.report().directories[0];
        assert_eq!(facts.direct, Some(false));
        assert!(facts.explicit_sync || facts.file_system.name() == Some("tmpfs"));
        assert_eq!(std::fs::read(folder.0.join("file")).unwrap(), vec![4; PAGE]);
    }
}

#[test]
fn errors_say_what_was_being_done_and_what_to_do() {
    for (errno, doing, words) in [
        (
            libc::ENOSPC,
            Doing::Write,
            ["writing", "No space left", "free some space"],
        ),
        (
            libc::EFBIG,
            Doing::Write,
            ["writing", "too large", "ulimit -f"],
        ),
        (
            libc::EMFILE,
            Doing::Open,
            ["opening", "open files", "ulimit -n"],
        ),
        (
            libc::EIO,
            Doing::Sync,
            ["syncing a file", "Input/output", "kernel log"],
        ),
        (
            libc::EPERM,
            Doing::Setup,
            ["setting up", "not permitted", "seccomp"],
        ),
        (
            libc::ENOMEM,
            Doing::Setup,
            ["setting up", "memory", "ulimit -l"],
        ),
    ] {
        let text = IoError::new(errno, doing).to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
}

/// The last close of a file whose name is gone frees its space, and took tens of milliseconds on the thread of a shard.
#[test]
fn files_are_closed_elsewhere_and_none_is_left_open() {
    for rig in real() {
        let open = |prefix: &str| -> Vec<_> {
            let name = |number| format!("{prefix}{number}");
            let create = |number| rig.directory.open(&name(number), OpenMode::CreateNew);
            (0..40).map(|number| create(number).unwrap()).collect()
        };
        drop(open("turned"));
        // A worker of the portable door may be that quick.
        assert!(rig.name != "ring" || open_below(&rig.folder().0) == 40);
        let patience = Instant::now() + Duration::from_secs(60);
        while open_below(&rig.folder().0) > 0 {
            assert!(Instant::now() < patience, "{} never closes them", rig.name);
            rig.io.park(Some(rig.io.now() + 1_000_000));
            rig.io.turn();
        }
        drop(open("on its way"));
        rig.io.turn();
        drop(open("not begun"));
        let (name, folder) = (rig.name, rig.into_folder());
        assert_eq!(open_below(&folder.0), 0, "{name}");
    }
}

/// Open files in a folder.
fn open_below(folder: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    let below = |target: &PathBuf| target.starts_with(folder) && target != folder;
    targets.filter(below).count()
}

#[test]
fn names_are_made_durable_without_blocking() {
    for rig in every() {
        let mut synced = pin!(rig.directory.synced());
        let mut poll = || {
            synced
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        };
        let result = loop {
            match poll() {
                Poll::Ready(result) => break result,
                Poll::Pending => rig.io.park(None),
            }
            rig.io.turn();
        };
        assert_eq!(result, Ok(()), "{}", rig.name);
    }
}
