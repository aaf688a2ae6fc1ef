use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use ringkeep::{Database, Error, Options};

use crate::folder::{Folder, child, parents_db, tiny};

fn refused(path: impl AsRef<std::path::Path>, options: Options) -> Error {
    let error = Database::open(path, options).map(drop).unwrap_err();
    assert!(
        error.to_string().contains(':'),
        "it says what to do: {error}"
    );
    error
}

#[test]
fn only_the_last_part_of_the_path_is_made() {
    let folder = Folder::new();
    let error = refused(folder.path().join("not/there"), tiny(1));
    assert!(
        matches!(&error, Error::NotFound { path, .. } if path.ends_with("not")),
        "{error}"
    );
    assert!(!folder.path().join("not").exists());
}

#[test]
fn nothing_is_made_unless_asked_for() {
    let folder = Folder::new();
    let there = Options {
        create_if_missing: false,
        ..tiny(1)
    };
    assert!(matches!(
        refused(folder.db(), there.clone()),
        Error::NotFound { .. }
    ));
    assert!(!folder.db().exists());
    std::fs::create_dir(folder.db()).unwrap();
    assert!(matches!(
        refused(folder.db(), there.clone()),
        Error::NotFound { .. }
    ));
    assert_eq!(std::fs::read_dir(folder.db()).unwrap().count(), 0);
    folder.open(tiny(1)).close().unwrap();
    folder.open(there).close().unwrap();
}

#[test]
fn files_links_and_folders_of_others_are_refused_untouched() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(
        refused(&file, tiny(1)),
        Error::NotADirectory { .. }
    ));
    assert!(matches!(
        refused(file.join("below"), tiny(1)),
        Error::NotADirectory { .. }
    ));

    let real = folder.path().join("real");
    std::fs::create_dir(&real).unwrap();
    symlink(&real, folder.db()).unwrap();
    assert!(matches!(
        refused(folder.db(), tiny(1)),
        Error::Symlink { .. }
    ));
    symlink(
        folder.path().join("nowhere"),
        folder.path().join("dangling"),
    )
    .unwrap();
    assert!(matches!(
        refused(folder.path().join("dangling"), tiny(1)),
        Error::Symlink { .. }
    ));
    assert_eq!(std::fs::read_dir(&real).unwrap().count(), 0);

    std::fs::write(real.join("letter.txt"), "precious").unwrap();
    match refused(&real, tiny(1)) {
        Error::ForeignDirectory { found, .. } => assert_eq!(found, "letter.txt"),
        error => panic!("{error}"),
    }
    assert_eq!(std::fs::read_dir(&real).unwrap().count(), 1);
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let folder = Folder::new();
    std::fs::create_dir(folder.db()).unwrap();
    let target = folder.path().join("precious");
    std::fs::write(&target, "precious").unwrap();
    symlink(&target, folder.db().join("LOCK")).unwrap();
    assert!(matches!(
        refused(folder.db(), tiny(1)),
        Error::Symlink { .. }
    ));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn the_path_may_be_relative_and_end_in_a_slash() {
    let folder = Folder::new();
    let current = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = current.components().skip(1).map(|_| "..").collect();
    let relative = up
        .join(folder.path().strip_prefix("/").unwrap())
        .join("db/");
    let db = Database::open(&relative, tiny(1)).unwrap();
    db.put("a", "1").unwrap();
    drop(db);
    assert!(folder.open(tiny(1)).get("a").unwrap().is_some());
}

#[test]
fn a_folder_that_may_not_be_written_is_refused() {
    let folder = Folder::new();
    folder.open(tiny(1)).close().unwrap();
    let read_only = Permissions::from_mode(0o555);
    std::fs::set_permissions(folder.db(), read_only).unwrap();
    let mut command = child("paths::child_without_permission", &folder);
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere; nobody may not. The program has to be reachable for nobody, too.
        command.uid(65_534);
    }
    match command.output() {
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => {
            eprintln!("not tested here, the program cannot be run as another user: {error}")
        }
    }
    let writable = Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.db(), writable).unwrap();
}

#[test]
#[ignore = "a child of the test above"]
fn child_without_permission() {
    assert!(matches!(
        refused(parents_db(), tiny(1)),
        Error::Forbidden { .. }
    ));
    assert!(matches!(
        refused(parents_db().join("below"), tiny(1)),
        Error::Forbidden { .. }
    ));
}
