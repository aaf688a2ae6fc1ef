//! The door to the kernel: what an operation costs beside the device, by backend and depth. Reads of pages that the
//! kernel has cached, so that no device answers.

use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringkeep_io::{
    Backend, Buffer, Direct, File, Io, IoOptions, OpenMode, PAGE, Ticket, WriteDurability,
};

const PAGES: u64 = 1024;

/// Gone with the bench.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn finish(io: &Io, mut ticket: Ticket) -> Buffer {
    loop {
        io.turn();
        if let Some(done) = ticket.try_take() {
            assert!(done.result.is_ok(), "{:?}", done.result);
            return done.buffer;
        }
        io.park(None);
    }
}

fn filled(io: &Io, folder: &Folder) -> File {
    let directory = io.directory(&folder.0).expect("the folder");
    let file = directory.open("pages", OpenMode::CreateNew);
    let file = file.expect("a new file");
    let all = Buffer::zeroed(PAGES as usize * PAGE);
    let length = all.len();
    finish(io, io.write(&file, 0, all, length, WriteDurability::Cached));
    file
}

fn reads(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_cached_page");
    for (name, backend) in [("ring", Backend::Ring), ("portable", Backend::Portable)] {
        let options = IoOptions {
            backend,
            direct: Direct::Off,
            ..IoOptions::default()
        };
        // A kernel or a container without the ring is no fault of the bench.
        let Ok(io) = Io::open(&options) else {
            eprintln!("{name}: not available here");
            continue;
        };
        let path = std::env::temp_dir().join(format!("ringkeep-door-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("room for a folder");
        let folder = Folder(path);
        let file = filled(&io, &folder);
        let mut page = 0;
        for depth in [1usize, 32] {
            let mut buffers: Vec<Buffer> = (0..depth).map(|_| io.frame()).collect();
            group.throughput(Throughput::Elements(depth as u64));
            group.bench_function(BenchmarkId::new(name, depth), |b| {
                b.iter(|| {
                    let tickets = buffers.drain(..).map(|buffer| {
                        page = (page + 7919) % PAGES;
                        io.read(&file, page * PAGE as u64, buffer)
                    });
                    let tickets: Vec<Ticket> = tickets.collect();
                    buffers.extend(tickets.into_iter().map(|ticket| finish(&io, ticket)));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, reads);
criterion_main!(benches);
