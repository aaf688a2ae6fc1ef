//! A folder of its own for each test, and this test program as its own child.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use ringkeep::{Database, Direct, Options, ShardOptions};

/// A new folder, removed at the end with all that is in it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("it-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the database goes.
    pub fn db(&self) -> PathBuf {
        self.0.join("db")
    }

    pub fn open(&self, options: Options) -> Database {
        Database::open(self.db(), options).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that failed may have left threads that still write.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// So small that memtables, segments and runs turn over all the time.
pub fn tiny(shards: u16) -> Options {
    Options {
        shards: Some(shards),
        pin_threads: false,
        // Wherever the build folder is.
        direct: Direct::Optional,
        shard: Some(ShardOptions {
            segment_bytes: 1 << 20,
            ..ShardOptions::for_budget(1 << 20)
        }),
        ..Options::small()
    }
}

/// The suite runs on glommio executors.
pub fn on_glommio() -> bool {
    std::env::var("RINGKEEP_EXECUTOR").is_ok_and(|executor| executor == "glommio")
}

/// Runs one ignored test of this program in a process of its own.
pub fn child(test: &str, folder: &Folder) -> Command {
    let program = std::env::current_exe().unwrap();
    // A name that no test has would run none, and that is a success.
    let listed = Command::new(&program)
        .args(["--list", "--ignored", "--exact", test])
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(
        listed.contains(&format!("{test}: test")),
        "there is no {test}"
    );
    let mut command = Command::new(program);
    command.args([
        "--exact",
        test,
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env("RINGKEEP_TEST_FOLDER", folder.db());
    command
}

/// In the child: the database of the parent.
pub fn parents_db() -> PathBuf {
    std::env::var_os("RINGKEEP_TEST_FOLDER")
        .expect("only the parent test runs this")
        .into()
}
