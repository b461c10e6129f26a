//! Topologies for tests of tasks: text in, text out, nodes written by hand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use streams_state::engine::InMemoryProvider;
use streams_state::memory::MemoryBudget;
use streams_state::serdes::{Auto, Part};
use streams_state::store::{KeyValueOptions, KeyValueStore};
use streams_state::types::{Headers, TaskId, Timestamp};

use super::{StreamTask, TaskOptions};
use crate::config::TimestampPolicy;
use crate::error::{NodeResult, TaskErrorCause};
use crate::handler::{ExceptionHandler, LogAndContinue};
use crate::processor::{
    Child, ErasedPush, Lifecycle, OutTopic, Outputs, Punctuation, PunctuationType, Push, SourceNode,
    StoreInstance, TaskContext,
};
use crate::record::{RawRecord, Record};
use crate::topology::{
    InternalTopic, NodeId, SinkTopic, SourceTopic, StoreId, StoreKind, StoreSpec, Topology,
};

pub(crate) type Line = Record<String, String>;
type Out = Outputs<String, String>;

fn outputs(children: Vec<Child>) -> NodeResult<Out> {
    Outputs::new(children, Some(Outputs::<String, String>::copy_of))
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

struct Source {
    name: Arc<str>,
    head: Option<Line>,
    outputs: Rc<RefCell<Out>>,
}

impl SourceNode for Source {
    fn load(
        &mut self,
        context: &mut TaskContext,
        raw: &RawRecord<'_>,
        _partition_time: Timestamp,
    ) -> NodeResult<Option<Timestamp>> {
        assert!(self.head.is_none(), "a head is loaded once");
        assert_eq!(context.record.offset, raw.offset);
        let (key, value) = (text(raw.key), text(raw.value));
        if value == "bad" {
            let source = streams_state::serdes::SerdeError::new("bad");
            let cause = TaskErrorCause::Deserialization { part: Part::Value, source };
            context.deserialization_failed(&self.name, cause)?;
            return Ok(None);
        }
        self.head = Some(Record { key, value, timestamp: raw.timestamp, headers: raw.headers.clone() });
        Ok(Some(raw.timestamp))
    }

    fn process(&mut self, context: &mut TaskContext) -> NodeResult {
        let head = self.head.take().unwrap();
        assert_eq!(context.record.timestamp, head.timestamp);
        self.outputs.borrow_mut().forward(context, head)
    }

    fn set_headers(&mut self, headers: &Headers) {
        self.head.iter_mut().for_each(|head| head.headers = headers.clone());
    }

    fn discard(&mut self) {
        self.head = None;
    }

    fn fork(&self) -> Box<dyn SourceNode> {
        Box::new(Self { name: self.name.clone(), head: None, outputs: self.outputs.clone() })
    }
}

struct Sink(OutTopic);

impl Push<String, String> for Sink {
    fn push(&mut self, context: &mut TaskContext, record: Line) -> NodeResult {
        let (key, value) = (Some(record.key.as_bytes()), Some(record.value.as_bytes()));
        context.outbox.push(self.0, None, key, value, Some(record.timestamp), record.headers);
        Ok(())
    }
}

/// What a node does with a record: the context, the record, its children.
pub(crate) type Work = fn(&mut TaskContext, Line, &mut Outputs<String, String>) -> NodeResult;

struct Node {
    work: Work,
    outputs: Out,
}

impl Push<String, String> for Node {
    fn push(&mut self, context: &mut TaskContext, record: Line) -> NodeResult {
        (self.work)(context, record, &mut self.outputs)
    }
}

/// Puts each record into a store; forwards it at once, or when the cache is flushed.
struct Put {
    store: Rc<RefCell<KeyValueStore<String, String>>>,
    outputs: Out,
}

impl Push<String, String> for Put {
    fn push(&mut self, context: &mut TaskContext, record: Line) -> NodeResult {
        let mut store = self.store.borrow_mut();
        let value = Some(record.value.clone());
        store.put(&record.key, value, record.timestamp, &context.record.clone()).unwrap();
        if store.caching() {
            return Ok(());
        }
        drop(store);
        self.outputs.forward(context, record)
    }
}

impl Lifecycle for Put {
    fn flush_cache(&mut self, context: &mut TaskContext, max: usize) -> NodeResult<bool> {
        for _ in 0..max {
            let Some(update) = self.store.borrow_mut().pop_cached().unwrap() else {
                return Ok(true);
            };
            context.record = update.context;
            let value = update.change.new.unwrap();
            self.outputs.forward(context, Record::new(update.key, value, update.timestamp))?;
        }
        Ok(false)
    }
}

/// Forwards its own name at each tick.
struct Ticks {
    name: Arc<str>,
    kind: PunctuationType,
    every: Duration,
    outputs: Out,
}

impl Push<String, String> for Ticks {
    fn push(&mut self, context: &mut TaskContext, record: Line) -> NodeResult {
        self.outputs.forward(context, record)
    }
}

impl Lifecycle for Ticks {
    fn init(&mut self, context: &mut TaskContext) -> NodeResult {
        let (slot, now) = (context.node_slot, context.wall_time);
        context.punctuations.schedule(slot, self.every.as_millis() as i64, self.kind, now);
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut TaskContext,
        _punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> NodeResult {
        assert_eq!((context.source_topic(), context.record.timestamp), ("", timestamp));
        self.outputs.forward(context, Record::new(self.name.to_string(), "tick".to_owned(), timestamp))
    }
}

/// Builds a topology; parents are given by name. A topic whose name starts with `+` is a repartition topic.
#[derive(Default)]
pub(crate) struct Toy(pub(crate) Topology);

impl Toy {
    fn ids(&self, names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| self.0.find_node(name).unwrap()).collect()
    }

    fn topic(name: &str) -> SourceTopic {
        SourceTopic { name: name.trim_start_matches('+').into(), internal: name.starts_with('+') }
    }

    pub(crate) fn source(mut self, name: &str, topics: &[&str]) -> Self {
        let node: Arc<str> = name.into();
        let topics = topics.iter().map(|topic| Self::topic(topic)).collect();
        self.0.add_source_node(
            name,
            topics,
            None,
            Arc::new(move |_, children| {
                let outputs = Rc::new(RefCell::new(outputs(children)?));
                Ok(Box::new(Source { name: node.clone(), head: None, outputs }))
            }),
        );
        self
    }

    pub(crate) fn sink(mut self, name: &str, parents: &[&str], topic: &str) -> Self {
        let parents = self.ids(parents);
        let SourceTopic { name: topic, internal } = Self::topic(topic);
        let written = topic.clone();
        if internal {
            self.0.add_repartition_topic(InternalTopic { name: topic.clone(), partitions: None });
        }
        self.0.add_sink_node(
            name,
            &parents,
            SinkTopic::Static { name: topic, internal },
            Arc::new(move |builder| {
                let prefix =
                    if internal { format!("{}-", builder.context.application_id) } else { String::new() };
                let topic = builder.context.outbox.topic(&format!("{prefix}{written}"));
                Ok(ErasedPush::new::<String, String>(Box::new(Sink(topic))))
            }),
        );
        self
    }

    pub(crate) fn node(mut self, name: &str, parents: &[&str], work: Work) -> Self {
        let parents = self.ids(parents);
        let factory = move |_: &mut crate::processor::TaskBuilder<'_>, children| {
            Ok(ErasedPush::new::<String, String>(Box::new(Node { work, outputs: outputs(children)? })))
        };
        self.0.add_processor_node(name, &parents, &[], Arc::new(factory));
        self
    }

    pub(crate) fn ticks(mut self, name: &str, parents: &[&str], kind: PunctuationType, every: u64) -> Self {
        let parents = self.ids(parents);
        let node: Arc<str> = name.into();
        let every = Duration::from_millis(every);
        let factory = move |builder: &mut crate::processor::TaskBuilder<'_>, children| {
            let ticks = Ticks { name: node.clone(), kind, every, outputs: outputs(children)? };
            let ticks = Rc::new(RefCell::new(ticks));
            builder.register(ticks.clone());
            Ok(ErasedPush::new::<String, String>(Box::new(ticks)))
        };
        self.0.add_processor_node(name, &parents, &[], Arc::new(factory));
        self
    }

    pub(crate) fn store(mut self, name: &str, change: fn(&mut StoreSpec)) -> Self {
        let mut spec = StoreSpec {
            name: name.into(),
            kind: StoreKind::TimestampedKeyValue,
            in_memory: true,
            logging: true,
            caching: false,
            changelog_config: BTreeMap::new(),
            source_topic: None,
            global: false,
            processors: Vec::new(),
            fault: None,
            format: crate::topology::StoreFormat::Own,
            factory: Arc::new(|open| {
                let options = KeyValueOptions {
                    name: open.name,
                    timestamped: true,
                    caching: open.caching,
                    logging: open.logging,
                    tier_max_bytes: open.tier_max_bytes,
                };
                let store: KeyValueStore<String, String> =
                    KeyValueStore::new(options, open.engine, Arc::new(Auto), Arc::new(Auto))?;
                Ok(StoreInstance::shareable(store))
            }),
        };
        change(&mut spec);
        self.0.add_store(spec);
        self
    }

    /// Puts records into `stores[0]`; the others are only connected.
    pub(crate) fn put(mut self, name: &str, parents: &[&str], stores: &[&str]) -> Self {
        let parents = self.ids(parents);
        let ids: Vec<StoreId> = stores.iter().map(|store| self.0.find_store(store).unwrap()).collect();
        let (node, store): (Arc<str>, String) = (name.into(), stores[0].to_owned());
        let factory = move |builder: &mut crate::processor::TaskBuilder<'_>, children| {
            let put = Put { store: builder.store(&node, &store)?, outputs: outputs(children)? };
            let put = Rc::new(RefCell::new(put));
            builder.register(put.clone());
            builder.forwards_cache_of(&store, put.clone());
            Ok(ErasedPush::new::<String, String>(Box::new(put)))
        };
        self.0.add_processor_node(name, &parents, &ids, Arc::new(factory));
        self
    }

    /// A task with all nodes, initialized at wall clock 1000.
    pub(crate) fn task(&self) -> StreamTask {
        let mut task = self.uninitialized(Arc::new(LogAndContinue), None);
        task.init(1000).unwrap();
        task
    }

    pub(crate) fn uninitialized(
        &self,
        handler: Arc<dyn ExceptionHandler>,
        max_task_idle: Option<Duration>,
    ) -> StreamTask {
        let nodes: Vec<NodeId> = (0..self.0.nodes.len() as u32).map(NodeId).collect();
        StreamTask::new(TaskOptions {
            metrics: crate::metrics::MetricsSource::default(),
            task: TaskId { subtopology: 0, partition: 3 },
            application_id: "app".into(),
            topology: &self.0,
            nodes: &nodes,
            directory: "unused".into(),
            engines: &InMemoryProvider,
            caching: true,
            memory: MemoryBudget::new(1 << 20),
            buffers_max_bytes: 1 << 20,
            max_task_idle,
            timestamp_policy: TimestampPolicy::default(),
            app_configs: Arc::default(),
            global_stores: Vec::new(),
            global_feed: None,
            topic_ids: Default::default(),
            partition_counts: Rc::new(|_| Ok(Some(4))),
            deserialization_handler: handler.clone(),
            processing_handler: handler.clone(),
            record_max_bytes: None,
            production_handler: handler,
        })
        .unwrap()
    }
}

/// Adds a record whose key is `key` and whose value is `value`.
pub(crate) fn add(
    task: &mut StreamTask,
    slot: u32,
    offset: i64,
    timestamp: Timestamp,
    key: &str,
    value: &str,
) {
    let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
    task.add_record(slot, RawRecord { offset, timestamp, key, value, headers: Headers::EMPTY });
}

/// Takes what the task wants to send: `topic: key=value@timestamp`.
pub(crate) fn sent(task: &mut StreamTask) -> Vec<String> {
    let outbox = task.outbox();
    let line = |record: &crate::processor::OutRecord| {
        let topic = &outbox.topics[record.topic.0 as usize];
        let (key, value) = (text(outbox.slice(&record.key)), text(outbox.slice(&record.value)));
        format!("{topic}: {key}={value}@{}", record.timestamp.unwrap_or(-1))
    };
    let lines = outbox.records.iter().map(line).collect();
    outbox.clear();
    lines
}
