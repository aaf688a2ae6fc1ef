//! Reports as data: what is saved comes back, and every format takes what a run finds.

use std::sync::atomic::AtomicBool;

use ringkeep_bench::data_dir::DataDir;
use ringkeep_bench::environment::Environment;
use ringkeep_bench::experiment::{Bench, Event, Manner};
use ringkeep_bench::phase::Setting;
use ringkeep_bench::placement::Placement;
use ringkeep_bench::report::{
    IntervalLog, Report, RunRecord, SCHEMA_VERSION, Verdict, compare, html, intervals_csv, junit,
    markdown, table,
};
use ringkeep_bench::suite::{Overrides, Scale, Suite};
use ringkeep_bench::target::BUILT_IN;
use ringkeep_bench::workload::Drive;

const SUITE: &str = r#"
schema = 1
[suite]
name = "reports"
[[dataset]]
id = "kv"
keys = 2000
value = { dist = "fixed", size = 100 }
[[workload]]
name = "reports/mixed"
dataset = "kv"
clients = 4
  [[workload.phase]]
  name = "paced"
  duration = "3000"
  load = { mode = "open", rate = "5k/s" }
  ops = [{ op = "get", weight = 9 }, { op = "put" }, { op = "scan", len = 5 }, { op = "multi_get", n = 4 }]
  slo = ["get.p50 < 1h", "get.max < 1ns", "errors == 0"]
    [[workload.phase.beside]]
    name = "writer"
    load = { mode = "closed", clients = 1, think = "1ms" }
    ops = [{ op = "batch", n = 3 }]
  [[workload.phase]]
  name = "saturate"
  duration = "4000"
  load = { mode = "closed" }
  ops = "paced"
"#;

pub fn run(repetitions: u32) -> (Report, IntervalLog) {
    let suite = Suite::parse("reports", SUITE, &[]).unwrap();
    let workload = suite
        .workloads(Scale::Quick, &Overrides::default())
        .unwrap()
        .remove(0);
    let dir = DataDir::temporary().unwrap();
    let stop = AtomicBool::new(false);
    let manner = Manner {
        setting: Setting {
            drivers: 1,
            driver_cores: Vec::new(),
            validate: true,
            drive: Drive::Auto,
        },
        scale: Scale::Quick,
        placement: Placement::of(1),
        loaders: 2,
        shards: None,
        reuse: false,
        record: None,
        program: None,
        extra: Default::default(),
    };
    let memory = BUILT_IN.iter().find(|kind| kind.name == "memory").unwrap();
    let mut log = IntervalLog::new();
    let mut bench = Bench::new(&dir, manner, &stop);
    let results = (0..repetitions)
        .map(|repetition| {
            bench.run(memory, &workload, repetition, &mut |event| {
                if let Event::Done(phase, outcome, _) = event {
                    log.add("", phase, outcome);
                }
            })
        })
        .collect();
    let report = Report {
        schema_version: SCHEMA_VERSION,
        run: RunRecord {
            id: "1".to_string(),
            started: "2026-01-01T00:00:00Z".to_string(),
            command: vec![
                "run".to_string(),
                "--filter".to_string(),
                "a<b>&\"c\"".to_string(),
            ],
            version: "0".to_string(),
            git_commit: "0".to_string(),
            build_profile: "test".to_string(),
            scale: Scale::Quick,
            validated: true,
            drivers: 1,
        },
        environment: Environment::of(dir.path()),
        results,
        curves: Vec::new(),
        warnings: vec!["a warning with <angles>".to_string()],
        interrupted: false,
    };
    (report, log)
}

#[test]
fn what_is_saved_comes_back() {
    let (report, _) = run(1);
    let text = report.to_json();
    assert!(Report::from_json(&text).unwrap() == report);
    assert!(
        Report::from_json("{}")
            .unwrap_err()
            .contains("not a report")
    );
    let newer = text.replacen("\"schema_version\":1", "\"schema_version\":99", 1);
    assert!(Report::from_json(&newer).unwrap_err().contains("schema 99"));
}

#[test]
fn a_run_finds_what_was_asked() {
    let (report, _) = run(1);
    let result = &report.results[0];
    assert_eq!(result.failure, None);
    let paced = &result.phases[0];
    assert_ne!(paced.verdict, Verdict::WrongAnswers, "{:?}", paced.notes);
    let met: Vec<bool> = paced.slo.iter().map(|slo| slo.met).collect();
    assert_eq!(met, [paced.streams[0].ops[0].count >= 200, false, true]);
    assert_eq!(paced.streams[1].name, "writer");
    assert!(
        paced.streams[1].ops[0].count > 0,
        "the writer beside is reported"
    );
    let saturate = &result.phases[1].streams[0];
    assert!(!saturate.shows_response && saturate.generator_cpu_ns > 0.0);
    assert!(saturate.ops.iter().all(|op| op.count > 0));
    let get = saturate.ops.iter().find(|op| op.op == "get").unwrap();
    assert_eq!(
        (get.rows, get.bytes, get.absent),
        (get.count, get.count * 100, 0)
    );
}

#[test]
fn every_format_takes_a_report() {
    let (report, log) = run(1);
    let page = html(&report);
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg"));
    assert!(page.contains("a warning with &lt;angles&gt;"));
    for outside in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(
            !page.contains(outside),
            "the page must not reach for {outside}"
        );
    }
    let xml = junit(&report);
    assert!(xml.contains("get.max &lt; 1ns") && xml.contains("<failure"));
    let lines: Vec<String> = intervals_csv(&report).lines().map(str::to_string).collect();
    let columns = lines[0].split(',').count();
    assert!(lines.len() > 2 && lines.iter().all(|line| line.split(',').count() == columns));
    assert!(markdown(&report).contains("**missed**"));
    assert!(table::report_text(&report).contains("SLO get.max < 1ns: MISSED"));

    let text = log.text();
    let entries: Vec<_> =
        hdrhistogram::serialization::interval_log::IntervalLogIterator::new(text.as_bytes())
            .map(|entry| entry.expect("every line of the log is read"))
            .collect();
    let tags = text.matches("Tag=paced.get.response,").count();
    assert!(
        tags > 0 && entries.len() > tags,
        "{tags} tagged lines, {} entries",
        entries.len()
    );
}

#[test]
fn only_likes_are_compared() {
    let (report, _) = run(3);
    let all: Vec<_> = report.results.iter().collect();
    let same = compare(&all, &all);
    assert!(same.refused.is_empty() && !same.rows.is_empty());
    assert!(same.rows.iter().all(|row| row.ratio.ratio == 1.0));
    let mut rates = same.rows.iter().filter(|row| row.metric == "done/s");
    assert!(rates.any(|row| row.ratio.paired));
    let mut other = report.results[0].clone();
    other.workload_hash = "different".to_string();
    let unlike = compare(&all, &[&other]);
    assert!(unlike.rows.is_empty());
    assert!(unlike.refused[0].contains("not the same workload"));
}
