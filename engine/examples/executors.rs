//! What a call costs where glommio hosts the shard, beside the loop of its own: gets of a key that is not there, which no row
//! answers. `cargo run --release --features glommio --example executors`

use std::time::{Duration, Instant};

use ringkeep::{Database, Executor, Options, Result};

const GETS: u32 = 20_000;

/// One get from another thread that waits for it, and one from the shard's own.
fn measure(executor: Executor) -> Result<(Duration, Duration)> {
    let options = Options {
        executor,
        ..Options::small()
    };
    let db = Database::in_memory(options)?;
    let begun = Instant::now();
    for _ in 0..GETS {
        db.get("absent")?;
    }
    let across = begun.elapsed() / GETS;
    let beside = db.on_shard("absent", async |shard| {
        let begun = Instant::now();
        for _ in 0..GETS {
            shard.get_async("absent").await?;
        }
        Ok(begun.elapsed() / GETS)
    })?;
    Ok((across, beside))
}

fn main() -> Result<()> {
    for executor in [Executor::Own, Executor::Glommio].repeat(3) {
        let (across, beside) = measure(executor)?;
        println!("{executor:?}: {across:?} from another thread, {beside:?} from a closure");
    }
    Ok(())
}
