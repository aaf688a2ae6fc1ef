//! What reading the log back costs after a crash: one child fills it and is killed, then three open it, say how long that took and are killed. Behind
//! each the same files are read and not looked at, which is what the device takes by itself:
//! `cargo run --release --example reopen -- /path/to/a/folder [bytes of a value] [MiB of values]`

use std::collections::VecDeque;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use ringkeep::{Batch, Database, Durability, Options, ShardOptions};
use ringkeep_io::{Buffer, Io, IoOptions, OpenMode, Ticket};

/// Set for a child: what it shall do before it is killed.
const ROLE: &str = "RINGKEEP_REOPEN_ROLE";

/// Plain reads are of this size, and so many at a time.
const READ_BYTES: usize = 512 << 10;
const READS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = arguments.get(1).ok_or("name a folder for the database")?;
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (value_bytes, bytes) = (number(2, 100)?, number(3, 8)? << 20);
    // Memtables that hold all of it, so that nothing leaves the log.
    let mut each = ShardOptions::for_budget(256 << 20);
    each.memtable_bytes = 4 * bytes;
    let options = Options {
        shard: Some(each),
        ..Options::default()
    };
    match std::env::var(ROLE).as_deref() {
        Ok("fill") => fill(&Database::open(folder, options)?, value_bytes, bytes),
        Ok(_) => open(folder, options),
        Err(_) => {
            let log = crash("fill", &arguments)?;
            let gib = log / f64::from(1 << 30);
            for _ in 0..3 {
                let seconds = crash("open", &arguments)?;
                let plain = read(folder.as_ref(), log as usize)?;
                println!(
                    "{:.2} s/GiB: {seconds:.3} s for {gib:.3} GiB; plain reads {:.2} s/GiB",
                    seconds / gib,
                    plain / gib
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

/// Reads so many bytes of the log's files, and nothing else; how many seconds that takes.
fn read(folder: &Path, bytes: usize) -> Result<f64, Box<dyn Error>> {
    let io = Io::open(&IoOptions::default())?;
    let mut files = Vec::new();
    for shard in std::fs::read_dir(folder)? {
        let shard = shard?.path();
        if shard.is_dir() {
            let directory = io.directory(&shard)?;
            let mut names = directory.list()?;
            names.retain(|name| name.starts_with("log-"));
            for name in names {
                let length = std::fs::metadata(shard.join(&name))?.len();
                files.push((directory.open(&name, OpenMode::Read)?, length));
            }
        }
    }
    let places = files.iter().flat_map(|(file, length)| {
        let offsets = (0..*length).step_by(READ_BYTES);
        offsets.map(move |offset| (file, offset))
    });
    let mut buffers: Vec<_> = (0..READS).map(|_| Buffer::zeroed(READ_BYTES)).collect();
    let mut reading = VecDeque::new();
    let start = Instant::now();
    for (file, offset) in places.take(bytes / READ_BYTES) {
        let buffer = match buffers.pop() {
            Some(buffer) => buffer,
            None => finish(&io, reading.pop_front().ok_or("a read is on its way")?)?,
        };
        reading.push_back(io.read(file, offset, buffer));
        io.turn();
    }
    for ticket in reading {
        finish(&io, ticket)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// The buffer of a read, once it is done.
fn finish(io: &Io, mut ticket: Ticket) -> ringkeep_io::Result<Buffer> {
    loop {
        if let Some(done) = ticket.try_take() {
            return done.result.map(|_| done.buffer);
        }
        if io.turn() == 0 {
            io.park(None);
        }
    }
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
