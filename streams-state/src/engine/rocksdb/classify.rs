//! What RocksDB says -> what it means for the state: damaged, refused by the disk, in use, or a fault of ours.

use std::path::Path;

use rocksdb::ErrorKind;

use crate::error::StateError;

/// The one table of RocksDB's errors. `store` is `None` when the database as a whole was in question.
pub(super) fn classify(store: Option<&str>, path: &Path, error: &rocksdb::Error) -> StateError {
    let said = error.as_ref();
    let corrupt = || StateError::Corrupt {
        store: store.map(str::to_owned),
        path: path.to_owned(),
        message: format!("RocksDB says: {said}"),
    };
    match error.kind() {
        ErrorKind::Corruption => corrupt(),
        // A file that the database names is not there.
        ErrorKind::IOError | ErrorKind::NotFound if said.contains("No such file") => corrupt(),
        ErrorKind::IOError if is_lock(said) => StateError::Locked { path: path.to_owned() },
        ErrorKind::IOError => refused(store, path, said),
        ErrorKind::NotFound
        | ErrorKind::NotSupported
        | ErrorKind::InvalidArgument
        | ErrorKind::MergeInProgress
        | ErrorKind::Incomplete
        | ErrorKind::ShutdownInProgress
        | ErrorKind::TimedOut
        | ErrorKind::Aborted
        | ErrorKind::Busy
        | ErrorKind::Expired
        | ErrorKind::TryAgain
        | ErrorKind::CompactionTooLarge
        | ErrorKind::ColumnFamilyDropped
        | ErrorKind::Unknown => StateError::Engine {
            store: store.unwrap_or("all of the task").to_owned(),
            engine: "rocksdb",
            message: format!("{said}; its database is {}", path.display()),
        },
    }
}

/// The disk refused something in the database at `path`.
pub(super) fn refused(store: Option<&str>, path: &Path, said: impl std::fmt::Display) -> StateError {
    let store = store.map(|store| format!("store `{store}`: ")).unwrap_or_default();
    let message = format!(
        "{store}{said}; nothing of the state on disk is lost: make room, or make it writable for the user that runs the \
         application, and start it again"
    );
    StateError::Directory { path: path.to_owned(), message }
}

fn is_lock(said: &str) -> bool {
    said.contains("lock hold by current process") || said.contains("While lock file")
}
