//! A database without a folder, for caches and tests: `cargo run --example in_memory`

use ringkeep::{Database, Options, Result};

fn main() -> Result<()> {
    let options = Options {
        memory_bytes: 8 << 20,
        in_memory_bytes: 64 << 20,
        ..Options::default()
    };
    let db = Database::in_memory(options)?;
    for number in 0..1000u32 {
        db.put(format!("session/{number:04}"), number.to_le_bytes())?;
    }
    println!(
        "{} sessions {}",
        db.scan_prefix("session/").count(),
        db.path().display()
    );
    // The last handle takes everything with it.
    drop(db);
    Ok(())
}
