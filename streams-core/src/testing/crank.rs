//! The turning of a test driver: one task for all sub-topologies, one for the global stores, a log for each topic.
//!
//! Order, as in Kafka Streams' driver: a record goes to the queue of its topic; then, while a queue holds a record: process the one
//! with the lowest timestamp to its end, run schedules due by stream time, commit, and only then hand the records
//! just produced to the queues of the topics that are read.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::memory::MemoryBudget;
use streams_state::types::{Headers, NO_TIMESTAMP, TaskId, Timestamp};

use super::DriverConfig;
use super::patterns::PatternTopics;
use crate::error::{NodeResult, TaskError, TaskErrorCause};
use crate::processor::{DropCounts, GlobalStore, Outbox, StoreInstance};
use crate::query::Position;
use crate::record::RawRecord;
use crate::task::{GlobalTask, StreamTask, TaskOptions, open_global_stores};
use crate::topology::{NodeId, Topology};

/// A record that the topology wrote, internal topics included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducedRecord {
    /// Topic, with the application's prefix if it is internal.
    pub topic: Arc<str>,
    /// Partition, if somebody chose one.
    pub partition: Option<i32>,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Timestamp; `None` would be the producer's clock.
    pub timestamp: Option<Timestamp>,
    /// Headers.
    pub headers: Headers,
    /// During which input it was produced: piped records and moves of the wall clock are counted from 0.
    pub item: usize,
}

/// What was written to a topic, and how much of it a test has read.
#[derive(Default)]
struct TopicLog {
    records: Vec<ProducedRecord>,
    read: usize,
}

/// A task and the next offsets of its source topics.
struct Driven {
    task: StreamTask,
    offsets: Vec<i64>,
    patterns: Option<PatternTopics>,
}

impl Driven {
    fn new(task: StreamTask, patterns: Option<PatternTopics>) -> Self {
        Self { offsets: vec![0; task.partitions().len()], task, patterns }
    }

    /// Appends a record to the queue of its topic, if the task reads it.
    fn enqueue(&mut self, record: &ProducedRecord) -> NodeResult<bool> {
        if let Some(patterns) = &mut self.patterns
            && self.task.slot(&record.topic).is_none()
        {
            let pattern = patterns.first_match(&record.topic).map_err(|error| wiring(error.to_string()))?;
            if let Some(like) = pattern.and_then(|pattern| self.task.slot(&pattern))
                && self.task.add_topic(like, &record.topic).is_some()
            {
                self.offsets.push(0);
            }
        }
        Ok(enqueue(&mut self.task, &mut self.offsets, record))
    }
}

/// The task that feeds the global stores, and the next offsets of its source topics.
struct Feed {
    task: GlobalTask,
    offsets: Vec<i64>,
}

impl Feed {
    fn enqueue(&mut self, record: &ProducedRecord) -> bool {
        enqueue(self.task.task_mut(), &mut self.offsets, record)
    }
}

/// Appends a record to the queue of its topic, if the task reads it.
fn enqueue(task: &mut StreamTask, offsets: &mut [i64], record: &ProducedRecord) -> bool {
    let Some(slot) = task.slot(&record.topic) else {
        return false;
    };
    let offset = offsets.get_mut(slot as usize).map_or(0, |next| {
        *next += 1;
        *next - 1
    });
    let raw = RawRecord {
        offset,
        timestamp: record.timestamp.unwrap_or(NO_TIMESTAMP),
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: record.headers.clone(),
    };
    task.add_record(slot, raw);
    true
}

/// Everything behind a [`TopologyTestDriver`](super::TopologyTestDriver).
pub(super) struct Crank {
    driven: Option<Driven>,
    global: Option<Feed>,
    stores: Vec<GlobalStore>,
    logs: BTreeMap<Arc<str>, TopicLog>,
    wall_time: Timestamp,
    items: usize,
    /// What the first error said: a task that failed cannot go on.
    failed: Option<String>,
}

impl Crank {
    pub(super) fn new(topology: &Topology, config: &DriverConfig) -> NodeResult<Self> {
        let (patterns, stood_in) = PatternTopics::new(topology, &config.application_id).unzip();
        let topology = stood_in.as_ref().unwrap_or(topology);
        let mut nodes = [Vec::new(), Vec::new()];
        for group in topology.subtopologies() {
            let [own, global] = &mut nodes;
            if group.global.is_some() { global } else { own }.extend(group.nodes);
        }
        nodes.iter_mut().for_each(|nodes| nodes.sort());
        let [own, global] = nodes;
        let directory = config.directory.join("global");
        let stores = open_global_stores(
            topology,
            &config.application_id,
            &directory,
            &*config.engines,
            config.tier_max_bytes,
        );
        let (stores, _) = stores.map_err(|error| wiring(error.to_string()))?;
        let global = match global.as_slice() {
            [] => None,
            nodes => Some(GlobalTask::new(options(topology, config, nodes, -1, &stores))?),
        };
        let global = global.map(|task| Feed { offsets: vec![0; task.task().partitions().len()], task });
        let driven = match own.as_slice() {
            [] => None,
            nodes => {
                Some(Driven::new(StreamTask::new(options(topology, config, nodes, 0, &stores))?, patterns))
            }
        };
        let mut crank = Self {
            driven,
            global,
            stores,
            logs: BTreeMap::new(),
            wall_time: config.wall_clock,
            items: 0,
            failed: None,
        };
        if let Some(global) = &mut crank.global {
            global.task.turn(|task, _| task.init(config.wall_clock)).unwrap_or(Ok(()))?;
        }
        if let Some(driven) = &mut crank.driven {
            driven.task.init(config.wall_clock)?;
        }
        crank.route()?;
        Ok(crank)
    }

