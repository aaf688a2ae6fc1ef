//! What reading the log back costs after a crash: one child fills it and is killed, then three open it, say how long that took and are killed:
//! `cargo run --release --example reopen -- /path/to/a/folder [bytes of a value] [MiB of values]`

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use ringkeep::{Batch, Database, Durability, Options, ShardOptions};

/// Set for a child: what it shall do before it is killed.
const ROLE: &str = "RINGKEEP_REOPEN_ROLE";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = arguments.get(1).ok_or("name a folder for the database")?;
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (value_bytes, bytes) = (number(2, 100)?, number(3, 8)? << 20);
    // Memtables that hold all of it, so that nothing leaves the log.
    let mut each = ShardOptions::for_budget(256 << 20);
    each.memtable_bytes = 4 * bytes;
    let options = Options {
        shards: Some(2),
        shard: Some(each),
        ..Options::default()
    };
    match std::env::var(ROLE).as_deref() {
        Ok("fill") => fill(&Database::open(folder, options)?, value_bytes, bytes),
        Ok(_) => open(folder, options),
        Err(_) => {
            let gib = crash("fill", &arguments)? / f64::from(1 << 30);
            for _ in 0..3 {
                let seconds = crash("open", &arguments)?;
                println!(
                    "{:.2} s/GiB: {seconds:.3} s for {gib:.3} GiB",
                    seconds / gib
                );
            }
            Ok(())
        }
    }
}

/// The number that a child with this role says; it is killed with its database open.
fn crash(role: &str, arguments: &[String]) -> Result<f64, Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(&arguments[1..])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    Ok(line.trim().parse()?)
}

/// Opens the database, says how many seconds that took, and waits to be killed.
fn open(folder: &str, options: Options) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let db = Database::open(folder, options)?;
    let seconds = start.elapsed().as_secs_f64();
    assert!(db.get(key(0))?.is_some());
    println!("{seconds}");
    wait()
}

/// Writes, says how large the log is, and waits to be killed.
fn fill(db: &Database, value_bytes: usize, bytes: usize) -> Result<(), Box<dyn Error>> {
    let mut batch = Batch::new();
    for record in 0..(bytes / value_bytes) as u64 {
        let value = record.to_le_bytes().repeat(value_bytes.div_ceil(8));
        batch.put(key(record), &value[..value_bytes]);
        if batch.bytes() >= 256 << 10 {
            db.write_with(std::mem::take(&mut batch), Durability::Buffered)?;
        }
    }
    db.write(batch)?;
    println!("{}", db.stats()?.total.log_bytes);
    wait()
}

fn wait() -> ! {
    loop {
        std::thread::park();
    }
}

/// 16 bytes, in no order.
fn key(record: u64) -> [u8; 16] {
    let odd = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835u128;
    odd.wrapping_mul(u128::from(record) + 1).to_be_bytes()
}
