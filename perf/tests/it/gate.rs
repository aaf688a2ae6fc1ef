//! A gate that can fail, fails for each reason by name, and for no other.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::perf::{Folder, check, perf};

/// A baseline of two quick scenarios.
fn baseline(name: &str) -> Folder {
    let folder = Folder::new(name);
    let out = folder.path("base.json");
    let run = [
        "run",
        "--no-instructions",
        "--filter",
        "put",
        "--filter",
        "get_miss",
    ];
    check(&[&run[..], &["--out", &out]].concat(), 0, "get_miss");
    folder
}

fn gate<'a>(base: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["gate", "--baseline", base, "--no-instructions"];
    [&fixed[..], more].concat()
}

const BOTH: [&str; 4] = ["--filter", "put", "--filter", "get_miss"];

#[test]
fn the_same_binary_passes_every_time() {
    let folder = baseline("same");
    let base = folder.path("base.json");
    for _ in 0..20 {
        check(&gate(&base, &BOTH), 0, "PASS");
    }
    let own = env!("CARGO_BIN_EXE_perf");
    let arguments = [
        "gate",
        "--base",
        own,
        "--no-instructions",
        "--filter",
        "put",
    ];
    check(&arguments, 0, "PASS");
}

#[test]
fn a_gate_that_works_turns_red() {
    let folder = baseline("inject");
    let base = folder.path("base.json");
    let (md, junit, json) = (
        folder.path("a.md"),
        folder.path("a.xml"),
        folder.path("a.json"),
    );
    let injected = [
        &BOTH[..],
        &[
            "--inject", "10%", "--md", &md, "--junit", &junit, "--json", &json,
        ],
    ]
    .concat();
    check(&gate(&base, &injected), 3, "put/durable_writes");
    assert!(folder.read("a.md").starts_with("**perf: REGRESSION"));
    assert!(folder.read("a.xml").contains("<failure message="));
    let json: serde_json::Value = serde_json::from_str(&folder.read("a.json")).expect("JSON");
    let rows = json["rows"].as_array().expect("rows");
    let is_red = |row: &&serde_json::Value| row["verdict"] == "regression";
    assert!(rows.iter().filter(is_red).count() > 5);
    check(
        &gate(&base, &[&BOTH[..], &["--inject", "0%"]].concat()),
        2,
        "above zero",
    );
}

#[test]
fn one_allocation_more_is_caught_by_name() {
    let folder = baseline("allocation");
    let report: serde_json::Value =
        serde_json::from_str(&folder.read("base.json")).expect("a report");
    let metric = &report["scenarios"]["put"]["metrics"]["allocations"];
    let total = metric["total"].as_u64().expect("a total");
    // The base had one less, so this run has one more.
    let mut lower = report.clone();
    lower["scenarios"]["put"]["metrics"]["allocations"]["total"] = (total - 1).into();
    folder.write("base.json", &lower.to_string());
    check(
        &gate(&folder.path("base.json"), &BOTH),
        3,
        "put/allocations",
    );
}

