//! ringkeep-bench.
