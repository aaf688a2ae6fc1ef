//! The probe leaves nothing, and says what stops it.

use crate::perf::{Folder, check, perf};

#[test]
fn a_short_probe_measures_everything_and_cleans_up() {
    let folder = Folder::new("device");
    let (dir, json) = (folder.path("new"), folder.path("device.json"));
    let probe = ["device", "--seconds", "1", "--size", "8MiB"];
    let (code, said) = perf(&[&probe[..], &["--dir", &dir, "--json", &json]].concat());
    assert!(!std::path::Path::new(&dir).exists());
    if code == 2 {
        // Where direct I/O is missing the probe says so; on slow devices it asks for more time.
        assert!(
            said.contains("direct I/O") || said.contains("--seconds"),
            "{said}"
        );
        return;
    }
    assert_eq!(code, 0, "{said}");
    let report: serde_json::Value =
        serde_json::from_str(&folder.read("device.json")).expect("JSON");
    for row in report["rows"].as_array().expect("rows") {
        assert!(row["measured"]["operations"].as_u64() > Some(0), "{row}");
    }
}

#[test]
fn a_foreign_folder_is_left_alone() {
    let folder = Folder::new("foreign");
    folder.write("precious", "x");
    let dir = folder.path("");
    check(&["device", "--dir", &dir], 2, "is not empty");
    assert_eq!(folder.read("precious"), "x");
    check(&["device", "--size", "4KiB"], 2, "too small");
    check(&["device", "--seconds", "0"], 2, "0 is not in");
}
