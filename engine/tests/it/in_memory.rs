//! Databases without a folder: the same engine over files in memory.

use std::collections::BTreeMap;

use ringkeep::{Batch, Database, Options, Result};

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
