//! Sessions that end by themselves: `cargo run --example expiry -- /path/to/a/folder`.

use std::time::{Duration, SystemTime};

use ringkeep::{Batch, Database, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::default())?;

    // From now on, or until a time.
    db.put_for("session:ann", "cart: 3 pears", Duration::from_secs(1800))?;
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    db.put_until("session:bob", "cart: 1 plum", yesterday)?;
    // In a batch as well, beside what does not end.
    let mut batch = Batch::new();
    batch
        .put("user:ann", "Ann")
        .put_until("offer", "-20 %", yesterday);
    db.write(batch)?;

    for entry in db.scan(..) {
        let (key, value) = entry?;
        println!(
            "{} = {}",
            String::from_utf8_lossy(&key),
            String::from_utf8_lossy(&value)
        );
    }
    // What has ended is absent to everybody who asks, and merges give its space back.
    assert!(db.put_if_absent("session:bob", "cart: nothing")?);
    db.compact()?;
    println!("{} dropped", db.stats()?.total.expired_dropped);
    db.close()?;
    Ok(())
}