    /// Processes a record and all that follows from it.
    pub(super) fn pipe(&mut self, record: ProducedRecord) -> NodeResult {
        self.turn(|crank| {
            let queued = crank.driven.as_mut().map_or(Ok(false), |driven| driven.enqueue(&record))?;
            if queued {
                crank.work()?;
            }
            if !crank.update_global(&record)? && !queued {
                return Err(wiring(format!(
                    "no source of the topology reads topic `{}`; it reads {}",
                    record.topic,
                    crank.source_topics()
                )));
            }
            Ok(())
        })
    }

    /// Moves the wall clock, and runs what is due.
    pub(super) fn advance_wall_clock(&mut self, by: i64) -> NodeResult {
        self.turn(|crank| {
            crank.wall_time += by;
            let now = crank.wall_time;
            if let Some(global) = &mut crank.global {
                global.task.task_mut().set_wall_time(now);
            }
            if let Some(driven) = &mut crank.driven {
                driven.task.punctuate_wall_clock(now)?;
            }
            crank.commit()?;
            crank.work()
        })
    }

    /// What is in the stores of each input: in the global ones, or in those of the task.
    pub(super) fn position(&self, global: bool) -> Position {
        let task = match global {
            true => self.global.as_ref().map(|feed| feed.task.task()),
            false => self.driven.as_ref().map(|driven| &driven.task),
        };
        let seen = task.map_or_else(Position::empty, StreamTask::position);
        // The one partition that each topic has, whatever the task says.
        seen.iter().fold(Position::empty(), |seen, (topic, _, offset)| seen.with(topic, 0, offset))
    }

    pub(super) fn wall_time(&self) -> Timestamp {
        self.wall_time
    }

    pub(super) fn dropped(&self) -> u64 {
        self.tasks().map(StreamTask::dropped).sum()
    }

    pub(super) fn dropped_by_reason(&self) -> DropCounts {
        self.tasks().map(StreamTask::dropped_by_reason).sum()
    }

    /// The global store of this name.
    pub(super) fn global_store(&self, name: &str) -> Option<&GlobalStore> {
        self.stores.iter().find(|store| &**store.name() == name)
    }

    /// Names and instances of all stores, global ones included.
    pub(super) fn stores(&self) -> Vec<(Arc<str>, StoreInstance)> {
        let mut stores: Vec<(Arc<str>, StoreInstance)> = Vec::new();
        for (name, instance) in self.tasks().flat_map(|task| task.state().instances()) {
            if !stores.iter().any(|(known, _)| *known == name) {
                stores.push((name, instance));
            }
        }
        stores
    }

    pub(super) fn topics(&self) -> Vec<Arc<str>> {
        self.logs.keys().cloned().collect()
    }

    /// All records written to `topic`, read or not.
    pub(super) fn produced(&self, topic: &str) -> &[ProducedRecord] {
        self.logs.get(topic).map_or(&[], |log| &log.records)
    }

    pub(super) fn unread(&self, topic: &str) -> usize {
        self.logs.get(topic).map_or(0, |log| log.records.len() - log.read)
    }

    /// The next unread record of `topic`.
    pub(super) fn read(&mut self, topic: &str) -> Option<ProducedRecord> {
        let log = self.logs.get_mut(topic)?;
        let record = log.records.get(log.read)?.clone();
        log.read += 1;
        Some(record)
    }

    /// Gives all committed updates to the engines.
    pub(super) fn flush(&mut self) -> NodeResult {
        if let Some(driven) = &mut self.driven {
            driven.task.flush()?;
        }
        if let Some(global) = &mut self.global {
            let flushed = global
                .task
                .turn(|_, stores| stores.iter().try_for_each(|(_, store)| store.state.borrow_mut().flush()));
            flushed.unwrap_or(Ok(())).map_err(|error| wiring(error.to_string()))?;
        }
        Ok(())
    }

    /// Closes the tasks; nothing can be piped any more.
    pub(super) fn close(&mut self) -> NodeResult {
        self.failed.get_or_insert_with(|| "the driver is closed".to_owned());
        let global = self.global.take().map_or(Ok(()), |global| global.task.close());
        self.driven.take().map_or(Ok(()), |driven| driven.task.close()).and(global)
    }

    fn tasks(&self) -> impl Iterator<Item = &StreamTask> {
        let global = self.global.iter().map(|global| global.task.task());
        self.driven.iter().map(|driven| &driven.task).chain(global)
    }

