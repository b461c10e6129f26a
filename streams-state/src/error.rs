//! What can go wrong with state: which store, which path, what to do.

use std::path::PathBuf;

use crate::serdes::SerdeError;

/// An error of a store, an engine or the state directory.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A key or value of a store could not be turned into bytes or back.
    #[error("store `{store}`: {source}")]
    Serde {
        /// The store.
        store: String,
        /// What the serde said.
        source: SerdeError,
    },
    /// The engine below a store failed.
    #[error("store `{store}`: the {engine} engine failed: {message}")]
    Engine {
        /// The store.
        store: String,
        /// Which engine.
        engine: &'static str,
        /// What the engine said.
        message: String,
    },
    /// Reading or writing the state directory failed.
    #[error("state directory {}: {message}", path.display())]
    Directory {
        /// The path in question.
        path: PathBuf,
        /// What happened and what to do.
        message: String,
    },
    /// The state directory is in use by another process.
    #[error(
        "state directory {} is in use by another process; give each instance on this machine its own state.dir",
        path.display()
    )]
    Locked {
        /// The locked directory.
        path: PathBuf,
    },
    /// The state directory was written by a newer version.
    #[error(
        "state directory {} has format {found}, this version reads up to {supported}; upgrade, or delete the \
         directory to rebuild the state from the changelog topics",
        path.display()
    )]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Format found.
        found: u32,
        /// Newest format that this version reads.
        supported: u32,
    },
}
