//! Hosts on glommio executors, beside what the whole suite does on them: `RINGKEEP_EXECUTOR=glommio`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use glommio::net::UdpSocket;
use glommio::timer::sleep;
use glommio::{executor, spawn_local};
use ringkeep::{Database, Executor, Options};

use crate::folder::{Folder, tiny};

fn hosted(shards: u16) -> Options {
    Options {
        executor: Executor::Glommio,
        ..tiny(shards)
    }
}

#[test]
fn closures_use_what_glommio_has_and_their_tasks_ask_the_shard_without_leaving_its_thread() {
    let folder = Folder::new();
    let db = folder.open(hosted(1));
    let tasks = 100u32;
    let threads = db.on_shard("counted", async move |shard| {
        let threads = Rc::new(RefCell::new(Vec::new()));
        let mut spawned = Vec::new();
        for task in 0..tasks {
            // A handle of its own: a task may outlive the closure.
            let (db, threads) = (Database::clone(&shard), Rc::clone(&threads));
            spawned.push(spawn_local(async move {
                sleep(Duration::from_micros(u64::from(task) * 10)).await;
                db.put_async(task.to_le_bytes(), "value").await?;
                threads
                    .borrow_mut()
                    .push((executor().id(), std::thread::current().id()));
                Ok(())
            }));
        }
        for task in spawned {
            task.await?;
        }
        Ok(threads.take())
    });
    let threads = threads.expect("all tasks end well");
    assert_eq!(threads.len(), 100);
    assert!(threads.iter().all(|thread| *thread == threads[0]));
    assert_eq!(db.scan(..).count(), 100);
    db.close().expect("closes");
}

#[test]
fn a_socket_is_served_by_the_thread_of_the_shard_while_others_call_it() {
    let folder = Folder::new();
    let db = folder.open(hosted(1));
    let (tell, told) = std::sync::mpsc::channel();
    let questions = 200u32;
    let server = db.on_shard_async("server", async move |shard| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        tell.send(socket.local_addr().expect("an address"))
            .expect("somebody listens");
        let mut question = [0; 16];
        for _ in 0..questions {
            let (length, from) = socket.recv_from(&mut question).await.expect("a question");
            let answer = shard
                .get_async(&question[..length])
                .await?
                .unwrap_or_default();
            socket
                .send_to(&answer, from)
                .await
                .expect("an answer is sent");
        }
        Ok(())
    });
    std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let serving = scope.spawn(move || runtime.block_on(server));
        let address = told.recv().expect("the server begins");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        for question in 0..questions {
            let key = question.to_le_bytes();
            db.put(key, question.to_string()).expect("a put");
            socket.send_to(&key, address).expect("sent");
            let mut answer = [0; 16];
            let length = socket.recv(&mut answer).expect("an answer in time");
            assert_eq!(&answer[..length], question.to_string().as_bytes());
        }
        serving.join().unwrap().expect("served all");
    });
}
