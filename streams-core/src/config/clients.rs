//! Settings -> properties of each Kafka client, as Kafka Streams hands them down.
//!
//! Weakest first: Kafka Streams' own defaults, settings without a prefix that the client knows, then `consumer.` (all
//! consumers), then the client's own prefix; last what may not be changed. Names are Java's; values are text. Not among
//! them: the ids of client, group and transactions, which the runtime gives, and Kafka Streams' defaults of tuning
//! (`linger.ms`, `delivery.timeout.ms`, `enable.metrics.push`), which are made for the Java clients.

use std::collections::BTreeMap;
use std::time::Duration;

use streams_state::memory::MemoryPlan;

use super::{StreamsConfig, client_keys};

/// Properties of a client, by Java's names.
type Properties = BTreeMap<String, String>;

/// What nobody may change for any consumer.
const FIXED: [(&str, &str); 3] =
    [("allow.auto.create.topics", "false"), ("enable.auto.commit", "false"), ("group.protocol", "classic")];
/// Given by the runtime, or chosen by this library.
const NOT_PASSED: [&str; 5] =
    ["client.id", "group.id", "group.instance.id", "partition.assignment.strategy", "transactional.id"];
const DEFAULT_TRANSACTION_TIMEOUT_MS: u64 = 10_000;
/// Bytes that a thread which restores should have.
const BULK_MEMORY_MIN: u64 = 4 << 20;
/// Bytes that a restore fetches of a partition at once.
const BULK_FETCH_BYTES: usize = 8 << 20;
/// Records in the queue of a restore below which it fetches more.
const QUEUED_MIN_MESSAGES: usize = 1_000_000;
/// Default of `max.request.size`.
const DEFAULT_MAX_REQUEST_SIZE: usize = 1_048_576;

impl StreamsConfig {
    /// Properties of the consumer that reads input topics.
    pub fn consumer_properties(&self) -> Properties {
        let mut properties = self.common_consumer_properties("main.consumer.");
        properties.entry("auto.offset.reset".to_owned()).or_insert_with(|| "earliest".to_owned());
        properties
    }

    /// `group.instance.id`, if the user gave one: for the whole application; a thread appends `-` and its number.
    pub fn group_instance_id(&self) -> Option<&str> {
        ["main.consumer.group.instance.id", "consumer.group.instance.id", "group.instance.id"]
            .iter()
            .find_map(|key| self.client_properties.get(*key))
            .map(String::as_str)
    }

    /// Properties of the consumer that restores stores.
    pub fn restore_consumer_properties(&self) -> Properties {
        self.assigning_consumer_properties("restore.consumer.")
    }

    /// Properties of the consumers that restore many records at once, several of them together: large fetches, and queues that hold what
    /// their share of the memory allows. What is set for restore consumers stays.
    pub fn bulk_restore_consumer_properties(&self) -> Properties {
        let mut properties = self.restore_consumer_properties();
        let queue_kilobytes = (self.bulk_restore_memory_max() / 2 / 1024).max(1024);
        let fetch_bytes = (queue_kilobytes * 1024 / 2).min(BULK_FETCH_BYTES);
        if !properties.contains_key("max.partition.fetch.bytes") {
            properties.entry("fetch.message.max.bytes".to_owned()).or_insert_with(|| fetch_bytes.to_string());
        }
        let ours =
            [("queued.max.messages.kbytes", queue_kilobytes), ("queued.min.messages", QUEUED_MIN_MESSAGES)];
        for (key, value) in ours {
            properties.entry(key.to_owned()).or_insert_with(|| value.to_string());
        }
        properties
    }

    /// How many threads restore at once: one for each core, fewer if each had too little memory.
    pub fn restore_workers_max(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        cores.min((self.restoring() / BULK_MEMORY_MIN) as usize).max(1)
    }

    /// Bytes of rows that each of them may hold.
    pub fn bulk_restore_memory_max(&self) -> usize {
        self.restoring() as usize / self.restore_workers_max()
    }

