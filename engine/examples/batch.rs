//! Several changes at once: `cargo run --example batch -- /path/to/a/folder`.

use ringkeep::{Batch, Database, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::default())?;
    db.put("account:alice", "100")?;
    db.put("account:bob", "0")?;

    // All of it or nothing, though the keys live on different shards: nobody, and no crash, ever
    // shows the money gone from one account and not yet in the other.
    let mut transfer = Batch::new();
    transfer
        .put("account:alice", "70")
        .put("account:bob", "30")
        .put("transfer:1", "alice to bob, 30");
    db.write(transfer)?;

    // Both from the same instant.
    let balances = db.multi_get(["account:alice", "account:bob"])?;
    let text =
        |place: usize| String::from_utf8_lossy(balances[place].as_deref().unwrap_or_default());
    println!("alice {}, bob {}", text(0), text(1));

    db.close()?;
    Ok(())
}
