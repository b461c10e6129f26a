//! Step 5, store, the disk: whose rows an engine holds, and how they are laid out. A meta row beside them, in JSON:
//!
//! ```text
//! {"version":1,"applicationId":"wc","task":"0_3","store":"counts","changelog":"wc-counts-changelog",
//!  "changelogId":"6f1f1fcc-...","headers":false,"layout":{"kind":"window","segmentInterval":60000,...}}
//! ```
//! It is written with the first run and each later one, and compared when the store is opened: rows of another task or
//! application are damage; rows of another layout are deleted; a changelog that was created anew stops the application.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Engine;
use crate::error::{OtherChangelog, StateError};

/// The version of the row that this library writes.
const VERSION: u32 = 1;

/// Whose rows an engine holds, and what their bytes depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Version of this description.
    pub version: u32,
    /// `application.id`.
    pub application_id: String,
    /// The task, as `0_3`; `global` for a global store.
    pub task: String,
    /// The store.
    pub store: String,
    /// The topic that its offset counts in; none for a store without changelog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changelog: Option<String>,
    /// The id of that topic, if it is known: a topic that was deleted and created anew has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changelog_id: Option<Uuid>,
    /// Whether the rows have room for headers (`dsl.store.format`).
    #[serde(default)]
    pub headers: bool,
    /// How the rows are laid out; none for a store that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// How the rows of a store are laid out: its kind, and what else the bytes depend on. Times are in ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Layout {
    /// Key -> timestamp and value.
    KeyValue,
    /// Key and start -> timestamp and value, by segments of time.
    Window {
        /// Time that a segment covers.
        segment_interval: i64,
        /// How long rows are kept. Rows stay as they are if it changes.
        retention: i64,
        /// Each put is a row of its own.
        retain_duplicates: bool,
        /// There is an index by start.
        ordered_by_time: bool,
    },
    /// Key, start and end -> value, by segments of the end.
    Session {
        /// Time that a segment covers.
        segment_interval: i64,
        /// How long sessions are kept. Rows stay as they are if it changes.
        retention: i64,
        /// There is an index by end.
        time_index: bool,
    },
    /// Key -> versions, the older ones by segments of time.
    Versioned {
        /// Time that a segment covers.
        segment_interval: i64,
        /// How long older versions are kept. Rows stay as they are if it changes.
        retention: i64,
    },
    /// Changes that wait in a suppress, by time.
    ChangeBuffer,
    /// Records that wait for a versioned table, by time.
    GraceBuffer,
    /// Rows of an outer join that wait for a partner, by time.
    OuterJoin,
}

impl Layout {
    /// The same without what the bytes do not depend on.
    fn bytes_only(&self) -> Self {
        let mut layout = self.clone();
        match &mut layout {
            Self::Window { retention, .. }
            | Self::Session { retention, .. }
            | Self::Versioned { retention, .. } => *retention = 0,
            Self::KeyValue | Self::ChangeBuffer | Self::GraceBuffer | Self::OuterJoin => {}
        }
        layout
    }
}

impl Identity {
    /// Of a store of `task`, without changelog or layout.
    pub fn new(application_id: &str, task: impl ToString, store: &str) -> Self {
        Self {
            version: VERSION,
            application_id: application_id.to_owned(),
            task: task.to_string(),
            store: store.to_owned(),
            changelog: None,
            changelog_id: None,
            headers: false,
            layout: None,
        }
    }

    /// As the meta row has it.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a meta row of the database in `path`.
    ///
    /// # Errors
    /// [`StateError::NewerFormat`] if a newer version wrote it; [`StateError::Corrupt`] if it does not parse.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self, StateError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let corrupt = |error: serde_json::Error| StateError::Corrupt {
            store: None,
            path: path.to_owned(),
            message: format!("the row that says whose state it is does not parse: {error}"),
        };
        let found = serde_json::from_slice::<Versioned>(bytes).map_err(corrupt)?.version;
        if found > VERSION {
            return Err(StateError::NewerFormat { path: path.to_owned(), found, supported: VERSION });
        }
        serde_json::from_slice(bytes).map_err(corrupt)
    }
}

/// Says that the rows of `engine`, in `directory`, are those of `mine`, from now on; the layout is still to be said. Rows that
/// cannot be used as such are deleted with a warning, so that the store is restored from its changelog. So are rows without an offset:
/// a restore from the start of the changelog would not take away what compaction has forgotten.
///
/// # Errors
/// [`StateError::Corrupt`]: the rows are those of another task or application. [`StateError::OtherChangelog`]: the changelog
/// is not the topic that the rows came from.
pub fn claim(engine: &mut dyn Engine, mut mine: Identity, directory: &Path) -> Result<(), StateError> {
    let found = engine.identity()?;
    let logs_as_before = found.as_ref().is_none_or(|found| found.changelog == mine.changelog);
    if let Some(found) = found {
        let owner = |identity: &Identity| {
            (identity.application_id.clone(), identity.task.clone(), identity.store.clone())
        };
        if owner(&found) != owner(&mine) {
            let message = format!(
                "the rows are those of store `{}` in task {} of application `{}`",
                found.store, found.task, found.application_id
            );
            return Err(engine.corrupt(&mine.store, message));
        }
        // Without a changelog the rows are good whatever the offset beside them counted in.
        let moved =
            mine.changelog.is_some() && found.changelog.is_some() && mine.changelog != found.changelog;
        if moved || found.headers != mine.headers {
            rebuild(engine, &mine, "its changelog or the form of its rows changed")?;
        } else if found.changelog == mine.changelog {
            check_changelog(&found, mine.changelog_id, directory)?;
            mine.changelog_id = mine.changelog_id.or(found.changelog_id);
        }
    }
    let counts = mine.changelog.is_some() && logs_as_before;
    if counts && engine.offset()?.is_none() && !engine.is_empty()? {
        rebuild(engine, &mine, "its rows on disk lack the changelog offset that they reach")?;
    }
    engine.set_claim(mine);
    Ok(())
}

