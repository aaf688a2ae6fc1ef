//! Users and a cache, each with keys of their own: `cargo run --example keyspaces -- /path/to/a/folder`.

use std::time::Duration;

use ringkeep::{Database, Error, KeyspaceOptions, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::default())?;
    let users = db.create_keyspace("users", KeyspaceOptions::default())?;
    let stay = Some(Duration::from_secs(60));
    let cache = db.create_keyspace(
        "cache",
        KeyspaceOptions {
            stay,
            ..KeyspaceOptions::default()
        },
    )?;

    // The same key is another one in each, and in the default keyspace, which the database itself is.
    users.put("ann", "Ann")?;
    cache.put("ann", "<p>Ann</p>")?;
    db.put("ann", "somebody")?;
    for scan in [users.scan(..), cache.scan(..), db.scan(..)] {
        for entry in scan {
            println!("{}", String::from_utf8_lossy(&entry?.1));
        }
    }

    // Transactions, batches and snapshots see all of them.
    db.transact(|tx| {
        tx.delete_in(&cache, "ann")?;
        tx.put_in(&users, "ann", "Anne")
    })?;
    let then = db.snapshot()?;
    assert!(then.get_in(&users, "ann")?.is_some());

    // Gone at once, with everything in it.
    db.drop_keyspace("cache")?;
    let error = cache.get("ann").unwrap_err();
    assert!(matches!(error, Error::KeyspaceDropped { .. }));
    println!("{:?}; {error}", db.keyspaces()?);
    drop(then);
    db.close()?;
    Ok(())
}
