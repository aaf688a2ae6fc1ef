//! ringkeep-shard.
