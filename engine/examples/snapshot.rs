//! Yesterday's prices beside today's, from a snapshot and from the past: `cargo run --example snapshot -- /path/to/a/folder`.

use ringkeep::{Database, Options, Retention};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let options = Options {
        // What `as_of` can reach, whether or not somebody holds a snapshot.
        retention: Retention::Versions(1000),
        ..Options::default()
    };
    let db = Database::open(folder, options)?;
    db.put("price:apple", "10")?;
    let opening = db.put("price:pear", "7")?;

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

    let past = db.as_of(opening)?;
    for change in db.diff(&past, &db.snapshot()?, ..) {
        let change = change?;
        println!(
            "{}: {} -> {}",
            text(Some(change.key))?,
            text(change.before)?,
            text(change.after)?
        );
    }

    // A snapshot keeps the database open, and old versions on disk, for as long as it lives.
    drop((then, past));
    db.close()?;
    Ok(())
}
