//! ringkeep-target-engine.
