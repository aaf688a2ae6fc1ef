//! The guilty commit of a small repository, whose "binaries" are shell scripts that print what the commit says.

use std::process::Command;

use crate::perf::{Folder, git, perf};

/// Makes a `perf` out of the commit's files `allocations` and `nanos`; fails where there is a file `broken`.
const BUILD: &str = r#"
[ ! -e broken ] || { echo "error: cannot build this" >&2; exit 1; }
mkdir -p target
cat >target/perf <<END
#!/bin/sh
case "\$2" in
    '') echo '[{"name": "put", "operation": "x", "ops": 1}]' ;;
    *) echo '{"scenario": "put", "workload": "w", "answers": "a", "ops": 1, "user_bytes": 0,
        "counts": {"allocations": $(cat allocations)}, "space_bytes": 0, "live_bytes": 0,
        "cpu_ns": $(cat nanos), "wall_ns": $(cat nanos),
        "toolchain": {"rustc": "r", "target": "t", "processor": "p"}}' ;;
esac
END
chmod +x target/perf
"#;

struct Commit {
    allocations: u64,
    nanos: u64,
    broken: bool,
}

fn commit(allocations: u64, nanos: u64) -> Commit {
    Commit {
        allocations,
        nanos,
        broken: false,
    }
}

fn broken() -> Commit {
    Commit {
        broken: true,
        ..commit(0, 0)
    }
}

/// A repository with these commits, called `commit 0` and so on.
fn repository(name: &str, commits: &[Commit]) -> Folder {
    let folder = Folder::new(name);
    let git = |arguments: &[&str]| git(&folder, arguments);
    git(&["init", "--quiet"]);
    folder.write("build.sh", BUILD);
    folder.write(".gitignore", "target\n");
    for (number, commit) in commits.iter().enumerate() {
        folder.write("allocations", &commit.allocations.to_string());
        folder.write("nanos", &commit.nanos.to_string());
        folder.write("number", &number.to_string());
        let _ = std::fs::remove_file(folder.path("broken"));
        if commit.broken {
            folder.write("broken", "");
        }
        git(&["add", "--all"]);
        git(&[
            "commit",
            "--quiet",
            "--message",
            &format!("commit {number}"),
        ]);
        git(&["tag", &format!("c{number}")]);
    }
    folder
}

fn bisect(folder: &Folder, metric: &str, good: &str, bad: &str) -> (i32, String) {
    let repository = folder.path("");
    let fixed = [
        "--build",
        "sh build.sh",
        "--binary",
        "target/perf",
        "--pairs",
        "14",
    ];
    let asked = ["bisect", metric, good, bad, "--repository", &repository];
    perf(&[&asked[..], &fixed].concat())
}

/// What stands after the last blank line.
fn answer(said: &str) -> Vec<&str> {
    let start = said.find("changed in").expect(said);
    said[start..].lines().skip(1).collect()
}

#[test]
fn the_commit_that_added_an_allocation_is_named() {
    let mut commits: Vec<Commit> = (0..9).map(|_| commit(7, 50_000_000)).collect();
    for commit in &mut commits[6..] {
        commit.allocations = 8;
    }
    let folder = repository("bisect", &commits);
    let (code, said) = bisect(&folder, "put/allocations", "c0", "c8");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("put/allocations (+14.29 %)"), "{said}");
    assert!(answer(&said)[0].ends_with("commit 6"), "{said}");
    assert_eq!(answer(&said).len(), 1, "{said}");
    // Nothing is left of the work tree.
    let worktrees = Command::new("git")
        .args(["-C", &folder.path(""), "worktree", "list"])
        .output();
    let worktrees = worktrees.expect("git").stdout;
    assert_eq!(String::from_utf8_lossy(&worktrees).lines().count(), 1);
}

#[test]
fn builds_that_fail_are_skipped() {
    let same = || commit(7, 50_000_000);
    let more = || commit(9, 50_000_000);
    let folder = repository(
        "bisect-broken",
        &[
            same(),
            same(),
            broken(),
            same(),
            broken(),
            more(),
            more(),
            broken(),
            more(),
        ],
    );
    let (code, said) = bisect(&folder, "put/allocations", "c0", "HEAD");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("cannot build this"), "{said}");
    let left = answer(&said);
    assert!(
        left[0].ends_with("commit 4") && left[1].ends_with("commit 5"),
        "{said}"
    );
    assert!(said.contains("one of these"), "{said}");
    let (code, said) = bisect(&folder, "put/allocations", "c0", "c2");
    assert!(code == 2 && said.contains("cannot be built"), "{said}");
}

#[test]
fn times_are_judged_in_pairs_of_runs() {
    let nanos = [50, 50, 50, 60, 60].map(|ms| commit(7, ms * 1_000_000));
    let folder = repository("bisect-times", &nanos);
    let (code, said) = bisect(&folder, "put/cpu_ns", "c0", "c4");
    assert_eq!(code, 0, "{said}");
    assert!(answer(&said)[0].ends_with("commit 3"), "{said}");
}

#[test]
fn ends_that_do_not_differ_and_names_that_do_not_exist_are_told() {
    let folder = repository("bisect-same", &[commit(7, 1), commit(7, 1), commit(7, 1)]);
    let asked = |metric: &str, good: &str, bad: &str| bisect(&folder, metric, good, bad);
    let told = |(code, said): (i32, String), expected: i32, words: &str| {
        assert!(code == expected && said.contains(words), "{code}: {said}");
    };
    told(
        asked("put/allocations", "c0", "c2"),
        4,
        "no change of put/allocations",
    );
    told(
        asked("put/allocations", "c2", "c0"),
        2,
        "does not come before",
    );
    told(asked("put/allocations", "c0", "nowhere"), 2, "nowhere");
    told(
        asked("put/nothing", "c0", "c2"),
        2,
        "no put/nothing to compare",
    );
    told(asked("put", "c0", "c2"), 2, "no metric");
    told(asked("set/allocations", "c0", "c2"), 2, "no scenario");
}
