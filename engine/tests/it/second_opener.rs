use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use ringkeep::{Database, Error};

use crate::folder::{Folder, child, parents_db, tiny};

#[test]
fn a_second_opener_in_this_process_is_refused_by_pid() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    for _ in 0..3 {
        match Database::open(folder.db(), tiny(2)) {
            Err(Error::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
    }
    db.put("a", "1").unwrap();
    drop(db);
    assert!(folder.open(tiny(2)).get("a").unwrap().is_some());
}

/// A child that has opened the database and written to it.
fn holder(folder: &Folder) -> Child {
    let mut child = child("second_opener::child_that_holds_the_database", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("it is open")));
    child
}

#[test]
fn a_second_opener_in_another_process_is_refused_by_pid() {
    let folder = Folder::new();
    let mut child = holder(&folder);
    let error = Database::open(folder.db(), tiny(2)).map(drop).unwrap_err();
    assert_eq!(
        error,
        Error::InUse {
            path: folder.db(),
            pid: Some(child.id())
        }
    );
    assert!(
        error.to_string().contains(&child.id().to_string()),
        "{error}"
    );
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(folder.open(tiny(2)).get("a").unwrap().is_some());
}

#[test]
fn after_a_kill_the_next_opener_gets_in_without_help() {
    let folder = Folder::new();
    for _ in 0..5 {
        let mut child = holder(&folder);
        child.kill().unwrap();
        // Not reaped yet: a zombie is no holder.
        let db = folder.open(tiny(2));
        child.wait().unwrap();
        assert!(db.get("a").unwrap().is_some());
    }
}

#[test]
#[ignore = "a child of the tests above"]
fn child_that_holds_the_database() {
    let db = Database::open(parents_db(), tiny(2)).unwrap();
    db.put("a", "1").unwrap();
    println!("it is open");
    // Until the parent closes its end.
    std::io::stdin().lines().for_each(drop);
}
