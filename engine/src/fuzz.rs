//! What `engine/fuzz` needs of this crate beside its interface. No part of that.

pub use crate::database_file::fuzz::{database_file, database_file_seeds, mend_database_file};
pub use crate::keyspace::fuzz::{keyspaces, keyspaces_seeds};
