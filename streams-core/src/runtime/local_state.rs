//! Before the first record: whether state on disk still belongs to the topics that it came from.
//!
//! In: the plan, the ids of its topics, and what tasks on disk say of themselves. Out: an error if a changelog is gone, or was
//! created anew. To create it, or to restore from it, would lose without a word what only the state on disk has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streams_state::directory::StateDirectory;
use streams_state::engine::{EngineProvider, Identity};
use streams_state::error::{Cure, StateError};
use streams_state::types::{TaskId, TopicPartition};
use uuid::Uuid;

use super::StreamsError;
use crate::client::{Admin, ClientError};
use crate::topology::Topology;

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
    /// An error if a task on disk has rows that came from the changelog `topic`, which does not exist. Damaged state does not
    /// count: there is nothing to lose.
    pub(crate) fn misses(
        &self,
        topic: &str,
        topology: &Topology,
        application_id: &str,
    ) -> Result<(), StateError> {
        let stores: Vec<&str> = topology
            .stores
            .iter()
            .filter(|spec| !spec.in_memory && spec.changelog_topic(application_id).as_deref() == Some(topic))
            .map(|spec| &*spec.name)
            .collect();
        if stores.is_empty() {
            return Ok(());
        }
        for task in self.directory.tasks()? {
            let directory = self.directory.task_dir(task);
            let engines = match self.engines.open(&directory, &stores) {
                Err(error) if error.cure() == Cure::Rebuild => continue,
                // A thread of this process works with it.
                Err(StateError::Locked { .. }) => {
                    let identity = Identity::new(application_id, task, &stores.join("`, `"));
                    return Err(identity.other_changelog(topic, None, &directory));
                }
                opened => opened?,
            };
            for engine in engines {
                let came = engine.identity()?.filter(|found| found.changelog.as_deref() == Some(topic));
                if let Some(found) = came {
                    return Err(found.other_changelog(topic, None, &directory));
                }
            }
        }
        Ok(())
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