#[test]
fn what_is_no_baseline_is_never_green() {
    let folder = baseline("broken");
    let base = folder.path("base.json");
    check(&gate(&folder.path("none.json"), &BOTH), 5, "does not exist");

    let whole = folder.read("base.json");
    folder.write("cut.json", &whole[..whole.len() / 2]);
    check(
        &gate(&folder.path("cut.json"), &BOTH),
        2,
        "not a whole report",
    );
    folder.write("empty.json", "");
    check(
        &gate(&folder.path("empty.json"), &BOTH),
        2,
        "not a whole report",
    );
    folder.write("other.json", "{}");
    check(
        &gate(&folder.path("other.json"), &BOTH),
        2,
        "not a whole report",
    );
    folder.write(
        "newer.json",
        &whole.replace("\"schema_version\": 1", "\"schema_version\": 2"),
    );
    check(
        &gate(&folder.path("newer.json"), &BOTH),
        2,
        "schema version 2",
    );

    // Measured with other work, under the same name.
    folder.write(
        "work.json",
        &whole.replace("\"workload\": \"put-", "\"workload\": \"put-9"),
    );
    check(&gate(&folder.path("work.json"), &BOTH), 5, "other work");
    folder.write(
        "answers.json",
        &whole.replace("\"answers\": \"", "\"answers\": \"9"),
    );
    check(
        &gate(&folder.path("answers.json"), &BOTH),
        5,
        "other answers",
    );
    // A scenario that the baseline lacks, and a metric that the run lacks.
    check(
        &gate(&base, &["--filter", "batch", "--filter", "put"]),
        5,
        "no baseline",
    );
    folder.write("more.json", &whole.replace("\"syncs\"", "\"sinks\""));
    check(&gate(&folder.path("more.json"), &BOTH), 5, "put/sinks");
    check(
        &gate(&base, &["--filter", "no such*"]),
        2,
        "matches no scenario",
    );
}

#[test]
fn a_child_that_does_not_finish_concludes_nothing() {
    let folder = baseline("killed");
    let base = folder.path("base.json");
    check(&gate(&base, &["--head", "/bin/false"]), 70, "exited with 1");
    // Killed on the way, as by a machine that ran out of memory.
    folder.write(
        "killed",
        "#!/bin/sh\n[ -z \"$2\" ] && echo '[{\"name\": \"put\"}]' && exit\nkill -9 $$\n",
    );
    let killed = folder.path("killed");
    std::fs::set_permissions(&killed, PermissionsExt::from_mode(0o755)).expect("a mode");
    check(
        &gate(&base, &["--head", &killed]),
        70,
        "killed by signal 9; nothing is concluded",
    );
    check(
        &gate(&base, &["--head", "/bin/true"]),
        70,
        "printed no outcome",
    );
    check(
        &gate(&base, &["--head", "/no/such/binary"]),
        2,
        "/no/such/binary",
    );
}

#[test]
fn instructions_of_another_compiler_are_not_compared() {
    let folder = Folder::new("toolchain");
    let metrics =
        r#"{ "instructions": { "total": 100, "per": 1 }, "syncs": { "total": 1, "per": 1 } }"#;
    let report = |rustc: &str| {
        format!(
            r#"{{ "schema_version": 1, "kind": "ringkeep-perf-work",
                "instruments": {{ "Ok": {{ "valgrind": "v", "libc": "c",
                    "toolchain": {{ "rustc": "{rustc}", "target": "t", "processor": "p" }} }} }},
                "scenarios": {{ "put": {{ "workload": "w", "answers": "a", "ops": 1, "metrics": {metrics} }} }} }}"#
        )
    };
    folder.write("a.json", &report("rustc 1"));
    folder.write("b.json", &report("rustc 2"));
    let (a, b) = (folder.path("a.json"), folder.path("b.json"));
    check(&["compare", &a, &a, "--strict"], 0, "PASS");
    check(
        &["compare", &a, &b],
        0,
        "another toolchain: rustc 1, here rustc 2",
    );
    check(&["compare", &a, &b, "--strict"], 4, "UNDECIDED");
    folder.edit(
        "b.json",
        "\"syncs\": { \"total\": 1",
        "\"syncs\": { \"total\": 2",
    );
    check(&["compare", &a, &b], 3, "put/syncs");
    folder.edit("b.json", "rustc 2", "rustc 1");
    folder.edit("b.json", "\"total\": 100", "\"total\": 102");
    folder.edit(
        "b.json",
        "\"syncs\": { \"total\": 2",
        "\"syncs\": { \"total\": 1",
    );
    check(&["compare", &a, &b], 0, "PASS");
    folder.edit("b.json", "\"total\": 102", "\"total\": 105");
    check(&["compare", &a, &b], 3, "put/instructions");
    check(&["compare", &b, &a], 0, "improvement");
}

