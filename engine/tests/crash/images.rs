//! Crash images of a real file system: a child writes to ext4 or XFS on a loop device, and beneath it lies a file
//! that records every write and every flush. At any point of that record the power may have gone: what was flushed
//! is there, of the rest nothing, all, or some sectors. Each such disk is mounted, which replays the file system's
//! journal, and the database on it is opened and compared with what the child had been answered by then.

use std::path::{Path, PathBuf};

use ringkeep::{Backend, Database};

use crate::fuse::Mount;
use crate::fuse::content::{Content, Write};
use crate::fuse::disk::Event;
use crate::random::Random;
use crate::record::{self, Acknowledgement, PAIR_WRITERS, WRITERS};
use crate::rig::{Loop, Mounted, run, skip};

const IMAGES: usize = 40;
/// How often a child that asks for nothing durable is tried: its images must lose something, or they show no loss.
const CONTROLS: u32 = 10;
/// Of each.
const CONTROL_IMAGES: usize = 9;
/// Answers to wait for: by then memtables were written out and segments reused.
const ANSWERS: usize = 6_000;

struct Kind {
    name: &'static str,
    make: &'static [&'static str],
    bytes: u64,
    /// Than ext4 is, at being mounted.
    slower: usize,
}

const EXT4: Kind = Kind {
    name: "ext4",
    make: &["-q", "-F", "-E", "nodiscard,lazy_itable_init=0"],
    bytes: 96 << 20,
    slower: 1,
};
const XFS: Kind = Kind {
    name: "xfs",
    make: &["-q", "-f", "-K"],
    bytes: 320 << 20,
    slower: 10,
};

#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn every_crash_image_of_ext4_has_what_was_acknowledged() {
    check(&EXT4);
}

#[test]
#[ignore = "as root only: it mounts file systems; `.ci/run faults` runs it"]
fn every_crash_image_of_xfs_has_what_was_acknowledged() {
    check(&XFS);
}

fn check(kind: &Kind) {
    let wanted = std::env::var("RINGKEEP_CRASH_IMAGES");
    let wanted = wanted.ok().and_then(|text| text.parse().ok());
    let wanted = wanted.unwrap_or(IMAGES).div_ceil(kind.slower);
    let both = || {
        let lost = images(kind, "durable", wanted)?;
        assert_eq!(lost, 0);
        for _ in 1..CONTROLS {
            let lost = images(kind, "buffered", CONTROL_IMAGES)?;
            if lost > 0 {
                return Ok(lost);
            }
        }
        images(kind, "buffered", CONTROL_IMAGES)
    };
    match both() {
        Ok(lost) => {
            assert!(
                lost > 0,
                "without syncs nothing is lost: these images show no loss"
            );
            println!("{}: {wanted} images, nothing lost", kind.name);
            println!(
                "{}: without syncs {lost} of {CONTROL_IMAGES} lose something",
                kind.name
            );
        }
        Err(reason) => skip(kind.name, &reason),
    }
}

/// In how many images something acknowledged is lost; or why this machine cannot.
fn images(kind: &Kind, promise: &'static str, wanted: usize) -> Result<usize, String> {
    let root = crate::folder(&format!("images-{}", kind.name));
    let mount = Mount::new(&root.join("disk"))?;
    let disk_file = mount.path().join("disk");
    let node = mount.disk().put("disk", Content::of_size(kind.bytes));
    mount.disk().put("image", Content::of_size(kind.bytes));
    let device = Loop::new(&disk_file)?;
    let make = format!("mkfs.{}", kind.name);
    let name = device.device.to_string_lossy().into_owned();
    run(&make, &[kind.make, &[&name]].concat())?;
    let mounted = Mounted::new(&device.device, &root.join("fs"), kind.name)?;
    // From here on a fault is a finding.
    let made = mount.disk().content_of(node);
    mount.disk().record = Some((node, Vec::new()));
    let answers = write(&mount, &mounted.path.join("db"), promise);
    let (_, events) = mount.disk().record.take().expect("the record");
    mounted.unmount();
    drop(device);
    let images = Images {
        mount: &mount,
        at: root.join("image-fs"),
        device: Loop::new(&mount.path().join("image"))?,
        kind,
        promise,
        answers,
    };
    let lost = images.all(made, &events, wanted);
    drop(images);
    drop(mount);
    let _ = std::fs::remove_dir_all(&root);
    Ok(lost)
}

