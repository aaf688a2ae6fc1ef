//! The harness from outside: drivers on a virtual clock, suites as files, reports as data.

mod drivers;
mod reports;
mod schema;
mod suites;
