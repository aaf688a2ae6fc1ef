//! ringkeep.
