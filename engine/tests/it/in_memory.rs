//! Databases without a folder: the same engine over files in memory.

use std::collections::BTreeMap;

use ringkeep::{Batch, Database, Durability, Options, Result};

fn options(in_memory_bytes: u64) -> Options {
    Options {
        shards: Some(2),
        memory_bytes: 4 << 20,
        in_memory_bytes,
        ..Options::default()
    }
}

/// Not in the order of their numbers.
fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

#[test]
fn many_times_its_memtables_it_says_what_was_written() -> Result<()> {
    let db = Database::in_memory(options(256 << 20))?;
    let mut model = BTreeMap::new();
    for round in 0..40u64 {
        let mut batch = Batch::new();
        for number in (0..20_000).filter(|number| number % 40 == round || number % 7 == round % 7) {
            let value = vec![round as u8; 100 + number as usize % 50];
            batch.put(key(number), &value);
            model.insert(key(number).to_vec(), value);
        }
        db.write(batch)?;
        db.delete(key(round))?;
        model.remove(key(round).as_slice());
    }
    db.flush()?;
    db.compact()?;
    for number in (0..20_000).step_by(17) {
        let expected = model.get(key(number).as_slice());
        assert_eq!(db.get(key(number))?.as_ref(), expected);
    }
    let all = db.scan(..).collect::<Result<Vec<_>>>()?;
    let expected = model.iter().map(|(key, value)| (&**key, &**value));
    assert!(
        all.iter()
            .map(|(key, value)| (&**key, &**value))
            .eq(expected)
    );
    let report = db.verify(None)?;
    assert!(report.damages.is_empty(), "{report:?}");
    db.close()
}

#[test]
fn each_is_its_own_and_nothing_stays() -> Result<()> {
    let (one, other) = (
        Database::in_memory(Options::small())?,
        Database::in_memory(Options::small())?,
    );
    one.put("key", "value")?;
    assert_eq!(other.get("key")?, None);
    drop(one);
    let again = Database::in_memory(Options::small())?;
    assert_eq!(again.get("key")?, None);
    Ok(())
}

#[test]
fn full_it_refuses_writes_while_reads_and_deletes_go_on() -> Result<()> {
    let db = Database::in_memory(options(48 << 20))?;
    let value = vec![7; 64 << 10];
    let mut written = 0;
    let refused = loop {
        match db.put(key(written), &value) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 48 << 4, "as much as the limit was taken");
    };
    assert!(refused.is_full(), "{refused}");
    assert_eq!(db.get(key(0))?.as_deref(), Some(value.as_slice()));
    db.delete(key(0))?;
    assert_eq!(db.get(key(0))?, None);
    Ok(())
}

/// The put waited for room, the close for the put, and the room for neither.
#[test]
fn a_write_that_finds_no_room_half_way_does_not_keep_it_open() -> Result<()> {
    let db = Database::in_memory(options(12 << 20))?;
    db.put_with("before", "value", Durability::Buffered)?;
    std::thread::scope(|scope| {
        let put = scope.spawn(|| db.put("large", vec![7; 32 << 20]));
        while db.stats()?.total.shards_full == 0 && !put.is_finished() {
            std::thread::yield_now();
        }
        assert!(!put.is_finished(), "some of it is in the log");
        assert_eq!(db.get("large")?, None);
        assert!(db.get("before")?.is_some());
        let closed = db.close().expect_err("there was no room to flush");
        assert!(closed.is_full(), "{closed}");
        let refused = put.join().expect("no panic").expect_err("nor for this");
        assert!(refused.is_full(), "{refused}");
        Ok(())
    })
}
