//! What the tests on real file systems stand on, all of it taken down again at the end: loop devices, mounts.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags};

/// Runs a program of the system; its output, or why not.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!(
            "{program} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// A file as a disk, read and written past the page cache.
pub struct Loop {
    pub device: PathBuf,
}

impl Loop {
    pub fn new(file: &Path) -> Result<Loop, String> {
        let file = file.to_str().expect("a name");
        let device = run("losetup", &["--find", "--show", "--direct-io=on", file])?;
        Ok(Loop {
            device: device.into(),
        })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run("losetup", &["--detach", &self.device.to_string_lossy()]);
    }
}

/// A file system of a device, mounted.
pub struct Mounted {
    pub path: PathBuf,
}

impl Mounted {
    pub fn new(device: &Path, path: &Path, kind: &str) -> Result<Mounted, String> {
        std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
        rustix::mount::mount(device, path, kind, MountFlags::empty(), None)
            .map_err(|error| format!("mounting {kind}: {error}"))?;
        Ok(Mounted {
            path: path.to_owned(),
        })
    }

    /// Waits until nobody uses it any more: a killed process may have writes under way.
    pub fn unmount(self) {
        drop(self);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        loop {
            match rustix::mount::unmount(&self.path, UnmountFlags::empty()) {
                Err(rustix::io::Errno::BUSY) if !std::thread::panicking() => {
                    std::thread::yield_now();
                }
                Err(_) => {
                    let _ = rustix::mount::unmount(&self.path, UnmountFlags::DETACH);
                    break;
                }
                Ok(()) => break,
            }
        }
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// Says why a test has nothing to do here.
pub fn skip(test: &str, reason: &str) {
    println!("{test}: skipped, {reason}");
}
