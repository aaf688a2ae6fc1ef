use ringkeep::limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use ringkeep::{Batch, Database, Error};

use crate::folder::{Folder, child, on_glommio, parents_db, tiny};

#[test]
fn keys_and_values_over_the_limits_are_refused_with_the_numbers() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let long = vec![b'k'; KEY_BYTES_MAX + 1];
    let too_long = Error::KeyTooLong {
        bytes: KEY_BYTES_MAX + 1,
        max: KEY_BYTES_MAX,
    };
    assert_eq!(db.put("", "1"), Err(Error::EmptyKey));
    assert_eq!(db.get(""), Err(Error::EmptyKey));
    assert_eq!(db.delete(""), Err(Error::EmptyKey));
    assert_eq!(db.multi_get(["a", ""]), Err(Error::EmptyKey));
    assert_eq!(db.put(&long, "1"), Err(too_long.clone()));
    assert_eq!(db.get(&long), Err(too_long.clone()));
    let text = too_long.to_string();
    assert!(text.contains("4097") && text.contains("4096"), "{text}");

    let value = vec![0; VALUE_BYTES_MAX + 1];
    let too_large = Error::ValueTooLarge {
        bytes: VALUE_BYTES_MAX + 1,
        max: VALUE_BYTES_MAX,
    };
    assert_eq!(db.put("a", &value), Err(too_large.clone()));

    let refused = |batch: &mut Batch| db.write(std::mem::take(batch));
    assert_eq!(
        refused(Batch::new().put("a", "1").put("", "2")),
        Err(Error::EmptyKey)
    );
    assert_eq!(
        refused(Batch::new().put("a", "1").delete(&long)),
        Err(too_long)
    );
    assert_eq!(
        refused(Batch::new().put("a", "1").put("b", &value)),
        Err(too_large)
    );
    let part = &value[..VALUE_BYTES_MAX];
    let bytes = 3 * VALUE_BYTES_MAX + 3;
    let batch = refused(Batch::new().put("a", part).put("b", part).put("c", part));
    assert_eq!(
        batch,
        Err(Error::BatchTooLarge {
            bytes,
            max: BATCH_BYTES_MAX
        })
    );
    assert_eq!(db.scan(..).count(), 0, "nothing of all this was written");

    db.put(&long[..KEY_BYTES_MAX], "1").unwrap();
    assert!(db.get(&long[..KEY_BYTES_MAX]).unwrap().is_some());
}

fn under(limit: &str, test: &str, folder: &Folder) {
    let command = child(test, folder);
    let line = format!("ulimit -S {limit} && exec \"$0\" \"$@\"");
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &line])
        .arg(command.get_program())
        .args(command.get_args());
    shell.env("RINGKEEP_TEST_FOLDER", folder.db());
    let output = shell.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn too_few_descriptors_are_named() {
    let folder = Folder::new();
    under("-n 40", "limits::child_with_few_descriptors", &folder);
    folder.open(tiny(2)).put("a", "1").unwrap();
}

#[test]
#[ignore = "a child of the test above"]
fn child_with_few_descriptors() {
    let error = Database::open(parents_db(), tiny(2)).map(drop).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Limit {
                now: 40,
                needed: 60..,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("ulimit -n"), "{error}");
}

#[test]
fn a_low_file_size_limit_is_named_before_the_kernel_kills_for_it() {
    let folder = Folder::new();
    under("-f 20000", "limits::child_with_small_files", &folder);
    folder.open(tiny(2)).put("a", "1").unwrap();
}

#[test]
#[ignore = "a child of the test above"]
fn child_with_small_files() {
    let error = Database::open(parents_db(), tiny(2)).map(drop).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Limit {
                now: 10_240_000 | 20_480_000,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("ulimit -f"), "{error}");
}

#[test]
fn little_locked_memory_is_enough_or_is_named() {
    let folder = Folder::new();
    under("-l 64", "limits::child_with_little_locked_memory", &folder);
}

#[test]
#[ignore = "a child of the test above"]
fn child_with_little_locked_memory() {
    let opened = Database::open(parents_db(), tiny(2));
    if on_glommio() {
        let error = opened.map(drop).unwrap_err().to_string();
        let says = |what| error.contains(what);
        assert!(
            says("512 KiB") && says("ulimit -l") && says("Executor::Own"),
            "{error}"
        );
        return;
    }
    let db = opened.unwrap();
    db.put("a", "1").unwrap();
    assert!(db.get("a").unwrap().is_some());
    db.close().unwrap();
}
