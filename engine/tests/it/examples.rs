use std::path::PathBuf;
use std::process::Command;

use crate::folder::Folder;

/// The examples lie beside the tests; cargo builds them with these unless told to build less.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join(name);
    if !program.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "-q", "-p", "ringkeep", "--examples"])
            .args(cfg!(feature = "glommio").then_some("--features=glommio"))
            .args((!cfg!(debug_assertions)).then_some("--release"))
            .status();
        assert!(built.unwrap().success());
    }
    program
}

fn run(name: &str, expected: &str) {
    assert_eq!(output(name), expected, "{name}");
}

fn output(name: &str) -> String {
    let folder = Folder::new();
    let output = Command::new(example(name))
        .arg(folder.db())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_example_does_what_it_says() {
    run("hello", "hello, world\n");
    run("on_shard", "cart 7 costs 5\n");
    run("in_memory", "1000 sessions in memory\n");
    run("batch", "alice 70, bob 30\n");
    run("transaction", "alice 70, bob 30, sum 100\n");
    run(
        "snapshot",
        "then 10, now 12; 2 entries then, 3 now\n\
         price:apple: 10 -> 12\nprice:plum:  -> 9\n",
    );
    run(
        "expiry",
        "session:ann = cart: 3 pears\nuser:ann = Ann\n1 dropped\n",
    );
    run(
        "keyspaces",
        "Ann\n<p>Ann</p>\nsomebody\n[\"users\"]; the keyspace \"cache\" was dropped: \
         one of the same name that was made since needs a handle of its own\n",
    );
    run(
        "scan",
        "fruit:apple = red\nfruit:cherry = red\nfruit:plum = blue\nlast: fruit:plum\n",
    );
    run("async_tokio", "1000 tasks wrote 1000 records\n");
    #[cfg(feature = "glommio")]
    run(
        "glommio_service",
        "1000 questions answered on the shard's thread, 1000 answers right\n",
    );
    let receipts = output("receipts");
    let calls = |name: &str| receipts.matches(name).count();
    assert_eq!(
        (calls("\nput, shard"), calls("\nget, shard")),
        (2, 3),
        "{receipts}"
    );
    assert_eq!(output("reopen").matches(" s/GiB: ").count(), 3);
}
