//! Store, read and remove: `cargo run --example hello -- /path/to/a/folder`.

use ringkeep::{Database, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::default())?;

    // Acknowledged once the device holds it: no power cut can take it back.
    db.put("greeting", "hello, world")?;

    let greeting = db.get("greeting")?.unwrap_or_default();
    println!("{}", String::from_utf8_lossy(&greeting));

    db.delete("greeting")?;
    assert_eq!(db.get("greeting")?, None);

    // Without this the drop would do; it only leaves more for the next opening to read back.
    db.close()?;
    Ok(())
}
