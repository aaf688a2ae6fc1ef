//! ringkeep-io.
