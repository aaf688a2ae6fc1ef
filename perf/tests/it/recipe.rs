//! The shell recipe for any CI, in a repository whose builds take no time.

use std::path::Path;
use std::process::Command;

use crate::perf::{Folder, git};

/// A `perf` whose scenario costs what the commit says, and which judges as the real one does.
const BUILD: &str = r#"
[ ! -e broken ] || { echo "error: cannot build this" >&2; exit 1; }
mkdir -p "$CARGO_TARGET_DIR"
cat >"$CARGO_TARGET_DIR/perf" <<END
#!/bin/sh
case "\$1 \$2" in
    'scenario ') echo '[{"name": "put", "operation": "x", "ops": 1}]' ;;
    scenario*) echo '{"scenario": "put", "workload": "w", "answers": "a", "ops": 1, "user_bytes": 0,
        "counts": {"allocations": $(cat allocations)}, "space_bytes": 0, "live_bytes": 0,
        "cpu_ns": 50000000, "wall_ns": 50000000,
        "toolchain": {"rustc": "r", "target": "t", "processor": "p"}}' ;;
    *) exec PERF "\$@" --no-instructions ;;
esac
END
chmod +x "$CARGO_TARGET_DIR/perf"
"#;

fn recipe(folder: &Folder, pairs: &str) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/gate");
    let output = Command::new("bash")
        .arg(script)
        .arg("main")
        .current_dir(folder.path(""))
        .envs([
            ("PERF_PAIRS", pairs),
            ("PERF_BUILD", "sh build.sh"),
            ("PERF_BINARY", "target/perf"),
        ])
        .output()
        .expect("bash");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn a_change_is_judged_against_where_it_branched_off() {
    let folder = Folder::new("recipe");
    let commit = |name: &str, allocations: u64| {
        folder.write("allocations", &allocations.to_string());
        git(&folder, &["add", "--all"]);
        git(
            &folder,
            &["commit", "--quiet", "--allow-empty", "--message", name],
        );
    };
    git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
    folder.write(
        "build.sh",
        &BUILD.replace("PERF", env!("CARGO_BIN_EXE_perf")),
    );
    folder.write(".gitignore", "target\n");
    commit("start", 7);
    git(&folder, &["checkout", "--quiet", "-b", "change"]);
    commit("nothing", 7);
    // What happens on the main branch meanwhile is not the change's.
    git(&folder, &["checkout", "--quiet", "main"]);
    commit("better", 5);
    git(&folder, &["checkout", "--quiet", "change"]);
    let (code, said) = recipe(&folder, "14");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("PASS: 3 metrics"), "{said}");

    commit("worse", 8);
    let (code, said) = recipe(&folder, "0");
    assert!(
        code == Some(3) && said.contains("put/allocations"),
        "{code:?}: {said}"
    );
    assert!(
        folder
            .read("target/perf-gate/perf.md")
            .starts_with("**perf: REGRESSION")
    );
    assert!(
        folder
            .read("target/perf-gate/perf.xml")
            .contains("<failure")
    );

    folder.write("broken", "");
    let (code, said) = recipe(&folder, "0");
    assert!(
        code == Some(1) && said.contains("cannot build this"),
        "{code:?}: {said}"
    );
}