    fn source_topics(&self) -> String {
        let topics = self.tasks().flat_map(|task| task.partitions());
        let names: Vec<String> = topics.map(|partition| format!("`{}`", partition.topic)).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    /// One input: counted, refused after an error; what a failed one produced is dropped, but for dead letters.
    fn turn(&mut self, work: impl FnOnce(&mut Self) -> NodeResult) -> NodeResult {
        if let Some(failed) = &self.failed {
            return Err(wiring(format!("the driver cannot go on: {failed}")));
        }
        let result = work(self);
        self.items += 1;
        if let Err(error) = &result {
            self.failed = Some(error.to_string());
            // Dead letters only: a failure dropped the rest.
            self.route()?;
        }
        result
    }

    /// Until no queue holds a record: process one, run schedules, commit, hand on what was produced.
    fn work(&mut self) -> NodeResult {
        loop {
            let Some(driven) = self.driven.as_mut().filter(|driven| driven.task.total_buffered() > 0) else {
                return Ok(());
            };
            driven.task.process(1)?;
            driven.task.punctuate_stream_time()?;
            self.commit()?;
        }
    }

    fn commit(&mut self) -> NodeResult {
        let Some(driven) = &mut self.driven else {
            return Ok(());
        };
        driven.task.prepare_commit(usize::MAX)?;
        let offsets = driven.task.committable_offsets();
        self.route()?;
        let (Some(driven), logs) = (&mut self.driven, &self.logs) else {
            return Ok(());
        };
        let end = |topic: &str| logs.get(topic).map(|log| log.records.len() as i64);
        driven.task.post_commit(&offsets, &mut |changelog, _| end(&changelog.topic));
        Ok(())
    }

    /// Writes the outbox to the logs, and to the queues of the topics that are read.
    fn route(&mut self) -> NodeResult {
        let Some(driven) = &mut self.driven else {
            return Ok(());
        };
        for record in take_outbox(driven.task.outbox(), self.items) {
            if let Some(driven) = &mut self.driven {
                driven.enqueue(&record)?;
            }
            self.update_global(&record)?;
            self.logs.entry(record.topic.clone()).or_default().records.push(record);
        }
        Ok(())
    }

    /// Applies a record to the global stores that read its topic. Returns whether there are any.
    fn update_global(&mut self, record: &ProducedRecord) -> NodeResult<bool> {
        let Some(global) = &mut self.global else {
            return Ok(false);
        };
        if !global.enqueue(record) {
            return Ok(false);
        }
        let worked: Option<NodeResult> = global.task.turn(|task, stores| {
            task.process(1)?;
            for (_, store) in stores {
                let logged = store.state.borrow_mut().drain_changelog(&mut |_| Ok(()));
                logged.map_err(|error| wiring(error.to_string()))?;
                store.state.borrow_mut().committed(None);
            }
            Ok(())
        });
        worked.unwrap_or(Ok(()))?;
        for record in take_outbox(global.task.task_mut().outbox(), self.items) {
            self.logs.entry(record.topic.clone()).or_default().records.push(record);
        }
        Ok(true)
    }
}

fn options<'a>(
    topology: &'a Topology,
    config: &'a DriverConfig,
    nodes: &'a [NodeId],
    partition: i32,
    stores: &[GlobalStore],
) -> TaskOptions<'a> {
    TaskOptions {
        task: TaskId { subtopology: 0, partition },
        application_id: config.application_id.as_str().into(),
        topology,
        nodes,
        directory: config.directory.join(if partition < 0 { "global" } else { "0_0" }),
        engines: &*config.engines,
        caching: config.statestore_cache_max_bytes > 0 && partition >= 0,
        memory: MemoryBudget::new(config.tier_max_bytes),
        buffers_max_bytes: config.tier_max_bytes,
        max_task_idle: None,
        timestamp_policy: config.default_timestamp_extractor,
        app_configs: config.app_configs.clone(),
        global_stores: stores.to_vec(),
        global_feed: None,
        topic_ids: Default::default(),
        partition_counts: Rc::new(|_| Ok(Some(1))),
        metrics: crate::metrics::MetricsSource::default(),
        deserialization_handler: config.deserialization_exception_handler.clone(),
        processing_handler: config.processing_exception_handler.clone(),
        record_max_bytes: None,
        production_handler: config.production_exception_handler.clone(),
    }
}

fn take_outbox(outbox: &mut Outbox, item: usize) -> Vec<ProducedRecord> {
    let produced = |record: &crate::processor::OutRecord| ProducedRecord {
        topic: outbox.topics.get(record.topic.0 as usize).cloned().unwrap_or_else(|| "".into()),
        partition: record.partition,
        key: outbox.slice(&record.key).map(<[u8]>::to_vec),
        value: outbox.slice(&record.value).map(<[u8]>::to_vec),
        timestamp: record.timestamp,
        headers: record.headers.clone(),
        item,
    };
    let records = outbox.records.iter().map(produced).collect();
    outbox.clear();
    records
}

fn wiring(message: String) -> Box<TaskError> {
    Box::new(TaskError {
        task: "0_0".to_owned(),
        node: String::new(),
        record: String::new(),
        cause: TaskErrorCause::Wiring(message),
        undecided: false,
    })
}
