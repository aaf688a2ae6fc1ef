//! For a pull request: the verdict, what changed, and the rest folded away.

use std::fmt::Write;

use crate::gate::Comparison;

/// The comment.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = format!("**perf: {}**\n\n", comparison.headline());
    if let Some(table) = super::table(comparison, false) {
        let _ = writeln!(text, "{}", table.markdown());
    }
    for note in &comparison.notes {
        let _ = writeln!(text, "- {note}");
    }
    if let Some(table) = super::table(comparison, true) {
        let count = comparison.rows.len();
        let _ = write!(
            text,
            "\n<details><summary>all {count} metrics</summary>\n\n{}\n</details>\n",
            table.markdown()
        );
    }
    let _ = write!(
        text,
        "\nbase: {}; head: {}\n\nTo see the same here: `cargo run --release --bin perf -- gate`\n",
        comparison.base, comparison.head
    );
    text
}
