//! Several targets in one run: the comparison in every format, and the page made from it.

use super::{Folder, loadgen};

/// Runs these workloads of the suite `peers` and writes everything into `out`.
fn run(filters: &[&str], more: &[&str], out: &str) -> String {
    // Counted, because a time could pass on a busy machine without a single operation.
    let mut run = vec![
        "run",
        "--quick",
        "--duration",
        "500",
        "--suite",
        "peers",
        "--out",
        out,
    ];
    filters
        .iter()
        .for_each(|filter| run.extend(["--filter", filter]));
    run.extend(more);
    loadgen(&run).expect(0).out
}

#[test]
fn targets_take_turns_and_are_compared() {
    let folder = Folder::new("peers");
    let out = folder.file("out");
    let text = run(
        &["peers/{get,large_get}/**", "peers/load_random"],
        &["--target", "ringkeep,memory", "--repeat", "3"],
        &out,
    );
    assert!(text.contains("memory (times ringkeep, interval)"), "{text}");
    for file in ["report.md", "report.html", "report.json"] {
        let text = std::fs::read_to_string(format!("{out}/{file}")).unwrap();
        assert!(text.to_lowercase().contains("comparison"), "{file}");
    }

    let page = loadgen(&["report", "--format", "benchmarks", &out])
        .expect(0)
        .out;
    let row = |title: &str| -> String {
        let found = page
            .lines()
            .find(|line| line.starts_with(&format!("| {title} |")));
        found
            .unwrap_or_else(|| panic!("no row {title} in\n{page}"))
            .to_string()
    };
    for title in [
        "get, 1 thread, uniform",
        "get, zipf 0.99, 1000 callers",
        "random load, then settled",
    ] {
        let row = row(title);
        assert!(
            ["won", "even", "**lost**"]
                .iter()
                .any(|word| row.contains(word)),
            "{row}"
        );
    }
    assert!(row("put, 1 caller").contains("| not measured |"));
    assert!(
        page.contains("## Not reached") && page.contains("- **ringkeep**: "),
        "{page}"
    );
}

#[test]
fn a_page_needs_a_peer() {
    let folder = Folder::new("peerless");
    let out = folder.file("out");
    run(&["peers/get/**"], &[], &out);
    let refused = loadgen(&["report", "--format", "benchmarks", &out]).expect(2);
    assert!(refused.err.contains("--suite peers"), "{}", refused.err);
}
