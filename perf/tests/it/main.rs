//! The binary as a CI job meets it: exit codes, words and files.

mod bisect;
mod device;
mod gate;
mod perf;
mod recipe;
