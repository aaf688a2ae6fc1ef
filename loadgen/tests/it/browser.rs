//! The page as a browser sees it: every plot has drawn points, nothing is fetched, nothing is complained about.

use std::process::{Command, Stdio};

use super::{Folder, loadgen};

/// Names under which Chromium is installed.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "chrome-headless-shell",
];

/// What is asked of the open page; the answer is written into it, because a dump of it is all that comes back.
const QUESTIONS: &str = r#"<script>
const all = (selector) => [...document.querySelectorAll(selector)];
const drawn = (element) => { const box = element.getBBox(); return box.width > 1 || box.height > 1; };
const plots = all('.plots svg');
document.body.innerHTML = '<pre id="answers">' + JSON.stringify({
  plots: plots.length,
  empty: plots.filter(svg => ![...svg.querySelectorAll('path.line, rect.cell, circle.dot')].some(drawn))
    .map(svg => svg.getAttribute('aria-label')),
  titles: plots.map(svg => svg.getAttribute('aria-label')),
  wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  fetched: performance.getEntriesByType('resource').map(entry => entry.name),
}) + '</pre>';
</script>"#;

fn browser() -> Option<&'static str> {
    BROWSERS.into_iter().find(|name| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// What the page at `path` answers.
fn ask(browser: &str, folder: &Folder, path: &str) -> serde_json::Value {
    let page = std::fs::read_to_string(path).unwrap();
    for fetching in [
        "<script", "src=", "href=", "url(", "@import", "http:", "https:",
    ] {
        assert!(!page.contains(fetching), "the page has {fetching}");
    }
    let asked = folder.file("asked.html");
    std::fs::write(
        &asked,
        page.replace("</body>", &format!("{QUESTIONS}</body>")),
    )
    .unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--enable-logging=stderr",
            "--window-size=1280,2000",
            &format!("--user-data-dir={}", folder.file("profile")),
            "--dump-dom",
            &format!("file://{asked}"),
        ])
        .output()
        .expect("the browser starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(":CONSOLE"), "{said}");
    let dom = String::from_utf8_lossy(&output.stdout);
    let answers = dom
        .split_once("<pre id=\"answers\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"))
        .unwrap_or_else(|| panic!("no answer from {browser}: {dom}\n{said}"))
        .0;
    serde_json::from_str(&answers.replace("&lt;", "<").replace("&amp;", "&")).unwrap()
}

fn check(answers: &serde_json::Value, titles: &[&str]) {
    assert_eq!(answers["empty"], serde_json::json!([]), "{answers}");
    assert_eq!(answers["fetched"], serde_json::json!([]), "{answers}");
    assert_eq!(answers["wide"], false, "the page is wider than its window");
    let shown = answers["titles"].to_string();
    for title in titles {
        assert!(shown.contains(title), "no plot `{title}` in {shown}");
    }
}

#[test]
fn the_page_of_the_headline_is_drawn() {
    let Some(browser) = browser() else {
        eprintln!(
            "skipped: no Chromium is installed ({})",
            BROWSERS.join(", ")
        );
        return;
    };
    let folder = Folder::new("browser");
    let out = folder.file("out");
    // Long enough for several points in each plot; how fast it is does not matter here.
    let done = loadgen(&[
        "run",
        "--filter",
        "bench/load/concurrent_readers_1000",
        "--keys",
        "5k",
        "--duration",
        "1s",
        "--warmup",
        "100ms",
        "--out",
        &out,
    ]);
    assert!([0, 1, 3].contains(&done.code), "{}", done.err);
    let answers = ask(browser, &folder, &format!("{out}/report.html"));
    check(
        &answers,
        &[
            "operations per second",
            "response time over the run",
            "get by percentile",
        ],
    );
    assert!(answers["plots"].as_u64().unwrap() >= 9, "{answers}");
}

#[test]
fn the_page_of_a_sweep_is_drawn() {
    let Some(browser) = browser() else {
        eprintln!(
            "skipped: no Chromium is installed ({})",
            BROWSERS.join(", ")
        );
        return;
    };
    let folder = Folder::new("browser-sweep");
    let out = folder.file("out");
    loadgen(&[
        "sweep", "--quick", "--target", "memory", "--steps", "3", "--from", "10k", "--to", "30k",
        "--out", &out,
    ])
    .expect(0);
    let answers = ask(browser, &folder, &format!("{out}/report.html"));
    check(&answers, &["achieved over offered", "latency over load"]);
}
