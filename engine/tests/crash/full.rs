//! A real file system of a few megabytes that fills up and has room again, under a database that stays open.

use ringkeep::{Backend, Database};

use crate::faulty::{check_reopened, nothing_yet, write_and_fill, write_with_room};
use crate::rig::{Loop, Mounted, run, skip};

const DISK_BYTES: u64 = 64 << 20;
const BALLAST_BYTES: usize = 16 << 20;

#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn a_full_ext4_refuses_writes_and_takes_them_again() {
    if let Err(reason) = fill() {
        skip("full ext4", &reason);
    }
}

fn fill() -> Result<(), String> {
    let root = crate::folder("full-ext4");
    std::fs::create_dir_all(&root).map_err(|error| error.to_string())?;
    let image = root.join("image");
    let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
    file.set_len(DISK_BYTES)
        .map_err(|error| error.to_string())?;
    run("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()])?;
    let device = Loop::new(&image)?;
    let mounted = Mounted::new(&device.device, &root.join("fs"), "ext4")?;
    // From here on a fault is a finding.
    let (ballast, path) = (mounted.path.join("ballast"), mounted.path.join("db"));
    let mut acknowledged = nothing_yet();
    let database = Database::open(&path, crate::options(Backend::Auto)).expect("opens");
    let mut refused = 0;
    for _ in 0..3 {
        std::fs::write(&ballast, vec![7; BALLAST_BYTES]).expect("room");
        write_with_room(&database, &mut acknowledged, 10);
        refused += write_and_fill(&database, &mut acknowledged);
        std::fs::remove_file(&ballast).expect("it is there");
        write_with_room(&database, &mut acknowledged, 20);
        for fill in 0..4_000 {
            database
                .delete(format!("fill-{fill:06}"))
                .expect("deletes go on");
        }
        database.compact().expect("room to merge");
    }
    assert!(refused > 0, "the disk was never full");
    drop(database);
    check_reopened(&path, &mut acknowledged);
    mounted.unmount();
    drop(device);
    let _ = std::fs::remove_dir_all(&root);
    println!("full ext4: {refused} writes refused, nothing acknowledged lost, no reopening");
    Ok(())
}
