//! Several steps next to the data, for one hand-off: `cargo run --example on_shard -- /path/to/a/folder`

use std::error::Error;

use ringkeep::{Database, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let db = Database::open(folder, Options::small())?;
    for (item, price) in [("cart:7:bread", 3), ("cart:7:milk", 2), ("cart:8:salt", 1)] {
        db.put(item, [price])?;
    }
    // Runs on the thread that serves the key; what it holds need not be `Send`.
    let sum = db.on_shard("cart:7:", async |shard| {
        let mut sum = 0;
        let mut items = shard.scan_prefix("cart:7:");
        while let Some(item) = items.next_async().await {
            sum += u32::from(item?.1[0]);
        }
        shard.put_async("sum:7", sum.to_le_bytes()).await?;
        Ok(sum)
    })?;
    println!("cart 7 costs {sum}");
    db.close()?;
    Ok(())
}
