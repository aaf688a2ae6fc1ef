//! The hardened build: what was freed cannot be touched.

use ringkeep_io::{Backend, Buffer, Io, PAGE};

use crate::rig::options;

/// What the process may do with the page of a buffer, as the kernel says it.
fn access(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        (number(from)..number(to))
            .contains(&address)
            .then_some(rest)
    });
    line.map_or("unmapped", |rest| &rest[..4]).to_string()
}

#[test]
fn a_freed_buffer_faults() {
    let buffer = Buffer::zeroed(3 * PAGE);
    let address = buffer.as_ptr() as usize;
    assert_eq!(access(address + 2 * PAGE), "rw-p");
    drop(buffer);
    assert_eq!(access(address), "---p");
    assert_eq!(access(address + 2 * PAGE), "---p");
}

#[test]
fn a_freed_frame_faults_until_it_is_handed_out_again() {
    let io = Io::open(&options(Backend::Auto)).unwrap();
    let frame = io.frame();
    assert!(!frame.is_registered());
    let address = frame.as_ptr() as usize;
    drop(frame);
    assert_eq!(access(address), "---p");
    let all = options(Backend::Auto).frames_bytes / PAGE;
    let frames: Vec<Buffer> = (0..all).map(|_| io.frame()).collect();
    assert!(
        frames
            .iter()
            .any(|frame| frame.as_ptr() as usize == address)
    );
    assert_eq!(access(address), "rw-p");
}