    fn restoring(&self) -> u64 {
        MemoryPlan::of(self.memory_max_bytes).restoring
    }

    /// Properties of the consumer that feeds global stores.
    pub fn global_consumer_properties(&self) -> Properties {
        self.assigning_consumer_properties("global.consumer.")
    }

    /// Properties of the producer.
    pub fn producer_properties(&self) -> Properties {
        let mut properties = Properties::new();
        if self.exactly_once() {
            let timeout = DEFAULT_TRANSACTION_TIMEOUT_MS.to_string();
            properties.insert("transaction.timeout.ms".to_owned(), timeout);
        }
        self.add_unprefixed('p', &mut properties);
        self.add_prefixed("producer.", &mut properties);
        if self.exactly_once() {
            fix(&mut properties, "enable.idempotence", "true");
        }
        self.finish(properties)
    }

    /// Size of the largest record that the producer takes, in bytes: `max.request.size`, 1 MiB unless set.
    pub fn producer_record_max_bytes(&self) -> usize {
        let properties = self.producer_properties();
        let given = properties.get("max.request.size").or_else(|| properties.get("message.max.bytes"));
        given.and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_MAX_REQUEST_SIZE)
    }

    /// Properties of the admin client.
    pub fn admin_properties(&self) -> Properties {
        let mut properties = Properties::new();
        self.add_unprefixed('a', &mut properties);
        self.add_prefixed("admin.", &mut properties);
        self.finish(properties)
    }

    /// How long a transaction may stay open; `None` without exactly once. 10 s, unless
    /// `producer.transaction.timeout.ms` says otherwise.
    pub fn transaction_timeout(&self) -> Option<Duration> {
        let given =
            self.producer_properties().remove("transaction.timeout.ms").filter(|_| self.exactly_once())?;
        Some(Duration::from_millis(given.parse().unwrap_or(DEFAULT_TRANSACTION_TIMEOUT_MS)))
    }

    fn assigning_consumer_properties(&self, prefix: &str) -> Properties {
        let mut properties = self.common_consumer_properties(prefix);
        properties.insert("auto.offset.reset".to_owned(), "none".to_owned());
        properties
    }

    fn common_consumer_properties(&self, prefix: &str) -> Properties {
        let mut properties: Properties = [("max.poll.records".to_owned(), "1000".to_owned())].into();
        self.add_unprefixed('c', &mut properties);
        self.add_prefixed("consumer.", &mut properties);
        self.add_prefixed(prefix, &mut properties);
        for (key, value) in FIXED {
            fix(&mut properties, key, value);
        }
        if self.exactly_once() {
            fix(&mut properties, "isolation.level", "read_committed");
        }
        self.finish(properties)
    }

    fn add_unprefixed(&self, role: char, properties: &mut Properties) {
        let known = self.client_properties.iter().filter(|(key, _)| client_keys::is_of(role, key));
        properties.extend(known.map(|(key, value)| (key.clone(), value.clone())));
    }

    fn add_prefixed(&self, prefix: &str, properties: &mut Properties) {
        for (key, value) in &self.client_properties {
            if let Some(key) = key.strip_prefix(prefix) {
                properties.insert(key.to_owned(), value.clone());
            }
        }
    }

    fn finish(&self, mut properties: Properties) -> Properties {
        properties.retain(|key, _| !NOT_PASSED.contains(&key.as_str()));
        if !self.bootstrap_servers.is_empty() {
            properties.insert("bootstrap.servers".to_owned(), self.bootstrap_servers.clone());
        }
        properties
    }
}

fn fix(properties: &mut Properties, key: &str, value: &str) {
    let old = properties.insert(key.to_owned(), value.to_owned());
    if let Some(old) = old.filter(|old| old != value) {
        tracing::warn!(setting = key, value = old, "is ignored: it is always `{value}` here");
    }
}
