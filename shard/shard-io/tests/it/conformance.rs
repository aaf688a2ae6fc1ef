//! The same promises on every backend.

use ringkeep_io::{Buffer, OpenMode, PAGE, WriteDurability};

use crate::rig::{every, filled, finish};

#[test]
fn what_was_written_is_read_back() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("data", OpenMode::CreateNew).unwrap();
        for (durability, byte) in [(WriteDurability::Cached, 1), (WriteDurability::Durable, 2)] {
            let offset = u64::from(byte) * 4 * PAGE as u64;
            let ticket = io.write(&file, offset, filled(3 * PAGE, byte), 2 * PAGE, durability);
            let written = finish(io, ticket);
            assert_eq!(written.result, Ok(2 * PAGE), "{}", rig.name);
            assert_eq!(written.buffer.len(), 3 * PAGE);
            let read = finish(io, io.read(&file, offset, Buffer::zeroed(2 * PAGE)));
            assert_eq!(read.result, Ok(2 * PAGE), "{}", rig.name);
            assert!(
                read.buffer.iter().all(|&found| found == byte),
                "{}",
                rig.name
            );
        }
        assert_eq!(finish(io, io.sync(&file)).result, Ok(0));
        assert_eq!(file.size(), Ok(10 * PAGE as u64));
    }
}
