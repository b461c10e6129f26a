//! What can go wrong with state: which store, which path, what to do, and whether a rebuild helps.

use std::fmt;
use std::path::PathBuf;

use uuid::Uuid;

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
    /// What is on disk is not what was written there: a checksum is wrong, a file is missing or cut off, a row does not
    /// parse, or the data are those of another task or application. The runtime deletes the directory of the task and
    /// restores it from its changelogs.
    #[error("state in {}{}: {message}", path.display(), of_store(store.as_deref()))]
    Corrupt {
        /// The store; `None` if all stores in `path` are concerned.
        store: Option<String>,
        /// The damaged database, inside of the directory of its task.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The disk refused: it is full or read-only, the path is not ours to write, or the device failed. What is on disk is as
    /// it was, and is used again once the cause is gone.
    #[error("state directory {}: {message}", path.display())]
    Directory {
        /// The path in question.
        path: PathBuf,
        /// What happened and what to do.
        message: String,
    },
    /// The changelog is not the topic that the state on disk came from: it was deleted, or deleted and created anew. Going
    /// on would lose, without a word, what only the state on disk has.
    #[error("{0}")]
    OtherChangelog(Box<OtherChangelog>),
    /// A checkpoint cannot be taken, read or started from.
    #[error("checkpoint {}: {message}", path.display())]
    Checkpoint {
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

/// A changelog that is not the topic any more that state on disk came from.
#[derive(Debug, Clone)]
pub struct OtherChangelog {
    /// The task.
    pub task: String,
    /// The store.
    pub store: String,
    /// The directory of the task.
    pub path: PathBuf,
    /// The changelog.
    pub topic: String,
    /// The id of the topic that the state came from, if it is known.
    pub then: Option<Uuid>,
    /// The id of the topic as it is now; `None` if there is no such topic.
    pub now: Option<Uuid>,
}

impl fmt::Display for OtherChangelog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, store, path, topic, then, now } = self;
        let then = then.map(|id| format!(" (id {id})")).unwrap_or_default();
        let happened = match now {
            Some(now) => format!("was deleted and created anew (id {now})"),
            None => "was deleted".to_owned(),
        };
        write!(
            f,
            "task {task}: changelog topic `{topic}`{then} of store `{store}` {happened} since the state in {} was \
             written; either bring the topic back with what it held, or delete that directory on all instances to go on \
             with what the topic holds now, which loses the rows that only the state on disk has",
            path.display()
        )
    }
}

fn of_store(store: Option<&str>) -> String {
    store.map(|store| format!(", store `{store}`")).unwrap_or_default()
}

/// What helps against an error of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// Delete what the task has on disk, restore it from its changelogs.
    Rebuild,
    /// Somebody must look. What is on disk stays as it is.
    Stop,
}

impl StateError {
    /// What a serde said, if it was a serde that failed.
    #[must_use]
    pub fn serde(&self) -> Option<&SerdeError> {
        if let Self::Serde { source, .. } = self { Some(source) } else { None }
    }

    /// The one table: error -> what helps.
    #[must_use]
    pub fn cure(&self) -> Cure {
        match self {
            Self::Corrupt { .. } => Cure::Rebuild,
            Self::Serde { .. }
            | Self::Engine { .. }
            | Self::Directory { .. }
            | Self::OtherChangelog(_)
            | Self::Checkpoint { .. }
            | Self::Locked { .. }
            | Self::NewerFormat { .. } => Cure::Stop,
        }
    }
}
