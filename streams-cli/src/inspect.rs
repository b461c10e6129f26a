//! What the stores in a directory hold, and how far that is from the ends of their changelogs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use streams_core::client::ClientSupplier;
use streams_core::topology::changelog_topic_name;
use streams_state::engine::EngineProvider;
use streams_state::types::TopicPartition;

use crate::cluster::Cluster;
use crate::{Error, Found, FoundTask};

/// The state of one application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Where it is.
    pub directory: String,
    /// Whose it is.
    pub application_id: String,
    /// When the checkpoint was taken, ms since the Unix epoch. `None`: it is no checkpoint.
    pub taken_at: Option<i64>,
    /// Tasks in their order, then the global stores.
    pub tasks: Vec<TaskReport>,
}

/// The state of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskReport {
    /// `0_3`, or `global`.
    pub task: String,
    /// Its stores, by name.
    pub stores: Vec<StoreReport>,
}

/// One store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreReport {
    /// Name.
    pub store: String,
    /// Whether its rows are here; those of a store in memory are not.
    pub kept: bool,
    /// Rows, about; a row may hold several windows or versions.
    pub rows: u64,
    /// Bytes on disk, about.
    pub bytes: u64,
    /// The topic that it is restored from, as far as that is known. The partition is that of the task.
    pub topic: Option<String>,
    /// The next offset to read from it. Of a global store the sum over its partitions.
    pub offset: Option<i64>,
    /// Where the topic ends, without what open transactions wrote. `None` if it does not exist, or no cluster was asked.
    pub end: Option<i64>,
    /// Offsets from `offset` to `end`, markers of transactions included: what a start would read.
    pub lag: Option<i64>,
}

/// Looks at all stores of `found`. With `supplier` the cluster is asked where their topics end.
///
/// # Errors
/// A directory cannot be opened for reading, or the cluster does not answer.
pub fn inspect(
    found: &Found,
    engines: &dyn EngineProvider,
    supplier: Option<&dyn ClientSupplier>,
) -> Result<Inspection, Error> {
    let mut tasks = Vec::new();
    for task in &found.tasks {
        tasks.push((task.partition, report(&found.application_id, task, engines)?));
    }
    if let Some(supplier) = supplier {
        measure(&mut tasks, &mut Cluster::connect(supplier)?)?;
    }
    Ok(Inspection {
        directory: found.directory.display().to_string(),
        application_id: found.application_id.clone(),
        taken_at: found.taken_at,
        tasks: tasks.into_iter().map(|(_, task)| task).collect(),
    })
}

fn report(application_id: &str, task: &FoundTask, engines: &dyn EngineProvider) -> Result<TaskReport, Error> {
    let mut stores: BTreeMap<String, StoreReport> = BTreeMap::new();
    for listed in &task.listed {
        let report = StoreReport {
            store: listed.name.clone(),
            kept: listed.kept,
            rows: listed.rows,
            bytes: listed.bytes,
            topic: listed.topic.clone(),
            offset: listed.offset,
            end: None,
            lag: None,
        };
        stores.insert(listed.name.clone(), report);
    }
    for (store, engine) in engines.read(&task.directory)? {
        let named = engine.identity()?.and_then(|identity| identity.changelog);
        // What was written before it said so has Kafka Streams' name.
        let topic = named.or_else(|| task.partition.map(|_| changelog_topic_name(application_id, &store)));
        let report = stores.entry(store.clone()).or_insert_with(|| StoreReport {
            topic,
            store,
            kept: true,
            rows: 0,
            bytes: 0,
            offset: None,
            end: None,
            lag: None,
        });
        report.rows = engine.approximate_entries();
        report.bytes = engine.size_bytes();
        report.offset = engine.offset()?;
    }
    Ok(TaskReport { task: task.name.clone(), stores: stores.into_values().collect() })
}

/// Asks for the ends of all topics at once.
fn measure(tasks: &mut [(Option<i32>, TaskReport)], changelogs: &mut Cluster) -> Result<(), Error> {
    let all = tasks.iter().flat_map(|(_, task)| &task.stores);
    let topics: BTreeSet<String> = all.filter_map(|store| store.topic.clone()).collect();
    let counts: BTreeMap<String, i32> = changelogs.existing(&topics)?.into_iter().collect();
    let partitions: Vec<TopicPartition> = counts
        .iter()
        .flat_map(|(topic, count)| {
            (0..*count).map(|partition| TopicPartition::new(topic.as_str(), partition))
        })
        .collect();
    let bounds: BTreeMap<TopicPartition, (i64, i64)> =
        partitions.iter().cloned().zip(changelogs.bounds(&partitions)?).collect();
    for (partition, task) in tasks {
        for store in &mut task.stores {
            let Some(topic) = &store.topic else { continue };
            let mine = |tp: &TopicPartition| {
                *tp.topic == **topic && partition.is_none_or(|partition| tp.partition == partition)
            };
            let mine: Vec<(i64, i64)> =
                bounds.iter().filter(|(tp, _)| mine(tp)).map(|(_, bounds)| *bounds).collect();
            if mine.is_empty() {
                continue;
            }
            let (start, end) = mine.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            store.end = Some(end);
            store.lag = Some((end - store.offset.unwrap_or(start)).max(0));
        }
    }
    Ok(())
}
