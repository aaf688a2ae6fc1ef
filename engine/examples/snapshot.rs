//! Yesterday's prices beside today's: `cargo run --example snapshot -- /path/to/a/folder`.

use ringkeep::{Database, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::default())?;
    db.put("price:apple", "10")?;
    db.put("price:pear", "7")?;

    let then = db.snapshot()?;
    db.put("price:apple", "12")?;
    db.put("price:plum", "9")?;

    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default());
    println!(
        "then {}, now {}; {} entries then, {} now",
        text(then.get("price:apple")?)?,
        text(db.get("price:apple")?)?,
        then.scan_prefix("price:").count(),
        db.scan_prefix("price:").count(),
    );

    // A snapshot keeps the database open, and old versions on disk, for as long as it lives.
    drop(then);
    db.close()?;
    Ok(())
}
