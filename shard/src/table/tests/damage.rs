//! Damaged tables answer rightly or say which byte of which file is wrong. They never panic.

use std::cmp::Reverse;
use std::ops::Bound;
use std::rc::Rc;

use ringkeep_io::{Buffer, Doing, PAGE, Times};

use super::fixture::{Fixture, Model, SHARD, STORE, expected, name, random_model, section_of};
use crate::content::of_test;
use crate::merge::seeded::{Seeded, with_seeds};
use crate::table::block::Block;
use crate::table::format::seal;
use crate::table::{
    BlockHandle, BlockKind, BlockReader, Codec, Section, Table, TableCursor, TableId, TableSummary,
};
use crate::{Error, Result, Version};

const EIO: i32 = 5;

/// Three data blocks, one of two pages, and one page of everything else.
fn small_model() -> Model {
    let mut random = Seeded(1);
    let entry = |key: &str, version, length| {
        let value = Some(random.bytes(length));
        ((key.as_bytes().to_vec(), Reverse(Version(version))), value)
    };
    let sizes = [
        ("a", 1, 3000),
        ("b", 2, 4000),
        ("c", 3, 3000),
        ("d", 9, 20),
        ("d", 8, 3900),
    ];
    let mut model: Model = sizes
        .map({
            let mut entry = entry;
            move |(key, version, length)| entry(key, version, length)
        })
        .into();
    model.insert((b"e".to_vec(), Reverse(Version(4))), None);
    model
}

/// Reads everything in every way. The error, if any, is of the damaged page.
fn read_all(fixture: &Fixture, summary: &TableSummary, model: &Model) -> Result<()> {
    let table = fixture.open(summary)?;
    let mut damage = Ok(());
    for (key, Reverse(version)) in model.keys() {
        assert!(table.may_contain(Table::key_hash(key)));
        match fixture.find(&table, key, *version) {
            Ok(found) => assert_eq!(found, expected(model, key, *version)),
            Err(error) => damage = Err(error),
        }
    }
    let walked = [Section::Present, Section::Past].map(|section| {
        let reader = BlockReader::sequential(fixture.io.clone());
        let mut cursor = TableCursor::new(Rc::clone(&table), section, reader);
        let walked: Result<()> = fixture.run(async {
            cursor.seek(Bound::Unbounded).await?;
            for ((key, Reverse(version)), value) in &section_of(model, section) {
                assert_eq!(cursor.position(), Some((key.as_slice(), *version)));
                assert_eq!(cursor.content(), Some(of_test(value.as_deref())));
                cursor.next().await?;
            }
            assert_eq!(cursor.position(), None);
            Ok(())
        });
        if walked.is_err() {
            let position = cursor.position();
            assert_eq!(position, None, "an error leaves the cursor on nothing");
        }
        walked.is_ok()
    });
    assert_eq!(walked == [true, true], damage.is_ok());
    damage
}

#[test]
fn every_flipped_byte_is_found() {
    let model = small_model();
    let fixture = Fixture::new(0);
    let summary = fixture.write(5, &model);
    read_all(&fixture, &summary, &model).unwrap();
    let path = format!("/{}", name(5));
    for byte in 0..summary.file_bytes {
        let bit = (byte % 8) as u8;
        fixture.disk.flip_bit(&path, byte, bit);
        match read_all(&fixture, &summary, &model) {
            Err(Error::Corrupt { file, offset, .. }) => {
                assert_eq!(file, name(5));
                let part = offset..offset + 2 * PAGE as u64;
                assert!(part.contains(&byte), "byte {byte} was reported at {offset}");
            }
            other => panic!("byte {byte}: {other:?}"),
        }
        fixture.disk.flip_bit(&path, byte, bit);
    }
    read_all(&fixture, &summary, &model).unwrap();
}

#[test]
fn a_flipped_byte_of_a_compressed_block_is_found() {
    let mut model = section_of(&small_model(), Section::Present);
    for value in model.values_mut().flatten() {
        value.fill(7);
    }
    for codec in [Codec::Lz4, Codec::Zstd] {
        let fixture = Fixture::new(0);
        fixture.codec.set(codec);
        let summary = fixture.write(5, &model);
        read_all(&fixture, &summary, &model).unwrap();
        let data = summary.file_bytes - 4 * PAGE as u64;
        assert_eq!(data, PAGE as u64, "all data in one page");
        let path = format!("/{}", name(5));
        for byte in 0..data {
            fixture.disk.flip_bit(&path, byte, 3);
            let found = read_all(&fixture, &summary, &model);
            assert!(matches!(found, Err(Error::Corrupt { offset: 0, .. })));
            fixture.disk.flip_bit(&path, byte, 3);
        }
    }
}

