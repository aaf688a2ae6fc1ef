//! What failed once, run for ever: seeds in one file, and plans that a seed would no longer draw, one in a
//! file each.

use crate::draw;
use crate::plan::Plan;

const SEEDS: &str = include_str!("../testdata/seeds.txt");

/// Every plan of the corpus, with its name.
pub fn plans() -> Vec<(String, Plan)> {
    let seeds = SEEDS.lines().filter_map(|line| {
        let number = line.split('#').next()?.trim();
        (!number.is_empty()).then(|| number.parse::<u64>().expect("a seed"))
    });
    let mut plans: Vec<_> = seeds
        .map(|seed| (format!("seed {seed}"), draw::plan(seed)))
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/plans");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a readable plan");
        let plan = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        plans.push((path.display().to_string(), plan));
    }
    plans
}
