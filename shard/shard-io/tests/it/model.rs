//! Thousands of mixed operations against a model, on every backend.

use std::collections::HashMap;

use ringkeep_io::{Buffer, File, OpenMode, PAGE, Ticket, WriteDurability};

use crate::rig::{Rig, every};

const OPERATIONS: usize = 10_000;
const FILES: usize = 3;
const PAGES: u64 = 64;
const IN_FLIGHT_MAX: usize = 80;

/// A fixed sequence of choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

enum Pending {
    Read {
        file: usize,
        page: u64,
        count: u64,
    },
    Write {
        file: usize,
        page: u64,
        count: u64,
        tag: u64,
    },
    Sync,
}

/// Every page says which file, which place and which write it is.
fn stamp(bytes: &mut [u8], file: usize, page: u64, tag: u64) {
    for (word, bytes) in bytes.chunks_exact_mut(8).enumerate() {
        let value = tag << 32 ^ page << 16 ^ (file as u64) << 12 ^ word as u64;
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

#[test]
fn mixed_operations_agree_with_a_model() {
    for rig in every() {
        Run::new(&rig).go(&rig);
    }
}

struct Run {
    files: Vec<File>,
    /// The tag of the last write of each page that was written.
    model: HashMap<(usize, u64), u64>,
    busy: HashMap<(usize, u64), ()>,
    flight: Vec<(Ticket, Pending)>,
    choices: Choices,
}

impl Run {
    fn new(rig: &Rig) -> Run {
        let open = |number| {
            rig.directory
                .open(&format!("file-{number}"), OpenMode::CreateNew)
                .unwrap()
        };
        Run {
            files: (0..FILES).map(open).collect(),
            model: HashMap::new(),
            busy: HashMap::new(),
            flight: Vec::new(),
            choices: Choices(42),
        }
    }

    fn go(&mut self, rig: &Rig) {
        for tag in 1..=OPERATIONS as u64 {
            while self.flight.len() >= IN_FLIGHT_MAX {
                self.wait(rig);
            }
            self.start(rig, tag);
            if self.choices.below(8) == 0 {
                rig.io.turn();
                self.collect(rig);
            }
        }
        while !self.flight.is_empty() {
            self.wait(rig);
        }
        assert_eq!(rig.io.in_flight(), 0);
    }

    fn start(&mut self, rig: &Rig, tag: u64) {
        let io = &rig.io;
        let file = self.choices.below(FILES as u64) as usize;
        let count = 1 + self.choices.below(4);
        let page = self.choices.below(PAGES - count);
        let kind = self.choices.below(10);
        if kind == 0 {
            return self
                .flight
                .push((io.sync(&self.files[file]), Pending::Sync));
        }
        if (page..page + count).any(|page| self.busy.contains_key(&(file, page))) {
            return;
        }
        self.busy
            .extend((page..page + count).map(|page| ((file, page), ())));
        let length = count as usize * PAGE;
        let offset = page * PAGE as u64;
        let mut buffer = if count == 1 {
            io.frame()
        } else {
            Buffer::zeroed(length)
        };
        if kind < 5 {
            let ticket = io.read(&self.files[file], offset, buffer);
            return self
                .flight
                .push((ticket, Pending::Read { file, page, count }));
        }
        for (index, bytes) in buffer.chunks_exact_mut(PAGE).enumerate() {
            stamp(bytes, file, page + index as u64, tag);
        }
        let durability = if kind == 9 {
            WriteDurability::Durable
        } else {
            WriteDurability::Cached
        };
        let ticket = io.write(&self.files[file], offset, buffer, length, durability);
        self.flight.push((
            ticket,
            Pending::Write {
                file,
                page,
                count,
                tag,
            },
        ));
    }

    fn wait(&mut self, rig: &Rig) {
        rig.io.park(None);
        rig.io.turn();
        self.collect(rig);
    }

    fn collect(&mut self, rig: &Rig) {
        let mut index = 0;
        while index < self.flight.len() {
            let Some(completion) = self.flight[index].0.try_take() else {
                index += 1;
                continue;
            };
            let (_, pending) = self.flight.swap_remove(index);
            match pending {
                Pending::Sync => assert_eq!(completion.result, Ok(0)),
                Pending::Write {
                    file,
                    page,
                    count,
                    tag,
                } => {
                    assert_eq!(completion.result, Ok(count as usize * PAGE));
                    for page in page..page + count {
                        self.model.insert((file, page), tag);
                        self.busy.remove(&(file, page));
                    }
                }
                Pending::Read { file, page, count } => {
                    let read = completion.result.unwrap();
                    for (index, page) in (page..page + count).enumerate() {
                        self.busy.remove(&(file, page));
                        let found = &completion.buffer[index * PAGE..][..PAGE];
                        let tag = self.model.get(&(file, page));
                        if read < (index + 1) * PAGE {
                            assert!(
                                tag.is_none(),
                                "{}: a written page is past the end",
                                rig.name
                            );
                            continue;
                        }
                        let mut expected = vec![0; PAGE];
                        if let Some(&tag) = tag {
                            stamp(&mut expected, file, page, tag);
                        }
                        assert!(found == expected, "{}: file {file}, page {page}", rig.name);
                    }
                }
            }
        }
    }
}
