//! Every setting by name: which of Kafka Streams' do something here, which are for the Kafka clients, which mean
//! nothing here and why. Also finds the setting that a misspelt one was meant to be.

use std::path::PathBuf;

use super::values::{boolean, bytes, count, int, millis, one_of, text, whole};
use super::{ProcessingGuarantee, StreamsConfig, TimestampPolicy};

/// Takes a value into the settings; the error is what follows "must be".
pub(super) type Setter = fn(&mut StreamsConfig, &str) -> Result<(), String>;

/// What a setting of Kafka Streams does here.
pub(super) enum Effect {
    /// It sets a field.
    Sets(Setter),
    /// Checked, then given to the Kafka clients.
    Client(fn(&str) -> Result<(), String>),
    /// Checked, then ignored, for this reason. Not worth a warning at its default.
    Nothing { default: &'static str, check: fn(&str) -> Result<(), String>, why: &'static str },
    /// Read together with others, elsewhere.
    Combined,
}

use Effect::{Client, Combined, Nothing, Sets};

/// Prefixes of settings that go to the Kafka clients as they are.
pub(super) const CLIENT_PREFIXES: [&str; 6] =
    ["consumer.", "main.consumer.", "restore.consumer.", "global.consumer.", "producer.", "admin."];
/// Prefix of settings of internal topics.
pub(super) const TOPIC_PREFIX: &str = "topic.";
/// Prefix of settings that mark instances for the placement of standbys.
pub(super) const CLIENT_TAG_PREFIX: &str = "client.tag.";

const ROCKSDB_SUPPLIERS: &str =
    "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$RocksDBDslStoreSuppliers";
const IN_MEMORY_SUPPLIERS: &str =
    "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$InMemoryDslStoreSuppliers";
const UPGRADES: [&str; 18] = [
    "2.4", "2.5", "2.6", "2.7", "2.8", "3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9",
    "4.0", "4.1", "4.2",
];

const NO_JAVA: &str = "Java classes cannot be loaded here";
const NO_SERDES: &str = "serdes are chosen by the types of topics and stores";
const NO_STANDBYS: &str = "this version has no standby tasks";
const NO_RACKS: &str = "racks do not influence the placement of tasks in this version";

fn any(_: &str) -> Result<(), String> {
    Ok(())
}
fn any_bool(value: &str) -> Result<(), String> {
    boolean(value).map(drop)
}
fn any_int(value: &str) -> Result<(), String> {
    int(value, i64::from(i32::MIN)).map(drop)
}
fn any_long(value: &str) -> Result<(), String> {
    whole(value, i64::MIN, i64::MAX).map(drop)
}
fn int_from_0(value: &str) -> Result<(), String> {
    int(value, 0).map(drop)
}
fn int_from_1(value: &str) -> Result<(), String> {
    int(value, 1).map(drop)
}
fn buffer(value: &str) -> Result<(), String> {
    int(value, -1).map(drop)
}
fn long_from_0(value: &str) -> Result<(), String> {
    whole(value, 0, i64::MAX).map(drop)
}

/// Handed on as in Kafka Streams, but no client here can make use of it.
fn reporters(value: &str) -> Result<(), String> {
    if text(value) != "org.apache.kafka.common.metrics.JmxReporter" {
        tracing::warn!(setting = "metric.reporters", value = text(value), "has no effect: {NO_JAVA}");
    }
    Ok(())
}

const fn nothing(default: &'static str, check: fn(&str) -> Result<(), String>, why: &'static str) -> Effect {
    Nothing { default, check, why }
}

