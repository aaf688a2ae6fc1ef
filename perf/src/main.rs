//! Regression gates.
fn main() {}
