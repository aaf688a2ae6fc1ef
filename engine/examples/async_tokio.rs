//! A thousand tasks on tokio: `cargo run --example async_tokio -- /path/to/a/folder`.
//! The futures know nothing of tokio; any other executor does as well.

use ringkeep::{Database, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder for the database")?;
    // Opening reads files and waits for them: not on a thread that other tasks need.
    let db = tokio::task::spawn_blocking(|| Database::open(folder, Options::default())).await??;

    let tasks: Vec<_> = (0..1000)
        .map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                // Durable when it returns; those that wait at the same time share one write.
                db.put_async(format!("task:{task:04}"), task.to_string())
                    .await
            })
        })
        .collect();
    let count = tasks.len();
    for task in tasks {
        task.await??;
    }

    let mut records = 0;
    let mut scan = db.scan_prefix("task:");
    while let Some(entry) = scan.next_async().await {
        entry?;
        records += 1;
    }
    println!("{count} tasks wrote {records} records");

    db.close_async().await?;
    Ok(())
}
