//! Ctrl-C: what was measured is reported, and the exit code says why it is little.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{Done, Folder, command};

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let folder = Folder::new("interrupt");
    let out = folder.file("out");
    let mut child = command(&[
        "run",
        "--target",
        "memory",
        "--keys",
        "1k",
        "--duration",
        "10m",
        "--warmup",
        "0",
        "--progress",
        "always",
        "--out",
        &out,
    ])
    .stdin(Stdio::null())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("loadgen starts");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    // The live line rewrites itself with carriage returns; its first sight means that load is running.
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("paced 00:0") {
        assert!(
            err.read_until(b'|', &mut seen).expect("readable") > 0,
            "{}",
            String::from_utf8_lossy(&seen)
        );
    }
    let pid = child.id();
    let killed = Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(killed.success());
    std::thread::spawn(move || std::io::copy(&mut err, &mut std::io::sink()));
    let done = Done::from(child.wait_with_output().expect("loadgen ends")).expect(130);
    assert!(done.out.contains("interrupted"), "{}", done.out);
    let saved = std::fs::read_to_string(format!("{out}/report.json")).expect("a report is written");
    assert!(saved.contains("\"interrupted\":true"));
    let left = std::fs::read_dir(std::env::temp_dir())
        .expect("readable")
        .flatten();
    let ours = format!("ringkeep-loadgen-{pid}-");
    assert!(
        left.into_iter()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with(&ours))
    );
}