#[test]
fn agreed_growth_passes_until_its_day() {
    let folder = baseline("accept");
    let report: serde_json::Value =
        serde_json::from_str(&folder.read("base.json")).expect("a report");
    let mut lower = report.clone();
    let total = &mut lower["scenarios"]["put"]["metrics"]["allocations"]["total"];
    *total = (total.as_u64().expect("a total") - 1).into();
    folder.write("base.json", &lower.to_string());
    folder.write("head.json", &report.to_string());
    let (base, head) = (folder.path("base.json"), folder.path("head.json"));
    let agreed = folder.path("accepted.toml");

    let export = [
        "baseline",
        "export",
        "--from",
        &head,
        "--to",
        &base,
        "--accepted",
        &agreed,
    ];
    check(&export, 3, "put/allocations");
    let agree = [
        "accept",
        "put/allocations",
        "--file",
        &agreed,
        "--until",
        "2999-12-31",
    ];
    check(&agree, 2, "--reason");
    check(&[&agree[..], &["--reason", " "]].concat(), 2, "empty");
    check(
        &[&agree[..], &["--reason", "checked twice"]].concat(),
        0,
        "commit",
    );
    let judged = gate(&base, &["--accepted", &agreed, "--filter", "put"]);
    check(&judged, 0, "accepted until 2999-12-31: checked twice");

    folder.edit("accepted.toml", "2999-12-31", "2020-01-01");
    check(&judged, 3, "ended on 2020-01-01");
    folder.edit("accepted.toml", "2020-01-01", "2999-12-31");
    check(&export, 0, "2 scenarios");
    check(&gate(&base, &["--filter", "put"]), 0, "PASS");
    let (_, listed) = perf(&["baseline", "list", "--file", &base]);
    assert!(listed.contains("get_miss"), "{listed}");
}

#[test]
fn what_is_measured_no_more_leaves_the_baseline_by_name() {
    let folder = baseline("prune");
    let (base, run) = (folder.path("base.json"), folder.path("run.json"));
    let whole = folder.read("base.json");
    folder.write("run.json", &whole);
    let mut older: serde_json::Value = serde_json::from_str(&whole).expect("a report");
    older["scenarios"]["gone"] = older["scenarios"]["put"].clone();
    older["scenarios"]["put"]["metrics"]["sinks"] = serde_json::json!({ "total": 1, "per": 1 });
    folder.write("base.json", &older.to_string());
    check(&["compare", &base, &run], 4, "put/sinks");

    let prune = ["baseline", "prune", "--file", &base, "--from", &run];
    let (code, said) = perf(&prune);
    let named = ["removed gone\n", "removed put/sinks\n", "2 removed"];
    assert!(
        code == 0 && named.iter().all(|words| said.contains(words)),
        "{code}: {said}"
    );
    check(&["compare", &base, &run], 0, "PASS");
    check(&prune, 0, "0 removed");
    folder.edit("run.json", "\"put\"", "\"tup\"");
    // A run of a part would leave the rest without a baseline.
    let export = ["baseline", "export", "--from", &run, "--to", &base];
    check(&export, 2, "this run has no put");
    folder.edit("run.json", "\"get_miss\"", "\"miss_get\"");
    check(&prune, 2, "of something else");
    check(&["compare", &base, &base], 0, "PASS");
}

#[test]
fn a_suite_is_a_file_and_says_what_is_measured() {
    let folder = Folder::new("suite");
    let suite = folder.path("two.toml");
    let text = "about = \"a test\"\nscenarios = [\"put\", \"get_m*\"]\ninstructions = false\n";
    folder.write("two.toml", text);
    let (code, said) = perf(&["run", "--suite", &suite]);
    let of = |name| said.lines().any(|line| line.starts_with(name));
    let measured = of("put ") && of("get_miss ") && of("get_memtable ");
    assert!(code == 0 && measured && !of("batch "), "{code}: {said}");
    check(
        &["run", "--suite", &suite, "--filter", "put"],
        2,
        "cannot be used with",
    );
}

