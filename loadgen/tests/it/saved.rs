//! Saved runs: every file is written, and can be shown, rendered and compared again.

use super::{Folder, loadgen};

#[test]
fn a_saved_run_is_shown_rendered_and_compared() {
    let folder = Folder::new("saved");
    let (a, b) = (folder.file("a"), folder.file("b"));
    for (out, filter) in [(&a, "bench/op/{get,scan_10}"), (&b, "bench/op/get")] {
        let run = [
            "run", "--quick", "--target", "memory", "--filter", filter, "--out", out,
        ];
        let done = loadgen(&run).expect(0);
        assert!(done.out.contains("bench/op/get  on memory"), "{}", done.out);
    }
    let files: Vec<String> = [
        "report.json",
        "report.html",
        "report.hlog",
        "intervals.csv",
        "report.md",
        "junit.xml",
    ]
    .map(|name| format!("{a}/{name}"))
    .to_vec();
    for file in &files {
        assert!(
            std::fs::metadata(file).is_ok_and(|meta| meta.len() > 100),
            "{file}"
        );
    }

    let shown = loadgen(&["show", &a]).expect(0);
    assert!(shown.out.contains("bench/op/scan_10  on memory"));
    let again = folder.file("again");
    loadgen(&["report", &files[0], "--out", &again]).expect(0);
    let page = |dir: &str| std::fs::read_to_string(format!("{dir}/report.html")).unwrap();
    assert_eq!(page(&a), page(&again));
    let half = folder.file("half");
    loadgen(&["report", &a, "--format", "md,hlog", "--out", &half]).expect(2);
    assert!(!std::path::Path::new(&half).join("report.md").exists());

    let compared = loadgen(&["compare", &a, &b]).expect(0);
    assert!(
        compared
            .out
            .contains("not compared: bench/op/scan_10: only on one side"),
        "{}",
        compared.out
    );
    assert!(
        compared.out.contains("bench/op/get get get"),
        "{}",
        compared.out
    );
    let unlike = folder.file("c");
    let other = [
        "run", "--quick", "--target", "memory", "--filter", "ycsb/c", "--out", &unlike,
    ];
    loadgen(&other).expect(0);
    let refused = loadgen(&["compare", &a, &unlike]).expect(2);
    assert!(
        refused.err.contains("nothing to compare"),
        "{}",
        refused.err
    );
    loadgen(&["show", &folder.file("nothing")]).expect(2);
}