#[test]
fn a_cut_table_is_missing_wherever_it_is_cut() {
    let model = small_model();
    let fixture = Fixture::new(0);
    let summary = fixture.write(5, &model);
    for pages in (0..summary.file_bytes / PAGE as u64).rev() {
        fixture
            .disk
            .truncate(&format!("/{}", name(5)), pages * PAGE as u64);
        let file = name(5);
        assert_eq!(fixture.open(&summary).err(), Some(Error::Missing { file }));
    }
}

#[test]
fn blocks_of_other_places_and_tables_are_recognised() {
    let model = small_model();
    let fixture = Fixture::new(0);
    let summary = fixture.write(5, &model);
    fixture.write(6, &model);
    let own = fixture.disk.read_raw(&format!("/{}", name(5))).unwrap();
    let other = fixture.disk.read_raw(&format!("/{}", name(6))).unwrap();
    let pages = own.len() / PAGE;
    for to in 0..pages {
        let stray = (0..pages)
            .filter(|&from| from != to)
            .map(|from| &own[from * PAGE..][..PAGE]);
        for bytes in stray.chain([&other[to * PAGE..][..PAGE]]) {
            // The further pages of a block are the same in both tables.
            if bytes == &own[to * PAGE..][..PAGE] {
                continue;
            }
            fixture
                .disk
                .overwrite(&format!("/{}", name(5)), (to * PAGE) as u64, bytes);
            let found = read_all(&fixture, &summary, &model);
            assert!(
                matches!(found, Err(Error::Corrupt { .. })),
                "page {to}: {found:?}"
            );
        }
        fixture.disk.overwrite(
            &format!("/{}", name(5)),
            (to * PAGE) as u64,
            &own[to * PAGE..][..PAGE],
        );
    }
    read_all(&fixture, &summary, &model).unwrap();
}

#[test]
fn other_stores_shards_versions_and_summaries_are_told_apart() {
    let fixture = Fixture::new(0);
    let summary = fixture.write(5, &small_model());
    let open = |summary: &TableSummary, store, shard| {
        let file = fixture
            .directory
            .open(&name(5), ringkeep_io::OpenMode::Read)
            .unwrap();
        let open = Table::open(&fixture.io, file, name(5), summary, store, shard);
        fixture.run(open).err()
    };
    assert_eq!(open(&summary, STORE, SHARD), None);
    let found = open(&summary, [9; 16], SHARD);
    assert!(matches!(found, Some(Error::Foreign { .. })), "{found:?}");
    let found = open(&summary, STORE, crate::ShardId(4));
    assert!(matches!(found, Some(Error::Foreign { .. })), "{found:?}");
    let mut older = summary.clone();
    older.footer_crc ^= 1;
    let found = open(&older, STORE, SHARD);
    assert!(matches!(found, Some(Error::Corrupt { .. })), "{found:?}");
    older.file_bytes = 0;
    let found = open(&older, STORE, SHARD);
    assert!(matches!(found, Some(Error::Missing { .. })), "{found:?}");

    let path = format!("/{}", name(5));
    let mut footer = fixture
        .disk
        .read_raw(&path)
        .unwrap()
        .split_off(summary.file_bytes as usize - PAGE);
    footer[5] = 9;
    seal(&mut footer);
    fixture
        .disk
        .overwrite(&path, summary.file_bytes - PAGE as u64, &footer);
    let found = open(&summary, STORE, SHARD);
    assert!(
        matches!(
            found,
            Some(Error::Version {
                found: 9,
                supported: 3,
                ..
            })
        ),
        "{found:?}"
    );
}