/// Whether the topic that `found` names is still the same one; `now` is its id, if the client knows it.
fn check_changelog(found: &Identity, now: Option<Uuid>, directory: &Path) -> Result<(), StateError> {
    match (&found.changelog, found.changelog_id, now) {
        (Some(topic), Some(then), Some(now)) if then != now => {
            Err(found.other_changelog(topic, Some(now), directory))
        }
        (Some(_) | None, Some(_) | None, Some(_) | None) => Ok(()),
    }
}

impl Identity {
    /// The error for a changelog `topic` that is another one by now, or is gone.
    pub fn other_changelog(&self, topic: &str, now: Option<Uuid>, directory: &Path) -> StateError {
        StateError::OtherChangelog(Box::new(OtherChangelog {
            task: self.task.clone(),
            store: self.store.clone(),
            path: directory.to_owned(),
            topic: topic.to_owned(),
            then: self.changelog_id,
            now,
        }))
    }
}

/// Says how the rows of `engine` are laid out. Rows that are laid out otherwise are deleted, with a warning. Nothing is
/// compared in an engine that nobody claimed.
pub(crate) fn claim_layout(engine: &mut dyn Engine, layout: Layout) -> Result<(), StateError> {
    let Some(mut mine) = engine.claim().cloned() else { return Ok(()) };
    let found = engine.identity()?.and_then(|found| found.layout);
    if found.is_some_and(|found| found.bytes_only() != layout.bytes_only()) {
        rebuild(engine, &mine, "the rows on disk have another layout than the store, which was changed")?;
    }
    mine.layout = Some(layout);
    engine.set_claim(mine);
    Ok(())
}

fn rebuild(engine: &mut dyn Engine, mine: &Identity, why: &str) -> Result<(), StateError> {
    let then = match &mine.changelog {
        Some(_) => "it is restored from its changelog as a whole",
        None => "it begins empty, as it has no changelog",
    };
    tracing::warn!(task = %mine.task, store = %mine.store, "{why}: {then}");
    engine.wipe()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::InMemoryEngine;

    /// They were restored over: rows that the changelog does not have stayed for ever.
    #[test]
    fn rows_without_an_offset_are_not_believed_if_there_is_a_changelog() {
        let stays = |changelog: Option<&str>, offset: Option<i64>| {
            let mut engine = InMemoryEngine::default();
            engine.apply(&mut [(&b"k"[..], Some(&b"v"[..]))].into_iter(), offset).unwrap();
            let mine =
                Identity { changelog: changelog.map(str::to_owned), ..Identity::new("app", "0_3", "s") };
            claim(&mut engine, mine, Path::new("p")).unwrap();
            !engine.is_empty().unwrap()
        };
        assert!(!stays(Some("log"), None));
        assert!(stays(Some("log"), Some(1)) && stays(None, None));
    }

    #[test]
    fn is_json_that_later_versions_are_told_by() {
        let mut identity = Identity::new("app", "0_3", "s");
        identity.changelog = Some("app-s-changelog".to_owned());
        identity.changelog_id = Some(Uuid::nil());
        identity.layout = Some(Layout::Session { segment_interval: 5, retention: 9, time_index: false });
        let text = String::from_utf8(identity.encode()).unwrap();
        assert_eq!(
            text,
            "{\"version\":1,\"applicationId\":\"app\",\"task\":\"0_3\",\"store\":\"s\",\
             \"changelog\":\"app-s-changelog\",\"changelogId\":\"00000000-0000-0000-0000-000000000000\",\
             \"headers\":false,\"layout\":{\"kind\":\"session\",\"segmentInterval\":5,\"retention\":9,\
             \"timeIndex\":false}}"
        );
        assert_eq!(Identity::decode(text.as_bytes(), Path::new("p")).unwrap(), identity);
        let later = text.replace("\"version\":1", "\"version\":2").replace("session", "other");
        let error = Identity::decode(later.as_bytes(), Path::new("p")).unwrap_err();
        assert!(matches!(error, StateError::NewerFormat { found: 2, .. }), "{error}");
        let error = Identity::decode(b"{}", Path::new("p")).unwrap_err();
        assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
    }
}
