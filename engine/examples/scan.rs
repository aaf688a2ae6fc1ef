//! Keys in order: `cargo run --example scan -- /path/to/a/folder`.

use ringkeep::{Batch, Database, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::default())?;
    let mut batch = Batch::new();
    batch
        .put("fruit:apple", "red")
        .put("fruit:cherry", "red")
        .put("fruit:plum", "blue")
        .put("vegetable:carrot", "orange");
    db.write(batch)?;

    // As things are now: what others write meanwhile does not show.
    for entry in db.scan_prefix("fruit:") {
        let (key, value) = entry?;
        println!(
            "{} = {}",
            String::from_utf8_lossy(&key),
            String::from_utf8_lossy(&value)
        );
    }

    // Backwards, and without reading the values.
    let last = db.scan(.."vegetable:").reverse().keys_only().next();
    if let Some(entry) = last {
        println!("last: {}", String::from_utf8_lossy(&entry?.0));
    }

    db.close()?;
    Ok(())
}
