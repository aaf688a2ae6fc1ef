//! Where the time of calls goes: `cargo run --example receipts -- /path/to/a/folder`

use std::error::Error;

use ringkeep::{Database, Durability, Options, Receipt, Result};

fn request(db: &Database, number: u32) -> Result<()> {
    let cart = format!("cart:{number}");
    db.transact(|tx| {
        tx.get(&cart)?;
        tx.put(&cart, "apples")
    })?;
    db.put(format!("log:{number}"), "apples were added")?;
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::small())?;
    for number in 0..1000 {
        db.put_with(format!("old:{number}"), [7; 100], Durability::Buffered)?;
    }
    db.flush()?;

    let (put, receipt) = Receipt::of(|| db.put("key", "value"));
    put?;
    println!("a durable put:\n{receipt}\n");

    // Of a snapshot, so that no row answers. The first one brings the block, the second finds it.
    let snapshot = db.snapshot()?;
    let (gets, receipt) = Receipt::of(|| [snapshot.get("old:7"), snapshot.get("old:7")]);
    for get in gets {
        get?;
    }
    println!("a get from the device, and one from memory:\n{receipt}\n");

    let (result, receipt) = Receipt::of(|| request(&db, 7));
    result?;
    println!("a whole request:\n{receipt}");
    db.close()?;
    Ok(())
}