#[test]
fn a_read_that_fails_once_is_tried_again_and_one_that_goes_on_failing_is_an_error() {
    let model = small_model();
    let fixture = Fixture::new(0);
    let summary = fixture.write(5, &model);
    let reads = fixture.io.counters().reads;
    read_all(&fixture, &summary, &model).unwrap();
    let reads = fixture.io.counters().reads - reads;
    for spared in 0..reads {
        fixture.disk.fail_at(Doing::Read, spared, EIO, Times::Once);
        read_all(&fixture, &summary, &model).unwrap();
    }
    fixture.disk.fail_next(Doing::Read, EIO, Times::Always);
    let found = read_all(&fixture, &summary, &model);
    assert!(matches!(found, Err(Error::Io { .. })), "{found:?}");
}

/// A checksum only says that the bytes are as they were written. A block with a bug in it is still
/// no reason to panic or to read outside it.
#[test]
fn sealed_nonsense_is_refused_or_harmless() {
    with_seeds(100, |random| {
        let fixture = Fixture::new(0);
        fixture.any_codecs(random);
        let entries = 1 + random.below(60);
        let model = random_model(random, entries);
        let summary = fixture.write(5, &model);
        let file = fixture.disk.read_raw(&format!("/{}", name(5))).unwrap();
        let pages = file.len() / PAGE;
        for _ in 0..50 {
            let page = random.below(pages);
            let header = &file[page * PAGE..];
            let of = usize::from(u16::from_le_bytes([header[6], header[7]]));
            let kind = match header[4] {
                0xd1 => BlockKind::Data,
                0xd2 => BlockKind::Partition,
                0xd3 => BlockKind::Top,
                0xd6 => BlockKind::PastData,
                0xd7 => BlockKind::PastPartition,
                0xd8 => BlockKind::PastTop,
                _ => continue,
            };
            let at = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
            if at as usize != page
                || page + of > pages
                || u64::from_le_bytes(*header[8..].first_chunk().unwrap()) != 5
            {
                continue;
            }
            let mut block = Buffer::zeroed(of * PAGE);
            block.copy_from_slice(&header[..of * PAGE]);
            for _ in 0..1 + random.below(3) {
                let byte = match random.below(3) {
                    0 => 20 + random.below(20),
                    1 => block.len() - 1 - random.below(40),
                    _ => 27 + random.below(80),
                };
                block[byte] = random.next() as u8;
            }
            seal(&mut block);
            let handle = BlockHandle {
                page: page as u32,
                pages: of as u32,
                kind,
            };
            if let Ok(block) = Block::verify(block, handle, TableId(5), pages as u32) {
                exercise(&block, random);
                let path = format!("/{}", name(5));
                let (offset, own) = ((page * PAGE) as u64, &header[..of * PAGE]);
                fixture
                    .disk
                    .overwrite(&path, offset, block.slice(0, of * PAGE));
                let _ = walk_nonsense(&fixture, &summary, &model);
                fixture.disk.overwrite(&path, offset, own);
            }
        }
        assert_eq!(summary.entries, model.len() as u64);
    });
}

/// Finds and walks whatever comes, which has to come to an end.
fn walk_nonsense(fixture: &Fixture, summary: &TableSummary, model: &Model) -> Result<()> {
    let table = fixture.open(summary)?;
    for (key, Reverse(version)) in model.keys() {
        let _ = fixture.find(&table, key, *version);
    }
    let sections = [Section::Present, Section::Past];
    for (section, forward) in sections
        .into_iter()
        .flat_map(|section| [(section, true), (section, false)])
    {
        let reader = BlockReader::cached(fixture.io.clone(), Rc::clone(&fixture.cache), 0);
        let mut cursor = TableCursor::new(Rc::clone(&table), section, reader);
        fixture.run(async {
            match forward {
                true => cursor.seek(Bound::Unbounded).await?,
                false => cursor.seek_back(Bound::Unbounded).await?,
            }
            while cursor.position().is_some() {
                match forward {
                    true => cursor.next().await?,
                    false => cursor.prev().await?,
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn exercise(block: &Block, random: &mut Seeded) {
    for index in 0..block.count() {
        let entry = block.entry(index);
        let key = [block.prefix(), entry.suffix].concat();
        let _ = (
            block.is_key(index, &key),
            block.compare(index, &key, entry.version),
        );
        assert!(block.lower_bound(&key, entry.version) <= block.count());
        if !block.handle().kind.is_data() {
            assert!(block.handle_at(index).pages > 0);
        }
    }
    assert!(block.lower_bound(&random.key(100), Version(7)) <= block.count());
}
