//! A run is recorded, looked at, replayed; a public format is read.

use super::{Folder, loadgen};

#[test]
fn a_recorded_run_is_replayed() {
    let folder = Folder::new("trace");
    let trace = folder.file("run.trace");
    let done = loadgen(&[
        "record",
        &trace,
        "--quick",
        "--filter",
        "bench/op/{get,put,scan_10}",
        "--target",
        "memory",
    ])
    .expect(0);
    assert!(done.err.contains("recorded "), "{}", done.err);
    loadgen(&["record", &trace, "--quick", "--target", "null"]).expect(2);
    let info = loadgen(&["trace", "info", &trace]).expect(0);
    assert!(info.out.contains("keys as hashes"), "{}", info.out);
    assert!(
        info.out.contains("get ") && info.out.contains("scan "),
        "{}",
        info.out
    );
    for target in ["memory", "ringkeep"] {
        for speed in ["100", "max"] {
            let done = loadgen(&[
                "replay",
                &trace,
                "--quick",
                "--target",
                target,
                "--speed",
                speed,
                "--clients",
                "4",
                "--validate",
            ])
            .expect(0);
            assert!(done.out.contains("replay/run  on"), "{}", done.out);
        }
    }
    loadgen(&["replay", &trace, "--rate", "5/s"]).expect(2);
    let fitted = folder.file("fitted.toml");
    std::fs::write(&fitted, loadgen(&["trace", "fit", &trace]).expect(0).out).unwrap();
    loadgen(&["run", "--quick", "--suite", &fitted, "--target", "memory"]).expect(0);
}

#[test]
fn a_public_trace_is_converted_sliced_and_followed() {
    let folder = Folder::new("twitter");
    let (csv, trace) = (folder.file("t.csv"), folder.file("t.trace"));
    let lines: String = (0..2000)
        .map(|i| {
            let op = if i % 3 == 0 { "set" } else { "get" };
            format!("{},key{},8,{},7,{op},0\n", i / 500, i % 50, 100 + i % 50)
        })
        .collect();
    std::fs::write(&csv, lines).unwrap();
    let done = loadgen(&["trace", "convert", &csv, &trace]).expect(0);
    assert!(done.err.contains("2000 operations"), "{}", done.err);
    loadgen(&["trace", "convert", &csv, &trace]).expect(2);
    let second = folder.file("second.trace");
    loadgen(&[
        "trace", "slice", &trace, &second, "--from", "1s", "--to", "2s",
    ])
    .expect(0);
    let info = loadgen(&["trace", "info", &second]).expect(0);
    assert!(info.out.contains("500 in "), "{}", info.out);
    let hashed = folder.file("hashed.trace");
    loadgen(&["trace", "anonymize", &second, &hashed]).expect(0);
    loadgen(&[
        "run",
        "--quick",
        "--target",
        "memory",
        "--rate",
        "1k/s",
        "--arrival",
        "trace",
        "--trace",
        &hashed,
        "--trace-speed",
        "20",
    ])
    .expect(0);
    loadgen(&["run", "--quick", "--arrival", "trace"]).expect(2);
    loadgen(&["trace", "info", &csv]).expect(2);
}

#[test]
fn other_tools_traces_are_read_and_multiplied() {
    let folder = Folder::new("formats");
    for (format, text) in [
        (
            "cachebench",
            "key,op,size,op_count\na,GET,10,3\nb,SET,20,1\n",
        ),
        (
            "ycsb",
            "INSERT usertable user1 [ field0=abc ]\nREAD usertable user1 [ <all fields>]\n\
             READ usertable user2 [ <all fields>]\nSCAN usertable user1 2 [ <all fields>]\n",
        ),
    ] {
        let (from, trace) = (folder.file(format), folder.file(&format!("{format}.trace")));
        std::fs::write(&from, text).unwrap();
        let done = loadgen(&["trace", "convert", &from, &trace, "--from", format]).expect(0);
        assert!(done.err.contains("4 operations"), "{}", done.err);
        let replay = [
            "replay",
            &trace,
            "--quick",
            "--target",
            "memory",
            "--validate",
        ];
        let done = loadgen(
            &[
                &replay[..],
                &[
                    "--amp",
                    "5",
                    "--out",
                    &folder.file(&format!("{format}.out")),
                ],
            ]
            .concat(),
        )
        .expect(0);
        let page =
            std::fs::read_to_string(folder.file(&format!("{format}.out/report.json"))).unwrap();
        assert!(page.contains("20 operations of "), "{format}: {}", done.out);
        loadgen(&[&replay[..], &["--amp", "0"]].concat()).expect(2);
    }
}
