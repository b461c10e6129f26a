//! Before the first record: whether state on disk still belongs to the topics that it came from.
//!
//! In: the plan, the ids of its topics, and what tasks on disk say of themselves. Out: an error if a changelog is gone, or was
//! created anew. To create it, or to restore from it, would lose without a word what only the state on disk has.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use streams_state::directory::StateDirectory;
use streams_state::engine::{EngineProvider, Identity};
use streams_state::error::{Cure, StateError};
use streams_state::types::{TaskId, TopicPartition};
use uuid::Uuid;

use super::StreamsError;
use crate::client::{Admin, ClientError};

/// Ids of topics, where the cluster says them.
pub(crate) type TopicIds = BTreeMap<String, Uuid>;

/// Deadline of the look at changelogs that lost an offset.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// The tasks on disk.
pub(crate) struct LocalState<'a> {
    pub(crate) directory: &'a StateDirectory,
    pub(crate) engines: &'a dyn EngineProvider,
}

impl LocalState<'_> {
    /// An error if a task on disk has rows that came from one of `changelogs`, which do not exist. Damaged state does not
    /// count: there is nothing to lose. Only reads, so the tasks may be in use.
    pub(crate) fn misses(&self, changelogs: &[&str]) -> Result<(), StateError> {
        if changelogs.is_empty() {
            return Ok(());
        }
        for task in self.directory.tasks()? {
            let directory = self.directory.task_dir(task);
            match self.missed(&directory, changelogs) {
                Ok(None) => {}
                Ok(Some((identity, topic))) => return Err(identity.other_changelog(&topic, None, &directory)),
                Err(error) if error.cure() == Cure::Rebuild => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first store of a task that came from one of `changelogs`.
    fn missed(
        &self,
        directory: &Path,
        changelogs: &[&str],
    ) -> Result<Option<(Identity, String)>, StateError> {
        for (_, engine) in self.engines.read(directory)? {
            let Some(identity) = engine.identity()? else { continue };
            let topic = identity.changelog.clone().filter(|topic| changelogs.contains(&topic.as_str()));
            if let Some(topic) = topic {
                return Ok(Some((identity, topic)));
            }
        }
        Ok(None)
    }
}

/// A store that is restored: its task, its name, its changelog.
pub(crate) type Restored = (TaskId, Arc<str>, TopicPartition);

/// An error if a changelog of `stores` is not the topic any more that it was in `known`.
pub(crate) fn check_changelogs(
    admin: &mut dyn Admin,
    known: &TopicIds,
    stores: &[Restored],
    (application_id, directory): (&str, &StateDirectory),
) -> Result<Result<(), StreamsError>, ClientError> {
    let topics: Vec<String> = stores.iter().map(|(_, _, changelog)| changelog.topic.to_string()).collect();
    let found = admin.describe_topics(&topics, LOOK_TIMEOUT)?;
    for ((task, store, _), (topic, found)) in stores.iter().zip(topics.iter().zip(found)) {
        let (then, now) = (known.get(topic).copied(), found.and_then(|found| found.id));
        if then.is_some() && then != now {
            let mut identity = Identity::new(application_id, task, store);
            identity.changelog_id = then;
            let error = identity.other_changelog(topic, now, &directory.task_dir(*task));
            return Ok(Err(StreamsError::State(error)));
        }
    }
    Ok(Ok(()))
}