#[test]
fn a_suite_that_cannot_be_used_is_refused() {
    let folder = Folder::new("suites");
    let suite = folder.path("one.toml");
    check(
        &["run", "--suite", "none"],
        2,
        "no suite is at perf/suites/none.toml",
    );
    for (text, words) in [
        (
            "about = \"\"\nscenarios = []\ninstructions = false\n",
            "names no scenarios",
        ),
        ("about = \"\"\nscenarios = [\"put\"]\n", "instructions"),
        (
            "about = \"\"\nscenarios = [\"no such\"]\ninstructions = false\n",
            "matches no scenario",
        ),
        (
            "about = \"\"\nscenarios = [\"put\"]\ninstructions = false\npears = 1\n",
            "pears",
        ),
    ] {
        folder.write("one.toml", text);
        check(&["run", "--suite", &suite], 2, words);
    }
}

#[test]
fn times_are_judged_in_pairs() {
    let own = env!("CARGO_BIN_EXE_perf");
    let pairs = [
        "gate",
        "--base",
        own,
        "--no-instructions",
        "--filter",
        "get_miss",
        "--pairs",
        "14",
        "--all",
    ];
    let (code, said) = perf(&pairs);
    // What a busy machine says about times is its own affair; that it says something is ours.
    assert!(
        said.contains("get_miss/cpu_ns") && said.contains("noise"),
        "{said}"
    );
    assert!(code == 0 || code == 3, "{code}: {said}");
    check(&["gate", "--pairs", "10"], 2, "--base");
    // Six pairs could not turn red whatever they held.
    let few = [&pairs[..6], &["--pairs", "6"]].concat();
    check(&few, 2, "use 14 or more");
}

#[test]
fn calibration_says_what_can_be_judged_here() {
    let folder = Folder::new("calibrate");
    let (out, md) = (folder.path("floors.json"), folder.path("alarms.md"));
    let arguments = [
        "calibrate",
        "--repeat",
        "2",
        "--pairs",
        "14",
        "--simulated",
        "6",
        "--no-instructions",
        "--filter",
        "get_miss",
        "--out",
        &out,
        "--md",
        &md,
    ];
    check(&arguments, 0, "judged here");
    let table = folder.read("alarms.md");
    assert!(table.contains("| work, here | 2 | 0 |"), "{table}");
    assert!(table.contains("| CPU time, simulated | 6 |"), "{table}");
    let floors: serde_json::Value =
        serde_json::from_str(&folder.read("floors.json")).expect("JSON");
    assert!(floors["get_miss/cpu_ns"].as_f64() >= Some(0.0), "{floors}");
}

#[test]
fn a_history_names_the_run_that_changed_something() {
    let folder = baseline("history");
    let (run, file, html) = (
        folder.path("base.json"),
        folder.path("h.ndjson"),
        folder.path("h.html"),
    );
    let append = |label: &str| {
        let arguments = [
            "history", &file, "--append", &run, "--label", label, "--html", &html,
        ];
        perf(&arguments).1
    };
    append("one");
    assert!(append("two").contains("no change"));
    let mut report: serde_json::Value =
        serde_json::from_str(&folder.read("base.json")).expect("JSON");
    report["scenarios"]["put"]["metrics"]["syncs"]["total"] = 4000.into();
    report["scenarios"]["put"]["metrics"]["syncs"]["per"] = 2000.into();
    folder.write("base.json", &report.to_string());
    let said = append("three");
    let line = said
        .lines()
        .find(|line| line.contains("put/syncs"))
        .expect(&said);
    assert!(line.contains("three"), "{line}");
    assert!(folder.read("h.html").contains("figure class=\"changed\""));
    folder.write("h.ndjson", &(folder.read("h.ndjson") + "{\"label\": \"cut"));
    check(&["history", &file], 2, "line 4");
}

#[test]
fn a_reader_that_stops_reading_sees_no_backtrace() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_perf"))
        .arg("scenario")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("perf runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("perf ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
