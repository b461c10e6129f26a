//! Copies of a task's database while it is in use.
//!
//! In: an open database. Out: another directory with the same rows and offsets. Files of sorted rows never change once they are
//! written, so a copy on the same file system is a few links, whatever the size.

use std::path::Path;
use std::sync::Arc;

use rocksdb::checkpoint::Checkpoint;

use super::Db;
use super::provider::DATABASE_DIRECTORY;
use crate::directory::make_directory;
use crate::engine::EngineFiles;
use crate::error::StateError;

/// The files of one database.
pub(super) struct RocksDbFiles {
    db: Arc<Db>,
}

impl RocksDbFiles {
    pub(super) fn new(db: Arc<Db>) -> Self {
        Self { db }
    }
}

impl EngineFiles for RocksDbFiles {
    fn checkpoint(&self, directory: &Path) -> Result<(), StateError> {
        let failed = |error: &dyn std::fmt::Display| StateError::Checkpoint {
            path: directory.to_owned(),
            message: format!(
                "RocksDB cannot copy its files from {}: {error}; the application goes on, take another checkpoint when \
                 the disk is well and has room",
                self.db.path().display()
            ),
        };
        make_directory(directory).map_err(|error| failed(&error))?;
        // Rows are in files already. What is in memory are deletions of ranges: they are flushed by this.
        let checkpoint = Checkpoint::new(&*self.db).map_err(|error| failed(&error))?;
        checkpoint.create_checkpoint(directory.join(DATABASE_DIRECTORY)).map_err(|error| failed(&error))
    }
}
