//! A small file system in this process, which keeps apart what was written and what was made durable.
//!
//! The kernel asks through `/dev/fuse`; nothing but the standard library and the mount call stands between. It has
//! the faults that no real disk shows on demand, and it can be one file that a loop device makes a disk of.

pub mod content;
pub mod disk;
mod wire;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::Disk;
use wire::{Answer, Request};

/// Requests that are served at a time.
const SERVERS: usize = 8;

/// A mounted file system; unmounted at its end.
pub struct Mount {
    path: PathBuf,
    disk: Arc<Mutex<Disk>>,
}

impl Mount {
    /// Mounts an empty one on a new folder; or why that cannot be.
    pub fn new(path: &Path) -> Result<Mount, String> {
        std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(|error| format!("/dev/fuse: {error}"))?;
        let data = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let data = std::ffi::CString::new(data).expect("no zero in it");
        let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
        rustix::mount::mount("ringkeep", path, "fuse", flags, Some(data.as_c_str()))
            .map_err(|error| format!("mounting FUSE: {error}"))?;
        let disk = Arc::new(Mutex::new(Disk::new()));
        for _ in 0..SERVERS {
            let device = device.try_clone().expect("a descriptor");
            let disk = Arc::clone(&disk);
            std::thread::spawn(move || serve(device, &disk));
        }
        Ok(Mount {
            path: path.to_owned(),
            disk,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Detached: a failed test may have left files open.
        let _ = rustix::mount::unmount(&self.path, rustix::mount::UnmountFlags::DETACH);
        let _ = std::fs::remove_dir(&self.path);
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the file system is unmounted.
fn serve(mut device: File, disk: &Mutex<Disk>) {
    let mut bytes = vec![0; wire::REQUEST_BYTES_MAX];
    loop {
        let length = match device.read(&mut bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            // A request that was taken back before it was read.
            Err(error) if error.raw_os_error() == Some(2) => continue,
            Err(_) => return,
        };
        let request = Request::parse(&bytes[..length]);
        if [wire::FORGET, wire::BATCH_FORGET, wire::INTERRUPT].contains(&request.opcode) {
            continue;
        }
        if request.opcode == wire::WRITE {
            let delay = {
                let mut disk = lock(disk);
                disk.in_flight.insert(request.unique);
                disk.delay
            };
            // A slow device: the write is asked for and has not landed.
            std::thread::sleep(delay);
        }
        let result = {
            let mut disk = lock(disk);
            if request.opcode == wire::WRITE {
                disk.in_flight.remove(&request.unique);
            }
            disk.answer(&request)
        };
        // Nobody waits for the answer if the process is gone.
        let _ = device.write_all(&Answer::sealed(result, request.unique));
    }
}
