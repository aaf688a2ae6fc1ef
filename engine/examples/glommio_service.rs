//! A small service on the threads of its database: UDP, one question a packet, `key` or `key=value`.
//! `cargo run --features glommio --example glommio_service -- /path/to/a/folder`

use std::error::Error;
use std::net::{SocketAddr, UdpSocket as Blocking};
use std::rc::Rc;
use std::time::Duration;

use glommio::GlommioError;
use glommio::net::UdpSocket;
use glommio::timer::timeout;
use ringkeep::{Database, Durability, Executor, OnShard, Options, Result};

const CLIENTS: usize = 4;
const QUESTIONS: usize = 250;
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that the answer takes happens on one thread: socket, task, shard.
async fn answer(db: Database, question: Vec<u8>) -> Result<Vec<u8>> {
    match question.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (key, value) = (&question[..at], &question[at + 1..]);
            db.put_with_async(key, value, Durability::Buffered).await?;
            Ok(b"stored".to_vec())
        }
        None => Ok(db.get_async(question).await?.unwrap_or_default()),
    }
}

async fn serve(shard: OnShard, socket: UdpSocket, questions: usize) -> Result<usize> {
    let socket = Rc::new(socket);
    let mut tasks = Vec::with_capacity(questions);
    let mut room = [0; 1024];
    for _ in 0..questions {
        // A client that never comes does not keep the service up for ever.
        let question = timeout(PATIENCE, async {
            let (length, from) = socket.recv_from(&mut room).await?;
            Ok::<_, GlommioError<()>>((room[..length].to_vec(), from))
        });
        let Ok((question, from)) = question.await else {
            break;
        };
        let (db, socket) = (Database::clone(&shard), Rc::clone(&socket));
        tasks.push(glommio::spawn_local(async move {
            let answer = answer(db, question).await?;
            Ok(socket.send_to(&answer, from).await.is_ok())
        }));
    }
    let mut answered = 0;
    for task in tasks {
        answered += usize::from(task.await?);
    }
    Ok(answered)
}

fn client(number: usize, service: SocketAddr) -> std::io::Result<usize> {
    let socket = Blocking::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut right = 0;
    for question in 0..QUESTIONS {
        let key = format!("{number}:{}", question / 2);
        let (ask, expected) = match question % 2 {
            0 => (format!("{key}=value of {key}"), "stored".to_owned()),
            _ => (key.clone(), format!("value of {key}")),
        };
        socket.send_to(ask.as_bytes(), service)?;
        let mut answer = [0; 1024];
        let length = socket.recv(&mut answer)?;
        right += usize::from(&answer[..length] == expected.as_bytes());
    }
    Ok(right)
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("name a folder for the database")?;
    let options = Options {
        executor: Executor::Glommio,
        ..Options::small()
    };
    let db = Database::open(folder, options)?;
    let (tell, told) = std::sync::mpsc::channel();
    let clients = std::thread::spawn(move || {
        let Ok(service) = told.recv() else { return 0 };
        let clients =
            (0..CLIENTS).map(|number| std::thread::spawn(move || client(number, service)));
        let clients: Vec<_> = clients.collect();
        let right = clients.into_iter().map(|client| client.join().ok()?.ok());
        right.flatten().sum()
    });
    let answered = db.on_shard("service", async move |shard| {
        let socket = match UdpSocket::bind("127.0.0.1:0") {
            Ok(socket) => socket,
            Err(error) => {
                eprintln!("no socket: {error}");
                return Ok(0);
            }
        };
        let address = socket.local_addr().expect("a bound socket has an address");
        if tell.send(address).is_err() {
            return Ok(0);
        }
        serve(shard, socket, CLIENTS * QUESTIONS).await
    })?;
    let right = clients.join().unwrap_or(0);
    println!("{answered} questions answered on the shard's thread, {right} answers right");
    db.close()?;
    Ok(())
}
