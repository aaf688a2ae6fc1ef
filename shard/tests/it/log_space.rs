//! How many log segments there are on disk: as many as the last flush left frames for, and one when it left none.

use ringkeep_io::{Crash, Doing, SimulatedOptions, Times};
use ringkeep_shard::{Call, Durability, Reply, ShardOptions};

use crate::world::{World, tiny_options};

const EIO: i32 = 5;

fn options() -> ShardOptions {
    ShardOptions {
        memtable_bytes: 1 << 20,
        ..tiny_options()
    }
}

fn log_files(world: &World) -> usize {
    let files = world.disk.files();
    files
        .iter()
        .filter(|(path, _)| path.contains("log-"))
        .count()
}

/// More than one segment's worth.
fn fill(world: &mut World, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let token = world.put(
            &number.to_be_bytes(),
            &[number as u8; 1000],
            Durability::Sync,
        );
        assert!(matches!(world.wait(token), Reply::Written(_)));
    }
}

#[test]
fn a_flush_that_nobody_writes_behind_leaves_one_segment() {
    let mut world = World::new(51, options(), SimulatedOptions::default());
    assert_eq!(
        log_files(&world),
        1,
        "a new shard has room for its first frames"
    );
    fill(&mut world, 0..300);
    assert!(log_files(&world) >= 5, "{} files", log_files(&world));
    world.done(Call::Flush).expect("flushes");
    world.run(10_000);
    assert_eq!((log_files(&world), world.stats().log_segments), (1, 1));
    assert_eq!(world.shard().next_deadline(), None, "and then it rests");

    fill(&mut world, 300..600);
    assert!(log_files(&world) >= 5, "it grows again");
    world.lose_power(Crash::Random);
    world.open().expect("opens");
    world.check("after a power cut in a log that had been emptied");
}

#[test]
fn an_emptied_log_says_nothing_to_the_next_opening() {
    for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random] {
        let mut world = World::new(52, options(), SimulatedOptions::default());
        fill(&mut world, 0..300);
        world.done(Call::Flush).expect("flushes");
        world.run(10_000);
        world.lose_power(crash);
        world.open().expect("opens");
        let frames = world.stats().recovered_frames;
        assert!(frames <= 16, "{frames} frames are more than a segment has");
        world.check("after a power cut with an empty log");
        fill(&mut world, 300..310);
        world.lose_power(Crash::LoseAll);
        world.open().expect("opens");
        assert!(world.stats().recovered_frames >= 10);
        world.check("after the frames behind that");
    }
}

#[test]
fn a_segment_that_cannot_be_removed_is_in_nobodys_way() {
    let mut world = World::new(53, options(), SimulatedOptions::default());
    fill(&mut world, 0..300);
    world.disk.fail_next(Doing::Remove, EIO, Times::Always);
    world.done(Call::Flush).expect("flushes");
    world.run(10_000);
    assert_eq!(world.stats().log_segments, 1);
    assert!(log_files(&world) >= 5, "they are still there");
    world.disk.heal();
    fill(&mut world, 300..600);
    world.lose_power(Crash::Random);
    world.open().expect("opens");
    world.check("after files of the same names were made anew");
    world.run(10_000);
    assert_eq!(log_files(&world) as u64, world.stats().log_segments);
}

/// With its header, the second frame of half a segment each had to go into the next one, and left half of every segment unused.
#[test]
fn two_frames_of_the_largest_size_fit_into_a_segment() {
    for memory_bytes in [1 << 20, 128 << 20] {
        let options = ShardOptions {
            warm: false,
            ..ShardOptions::for_budget(memory_bytes)
        };
        let two_frames = 2 * options.group_bytes - 200;
        let mut world = World::new(54, options, SimulatedOptions::default());
        let token = world.put(b"key", &vec![7; two_frames], Durability::Sync);
        assert!(matches!(world.wait(token), Reply::Written(_)));
        let stats = world.stats();
        assert_eq!(stats.log_frames, 2);
        assert!(stats.log_bytes <= world.options.segment_bytes);
        world.run(1000);
        let next = world.disk.read_raw("/shard/log-0001");
        let epoch = 40..48;
        let is_unused = next.is_none_or(|next| next[epoch].iter().all(|byte| *byte == 0));
        assert!(is_unused, "of {memory_bytes} bytes of memory");
    }
}