/// The child's answers, each with the events recorded when it had come.
fn write(mount: &Mount, path: &Path, promise: &str) -> Vec<(usize, Acknowledgement)> {
    let events = || {
        mount
            .disk()
            .record
            .as_ref()
            .map_or(0, |record| record.1.len())
    };
    let mut child = crate::start(path, "auto", 0, Some(promise));
    let pipe = child.stdout.take().expect("its output");
    let count = std::sync::atomic::AtomicUsize::new(0);
    let count_up = || count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            record::read_stamped(pipe, || {
                count_up();
                events()
            })
        });
        while count.load(std::sync::atomic::Ordering::Relaxed) < ANSWERS {
            assert!(child.try_wait().expect("its state").is_none(), "it writes");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().expect("to kill it");
        child.wait().expect("its end");
        reader.join().expect("the reader")
    })
}

struct Images<'a> {
    mount: &'a Mount,
    at: PathBuf,
    device: Loop,
    kind: &'a Kind,
    promise: &'static str,
    answers: Vec<(usize, Acknowledgement)>,
}

impl Images<'_> {
    /// Looks at as many images as are wanted, at places of the record drawn from a seed.
    fn all(&self, mut flushed: Content, events: &[Event], wanted: usize) -> usize {
        let mut random = Random::from_environment();
        // Before its first answer there is little to lose.
        let first = self.answers[0].0;
        let span = (events.len() - first) as u64;
        let mut cuts: Vec<usize> = (0..wanted)
            .map(|_| first + random.below(span) as usize)
            .collect();
        cuts.sort_unstable();
        let (mut done, mut pending, mut lost) = (0, Vec::<Write>::new(), 0);
        for (image, cut) in cuts.into_iter().enumerate() {
            for event in &events[done..cut] {
                match event {
                    Event::Write(write) => pending.push(write.clone()),
                    Event::Flush => {
                        for write in pending.drain(..) {
                            flushed.write(write.offset, &write.bytes);
                        }
                    }
                }
            }
            done = cut;
            let mut content = flushed.clone();
            for write in &pending {
                match image % 3 {
                    0 => {}
                    1 => content.write(write.offset, &write.bytes),
                    _ => content.write_torn(write, || random.below(2) == 0),
                }
            }
            let damage = ["nothing", "all", "some sectors"][image % 3];
            let story = format!("cut at {cut}, with {damage} of {} writes", pending.len());
            self.mount.disk().put("image", content);
            lost += usize::from(self.look(cut, &story));
        }
        println!(
            "{}, {}: {wanted} images of {} events and {} answers",
            self.kind.name,
            self.promise,
            events.len(),
            self.answers.len()
        );
        lost
    }

    /// Whether something acknowledged was lost.
    fn look(&self, cut: usize, story: &str) -> bool {
        let mounted = Mounted::new(&self.device.device, &self.at, self.kind.name)
            .unwrap_or_else(|error| panic!("{story}: {error}"));
        let database = Database::open(mounted.path.join("db"), crate::options(Backend::Auto))
            .unwrap_or_else(|error| panic!("{story}: {error}"));
        let mut lost = false;
        for writer in 0..WRITERS + PAIR_WRITERS {
            let by = self.answers.iter().filter(|answer| answer.0 <= cut);
            let by = by.filter(|answer| answer.1.writer == writer);
            let acknowledged = by.map(|answer| answer.1.count).max().unwrap_or(0);
            let counts = record::counts(&database, writer);
            let newest = counts.iter().flatten().copied().max().unwrap_or(0);
            if self.promise == "buffered" {
                lost |= newest < acknowledged;
                continue;
            }
            assert!(
                newest >= acknowledged,
                "{story}: {newest} of writer {writer} is there, {acknowledged} was acknowledged"
            );
            record::assert_whole(writer, newest, &counts);
        }
        drop(database);
        mounted.unmount();
        lost
    }
}
