//! For a terminal.

use std::fmt::Write;

use crate::gate::Comparison;

/// The verdict last, where a terminal stops scrolling.
pub fn text(comparison: &Comparison, all: bool) -> String {
    let mut text = format!("base: {}\nhead: {}\n", comparison.base, comparison.head);
    if let Some(table) = super::table(comparison, all) {
        let _ = write!(text, "\n{}\n", table.text("  "));
    }
    for note in &comparison.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let _ = writeln!(text, "{}", comparison.headline());
    text
}
