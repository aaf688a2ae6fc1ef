//! Suite files: what is refused, and how it is said.

use ringkeep_bench::suite::{Overrides, Scale, Suite};
use ringkeep_bench::workload::{KeyLaw, Load};

const GOOD: &str = r#"
schema = 1
[suite]
name = "mine"
[defaults]
cache = "10%"
[[dataset]]
id = "kv"
keys = { quick = 100, s = "1M" }
value = { dist = "uniform", min = 10, max = "1KiB" }
[[workload]]
name = "a/base"
dataset = "kv"
clients = 8
keys = { dist = "zipf", theta = 0.9 }
  [[workload.phase]]
  name = "paced"
  load = { mode = "open", rate = "10k/s" }
  ops = [{ op = "read", weight = 3 }, { op = "update", weight = 1 }]
  slo = ["read.p99 < 5ms"]
[[workload]]
name = "a/vary"
extends = "a/base"
matrix = { theta = [0, 1.2], cache = ["50%"] }
"#;

fn parse(text: &str) -> Result<Suite, String> {
    Suite::parse("mine.toml", text, &[]).map_err(|error| error.to_string())
}

#[test]
fn variants_inherit_and_multiply() {
    let suite = parse(GOOD).unwrap();
    let all = suite.workloads(Scale::S, &Overrides::default()).unwrap();
    let names: Vec<&str> = all.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "a/base",
            "a/vary/theta=0/cache=50pct",
            "a/vary/theta=1.2/cache=50pct"
        ]
    );
    assert_eq!((all[0].dataset.keys, all[0].cache_share), (1_000_000, 0.1));
    assert_eq!(all[1].cache_share, 0.5);
    assert_eq!(all[1].phases[0].traffic[0].ops[0].keys, KeyLaw::Uniform);
    assert_eq!(all[0].phases[0].slo[0].to_string(), "read.p99 < 5ms");
    let Load::Open { in_flight_max, .. } = all[0].phases[0].traffic[0].load else {
        panic!("an open load was written");
    };
    assert_eq!(in_flight_max, 8);
}

#[test]
fn one_entry_can_be_set_from_outside() {
    let set = [
        "dataset.kv.keys=5k".to_string(),
        "workload.a/base.clients=2".to_string(),
    ];
    let suite = Suite::parse("mine.toml", GOOD, &set).unwrap();
    let all = suite.workloads(Scale::S, &Overrides::default()).unwrap();
    assert_eq!(all[0].dataset.keys, 5_000);
    for (set, message) in [
        ("dataset.kw.keys=5k", "no dataset `kw`; there is kv"),
        ("dataset.kv.kees=5k", "unknown field `kees`"),
        ("dataset", "assigns nothing"),
    ] {
        let error = Suite::parse("mine.toml", GOOD, &[set.to_string()])
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{set}: {error}");
    }
}

/// Each fault is one change to the good file, and what must be said about it.
#[test]
fn faults_are_named_with_their_place() {
    for (from, to, message) in [
        ("schema = 1", "schema = 2", "this version reads schema = 1"),
        ("name = \"mine\"", "nam = \"mine\"", "did you mean `name`?"),
        ("weight = 3", "wieght = 3", "did you mean `weight`?"),
        (
            "weight = 3",
            "weight = 0",
            "weight of `read` must be above 0",
        ),
        (
            "op = \"read\"",
            "op = \"raed\"",
            "there is no operation `raed`",
        ),
        (
            "rate = \"10k/s\"",
            "rate = \"fast\"",
            "`fast` is not a rate",
        ),
        (
            "rate = \"10k/s\"",
            "clients = 5",
            "an open load needs a rate",
        ),
        (
            "mode = \"open\"",
            "mode = \"closed\"",
            "belong to an open load",
        ),
        ("mode = \"open\"", "mode = \"opne\"", "did you mean `open`?"),
        ("dist = \"zipf\"", "dist = \"zpif\"", "did you mean `zipf`?"),
        ("theta = 0.9", "theta = -1", "theta = -1 is out of range"),
        (
            "extends = \"a/base\"",
            "extends = \"a/bsae\"",
            "did you mean `a/base`?",
        ),
        (
            "dataset = \"kv\"",
            "dataset = \"vk\"",
            "there is no dataset `vk`",
        ),
        (
            "cache = \"10%\"",
            "cache = \"lots\"",
            "is not a share of the dataset",
        ),
        (
            "slo = [\"read.p99 < 5ms\"]",
            "slo = [\"p99 < 5ms\"]",
            "`p99` is not a metric",
        ),
        (
            "dist = \"uniform\", min = 10",
            "dist = \"uniform\", min = \"2KiB\"",
            "min is above max",
        ),
        (
            "dist = \"uniform\", min = 10, max = \"1KiB\"",
            "dist = \"histogram\", steps = [[0.5, 10, 10], [0.5, 20, 1000]]",
            "ok",
        ),
        (
            "dist = \"uniform\", min = 10, max = \"1KiB\"",
            "dist = \"histogram\", steps = [[0.5, 10, 10], [0.4, 20, 1000]]",
            "whose shares add up to 1",
        ),
        (
            "dist = \"uniform\", min = 10, max = \"1KiB\"",
            "dist = \"normal\", mean = 500",
            "this length law needs sigma",
        ),
        (
            "keys = { quick = 100, s = \"1M\" }",
            "keys = 0",
            "keys = 0 is out of range",
        ),
        ("clients = 8\n", "", "ok"),
        (
            "name = \"a/vary\"",
            "name = \"a/base\"\ndataset = \"kv\"",
            "ok",
        ),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from} is in the file");
        match parse(&text) {
            Ok(_) => assert_eq!(message, "ok", "{to} was accepted"),
            Err(error) => {
                assert!(error.contains(message), "{to}: {error}");
                assert!(error.starts_with("mine.toml: "), "{error}");
            }
        }
    }
}

#[test]
fn a_fault_shows_its_line() {
    let error = parse(&GOOD.replace("weight = 3", "wieght = 3")).unwrap_err();
    assert!(error.contains("line 19"), "{error}");
}