/// All settings of Kafka Streams 4.3.1, and ours. In the order in which they are applied.
pub(super) const KEYS: &[(&str, Effect)] = &[
    ("processing.guarantee", Sets(processing_guarantee)),
    ("application.id", Sets(|config, value| set(&mut config.application_id, Ok(text(value).to_owned())))),
    ("bootstrap.servers", Sets(|config, value| set(&mut config.bootstrap_servers, servers(value)))),
    ("buffered.records.per.partition", Sets(buffered_records)),
    ("client.id", Sets(|config, value| set(&mut config.client_id, Ok(text(value).to_owned())))),
    ("commit.interval.ms", Sets(|config, value| set(&mut config.commit_interval, millis(value)))),
    (
        "cache.max.bytes.buffering",
        Sets(|config, value| set(&mut config.statestore_cache_max_bytes, bytes(value))),
    ),
    (
        "statestore.cache.max.bytes",
        Sets(|config, value| set(&mut config.statestore_cache_max_bytes, bytes(value))),
    ),
    ("config.providers", Combined),
    ("default.dsl.store", Sets(default_dsl_store)),
    ("dsl.store.suppliers.class", Sets(dsl_store_suppliers)),
    ("dsl.store.format", Sets(dsl_store_format)),
    ("default.timestamp.extractor", Sets(timestamp_extractor)),
    (
        "ensure.explicit.internal.resource.naming",
        Sets(|config, value| set(&mut config.ensure_explicit_internal_resource_naming, boolean(value))),
    ),
    ("max.task.idle.ms", Sets(max_task_idle)),
    ("memory.max.bytes", Sets(|config, value| set(&mut config.memory_max_bytes, bytes(value)))),
    (
        "metrics.num.samples",
        Sets(|config, value| {
            set(&mut config.metrics.num_samples, int(value, 1).map(|samples| samples as usize))
        }),
    ),
    ("metrics.recording.level", Sets(recording_level)),
    ("metrics.sample.window.ms", Sets(|config, value| set(&mut config.metrics.sample_window, millis(value)))),
    ("num.stream.threads", Sets(|config, value| set(&mut config.num_stream_threads, count(value)))),
    ("poll.ms", Sets(|config, value| set(&mut config.poll, millis(value)))),
    (
        "repartition.purge.interval.ms",
        Sets(|config, value| set(&mut config.repartition_purge_interval, millis(value))),
    ),
    ("replication.factor", Sets(replication_factor)),
    ("state.cleanup.delay.ms", Sets(|config, value| set(&mut config.state_cleanup_delay, millis(value)))),
    ("state.dir", Sets(|config, value| set(&mut config.state_dir, Ok(PathBuf::from(text(value)))))),
    (
        "state.start.from",
        Sets(|config, value| set(&mut config.state_start_from, Ok(Some(PathBuf::from(text(value)))))),
    ),
    (
        "state.start.from.max.age.ms",
        Sets(|config, value| set(&mut config.state_start_from_max_age, millis(value))),
    ),
    ("task.timeout.ms", Sets(|config, value| set(&mut config.task_timeout, millis(value)))),
    ("topology.optimization", Sets(topology_optimization)),
    (
        "windowstore.changelog.additional.retention.ms",
        Sets(|config, value| set(&mut config.window_store_additional_retention, millis(value))),
    ),
    // Read together: which handler, and whether it has a dead-letter topic.
    ("default.deserialization.exception.handler", Combined),
    ("default.production.exception.handler", Combined),
    ("deserialization.exception.handler", Combined),
    ("errors.dead.letter.queue.topic.name", Combined),
    ("processing.exception.handler", Combined),
    ("production.exception.handler", Combined),
    // For the Kafka clients.
    ("connections.max.idle.ms", Client(any_long)),
    ("enable.metrics.push", Client(any_bool)),
    ("metadata.max.age.ms", Client(long_from_0)),
    ("metadata.recovery.rebootstrap.trigger.ms", Client(long_from_0)),
    ("metric.reporters", Client(reporters)),
    ("metadata.recovery.strategy", Client(|value| one_of(value, &["none", "rebootstrap"], true).map(drop))),
    ("receive.buffer.bytes", Client(buffer)),
    ("reconnect.backoff.max.ms", Client(long_from_0)),
    ("reconnect.backoff.ms", Client(long_from_0)),
    ("request.timeout.ms", Client(int_from_0)),
    ("retry.backoff.ms", Client(long_from_0)),
    ("security.protocol", Client(security_protocol)),
    ("send.buffer.bytes", Client(buffer)),
    // Nothing here.
    ("acceptable.recovery.lag", nothing("10000", long_from_0, NO_STANDBYS)),
    ("allow.os.group.write.access", nothing("false", any_bool, "set the umask of the process instead")),
    ("application.server", nothing("", any, "this version serves no interactive queries to other instances")),
    (
        "built.in.metrics.version",
        nothing(
            "latest",
            |value| one_of(value, &["latest"], false).map(drop),
            "there is one version of them",
        ),
    ),
    (
        "default.client.supplier",
        nothing(
            "org.apache.kafka.streams.processor.internals.DefaultKafkaClientSupplier",
            any,
            "the clients are given to `KafkaStreams::new` in code",
        ),
    ),
    ("default.key.serde", nothing("", any, NO_SERDES)),
    ("default.list.key.serde.inner", nothing("", any, NO_SERDES)),
    ("default.list.key.serde.type", nothing("", any, NO_SERDES)),
    ("default.list.value.serde.inner", nothing("", any, NO_SERDES)),
    ("default.list.value.serde.type", nothing("", any, NO_SERDES)),
    ("default.value.serde", nothing("", any, NO_SERDES)),
    (
        "group.protocol",
        nothing(
            "classic",
            |value| one_of(value, &["classic", "streams"], true).map(drop),
            "this version always uses the classic protocol",
        ),
    ),
    ("log.summary.interval.ms", nothing("120000", any_long, "threads log no summaries in this version")),
    ("max.warmup.replicas", nothing("2", int_from_1, NO_STANDBYS)),
    ("num.standby.replicas", nothing("0", any_int, NO_STANDBYS)),
    (
        "probing.rebalance.interval.ms",
        nothing("600000", |value| whole(value, 60_000, i64::MAX).map(drop), NO_STANDBYS),
    ),
    (
        "processing.exception.handler.global.enabled",
        nothing("false", any_bool, "the processing handler is always asked for global stores, too"),
    ),
    (
        "processor.wrapper.class",
        nothing("org.apache.kafka.streams.processor.internals.NoOpProcessorWrapper", any, NO_JAVA),
    ),
    ("rack.aware.assignment.non_overlap_cost", nothing("", any_int, NO_RACKS)),
    (
        "rack.aware.assignment.strategy",
        nothing(
            "none",
            |value| one_of(value, &["none", "min_traffic", "balance_subtopology"], false).map(drop),
            NO_RACKS,
        ),
    ),
    ("rack.aware.assignment.tags", nothing("", any, NO_RACKS)),
    ("rack.aware.assignment.traffic_cost", nothing("", any_int, NO_RACKS)),
    ("rocksdb.config.setter", nothing("", any, NO_JAVA)),
    ("state.cleanup.dir.max.age.ms", nothing("-1", any_long, "state is not purged by age in this version")),
    ("task.assignor.class", nothing("", any, NO_JAVA)),
    (
        "upgrade.from",
        nothing(
            "",
            |value| one_of(value, &UPGRADES, false).map(drop),
            "there is no older version to upgrade from",
        ),
    ),
    ("window.size.ms", nothing("", any_long, NO_SERDES)),
    ("windowed.inner.class.serde", nothing("", any, NO_SERDES)),
];

fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

fn recording_level(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    let level = one_of(value, &["INFO", "DEBUG", "TRACE"], false)?;
    set(&mut config.metrics.recording_level, level.parse())
}

fn processing_guarantee(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    let guarantee = match one_of(value, &["at_least_once", "exactly_once_v2"], false) {
        Ok("exactly_once_v2") => ProcessingGuarantee::ExactlyOnceV2,
        Ok(_) => ProcessingGuarantee::AtLeastOnce,
        Err(words) if matches!(text(value), "exactly_once" | "exactly_once_beta") => {
            return Err(format!("{words}; the older forms were removed: write `exactly_once_v2`"));
        }
        Err(words) => return Err(words),
    };
    config.processing_guarantee = guarantee;
    config.commit_interval = guarantee.default_commit_interval();
    Ok(())
}

/// A client would look for a host called `http://..`, or on port 0, until its time is over.
fn servers(value: &str) -> Result<String, String> {
    let servers: Vec<&str> = value.split(',').map(str::trim).filter(|server| !server.is_empty()).collect();
    let named = |server: &&str| {
        let Some((host, port)) = server.rsplit_once(':') else { return false };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let host = !host.is_empty() && !host.contains('/') && (bracketed || !host.contains(':'));
        host && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    match servers.iter().find(|server| !named(server)) {
        None if servers.is_empty() => Err("a list of brokers, `host:port,host:port`".to_owned()),
        None => Ok(servers.join(",")),
        Some(_) => {
            Err("a list of `host:port`, without a protocol in front: that is `security.protocol`".to_owned())
        }
    }
}

fn buffered_records(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    config.buffered_records_per_partition = int(value, 1)? as usize;
    Ok(())
}

fn default_dsl_store(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    config.dsl_stores_in_memory = one_of(value, &["rocksDB", "in_memory"], false)? == "in_memory";
    Ok(())
}

fn dsl_store_suppliers(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    let class = one_of(value, &[ROCKSDB_SUPPLIERS, IN_MEMORY_SUPPLIERS], false)?;
    config.dsl_stores_in_memory = class == IN_MEMORY_SUPPLIERS;
    Ok(())
}

fn dsl_store_format(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    config.dsl_store_headers = one_of(value, &["DEFAULT", "HEADERS"], true)? == "HEADERS";
    Ok(())
}

fn timestamp_extractor(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    let policy = TimestampPolicy::of_class(text(value)).ok_or_else(|| {
        "one of FailOnInvalidTimestamp, LogAndSkipOnInvalidTimestamp, UsePartitionTimeOnInvalidTimestamp and \
         WallclockTimestampExtractor: other extractors are given where a topic is read, with `Consumed`"
            .to_owned()
    })?;
    config.default_timestamp_extractor = policy;
    Ok(())
}

fn max_task_idle(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    let idle = whole(value, -1, i64::MAX).map_err(|_| {
        "a whole number of milliseconds, or -1 to never wait for a partition without records".to_owned()
    })?;
    config.max_task_idle = u64::try_from(idle).ok().map(std::time::Duration::from_millis);
    Ok(())
}

fn replication_factor(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    match whole(value, -1, i64::from(i16::MAX)) {
        Ok(factor) if factor != 0 => {
            config.replication_factor = factor as i16;
            Ok(())
        }
        _ => Err("a whole number of at least 1, or -1 for the broker's default".to_owned()),
    }
}

fn topology_optimization(config: &mut StreamsConfig, value: &str) -> Result<(), String> {
    set(&mut config.topology_optimization, value.parse())
}

fn security_protocol(value: &str) -> Result<(), String> {
    one_of(value, &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], true).map(drop)
}
