//! A topic: its partitions and the settings that change what the log does.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::errors::{bad_record, invalid};
use super::partition::PartitionLog;
use crate::client::{ClientError, NewTopic, TopicSetting};

/// `max.message.bytes` of Kafka.
const MESSAGE_BYTES_MAX: usize = 1_048_588;
/// `message.timestamp.after.max.ms` of Kafka 4.
const TIMESTAMP_AFTER_MAX_MS: i64 = 3_600_000;
/// `delete.retention.ms` of Kafka.
const DELETE_RETENTION_MS: i64 = 86_400_000;
/// Longest topic name.
const NAME_LENGTH_MAX: usize = 249;
/// Bytes that Kafka's formats add to keys, values and headers of a single record, about.
const BATCH_OVERHEAD_BYTES: usize = 70;

/// Settings that a topic of Kafka 4.3 may have, and what they are if nobody says otherwise.
const KNOWN_SETTINGS: [(&str, &str); 32] = [
    ("cleanup.policy", "delete"),
    ("compression.gzip.level", "-1"),
    ("compression.lz4.level", "9"),
    ("compression.type", "producer"),
    ("compression.zstd.level", "3"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "9223372036854775807"),
    ("flush.ms", "9223372036854775807"),
    ("follower.replication.throttled.replicas", ""),
    ("index.interval.bytes", "4096"),
    ("leader.replication.throttled.replicas", ""),
    ("local.retention.bytes", "-2"),
    ("local.retention.ms", "-2"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.after.max.ms", "3600000"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("min.insync.replicas", "1"),
    ("preallocate", "false"),
    ("remote.copy.disable", "false"),
    ("remote.log.delete.on.disable", "false"),
    ("remote.storage.enable", "false"),
    ("retention.bytes", "-1"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.index.bytes", "10485760"),
    ("segment.jitter.ms", "0"),
    ("segment.ms", "604800000"),
];

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: Uuid,
    pub(super) replication_factor: i16,
    /// Settings that it was given.
    own: BTreeMap<String, String>,
    pub(super) settings: TopicSettings,
    pub(super) partitions: Vec<PartitionLog>,
}

/// What the log does differently for a topic.
#[derive(Clone, Debug)]
pub(super) struct TopicSettings {
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub(super) compacted: bool,
    /// `message.timestamp.type=LogAppendTime`.
    pub(super) append_time: bool,
    message_bytes_max: usize,
    /// `None`: the default, which a virtual clock does not enforce.
    timestamp_after_max_ms: Option<i64>,
    timestamp_before_max_ms: i64,
    pub(super) delete_retention_ms: i64,
}

impl Topic {
    /// A topic without records.
    ///
    /// # Errors
    /// [`Fault::Invalid`](crate::client::Fault::Invalid) if the name, the counts or a setting is not one that Kafka
    /// accepts.
    pub(super) fn new(new: &NewTopic, id: Uuid) -> Result<Self, ClientError> {
        let call = format!("create topic `{}`", new.name);
        check_name(&call, &new.name)?;
        let partitions = match new.partitions {
            -1 => 1,
            count if count > 0 => count,
            count => return Err(invalid(&call, format!("a topic cannot have {count} partitions"))),
        };
        if new.replication_factor == 0 || new.replication_factor < -1 {
            let message = format!("a topic cannot have {} replicas", new.replication_factor);
            return Err(invalid(&call, message));
        }
        let settings = TopicSettings::parse(&call, &new.config)?;
        Ok(Self {
            id,
            replication_factor: new.replication_factor.max(1),
            own: new.config.clone(),
            settings,
            partitions: (0..partitions).map(|_| PartitionLog::default()).collect(),
        })
    }

    /// All settings.
    pub(super) fn config(&self) -> BTreeMap<String, TopicSetting> {
        let setting = |(key, default): &(&str, &str)| {
            let own = self.own.get(*key);
            let value = own.map_or(*default, String::as_str).to_owned();
            ((*key).to_owned(), TopicSetting { value, own: own.is_some() })
        };
        KNOWN_SETTINGS.iter().map(setting).collect()
    }

    /// Takes over `changes`, or none of them.
    pub(super) fn alter(
        &mut self,
        call: &str,
        changes: &BTreeMap<String, String>,
    ) -> Result<(), ClientError> {
        let mut own = self.own.clone();
        own.extend(changes.clone());
        self.settings = TopicSettings::parse(call, &own)?;
        self.own = own;
        Ok(())
    }

    /// Adds partitions up to `total`.
    pub(super) fn grow(&mut self, call: &str, total: i32) -> Result<(), ClientError> {
        let has = self.partitions.len();
        match usize::try_from(total) {
            Ok(total) if total > has => self.partitions.resize_with(total, PartitionLog::default),
            Ok(_) | Err(_) => {
                return Err(invalid(call, format!("the topic has {has} partitions, {total} are not more")));
            }
        }
        Ok(())
    }
}

/// The form in which two names clash: `.` and `_` are one character to Kafka's metrics.
pub(super) fn collision_name(name: &str) -> String {
    name.replace('.', "_")
}

fn check_name(call: &str, name: &str) -> Result<(), ClientError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty()
        || name == "."
        || name == ".."
        || name.len() > NAME_LENGTH_MAX
        || !name.chars().all(legal)
    {
        let message = "a topic name has 1 to 249 letters, digits, `.`, `_` and `-`, and is not `.` or `..`";
        return Err(invalid(call, message));
    }
    Ok(())
}

impl TopicSettings {
    fn parse(call: &str, config: &BTreeMap<String, String>) -> Result<Self, ClientError> {
        let mut settings = Self {
            compacted: false,
            append_time: false,
            message_bytes_max: MESSAGE_BYTES_MAX,
            timestamp_after_max_ms: None,
            timestamp_before_max_ms: i64::MAX,
            delete_retention_ms: DELETE_RETENTION_MS,
        };
        for (key, value) in config {
            let wrong = || invalid(call, format!("`{value}` is no value for `{key}`"));
            let number = || value.parse::<i64>().map_err(|_| wrong());
            match key.as_str() {
                "cleanup.policy" => {
                    let parts: Vec<&str> =
                        value.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
                    if !parts.iter().all(|part| matches!(*part, "compact" | "delete")) {
                        return Err(wrong());
                    }
                    settings.compacted = parts.contains(&"compact");
                }
                "message.timestamp.type" => match value.as_str() {
                    "CreateTime" => settings.append_time = false,
                    "LogAppendTime" => settings.append_time = true,
                    _ => return Err(wrong()),
                },
                "max.message.bytes" => {
                    settings.message_bytes_max = usize::try_from(number()?).map_err(|_| wrong())?;
                }
                "message.timestamp.after.max.ms" => settings.timestamp_after_max_ms = Some(number()?),
                "message.timestamp.before.max.ms" => settings.timestamp_before_max_ms = number()?,
                "delete.retention.ms" => settings.delete_retention_ms = number()?,
                known if KNOWN_SETTINGS.iter().any(|(key, _)| *key == known) => {}
                unknown => return Err(invalid(call, format!("`{unknown}` is no setting of a topic"))),
            }
        }
        Ok(settings)
    }

    /// Whether a record of `bytes` (keys, values) fits.
    pub(super) fn check_size(&self, call: &str, bytes: usize) -> Result<(), ClientError> {
        if bytes + BATCH_OVERHEAD_BYTES > self.message_bytes_max {
            let limit = self.message_bytes_max;
            return Err(bad_record(
                call,
                format!("a record of {bytes} bytes exceeds max.message.bytes={limit}"),
            ));
        }
        Ok(())
    }

    /// Whether a record with this timestamp may be appended at `now_ms`.
    pub(super) fn check_timestamp(
        &self,
        call: &str,
        timestamp: i64,
        now_ms: i64,
        virtual_time: bool,
    ) -> Result<(), ClientError> {
        if timestamp < 0 || self.append_time {
            return Ok(());
        }
        let after_max_ms = match self.timestamp_after_max_ms {
            Some(ms) => ms,
            None if virtual_time => i64::MAX,
            None => TIMESTAMP_AFTER_MAX_MS,
        };
        if timestamp.saturating_sub(now_ms) > after_max_ms {
            let message = format!("timestamp {timestamp} is more than {after_max_ms} ms after {now_ms}");
            return Err(bad_record(call, message));
        }
        if now_ms.saturating_sub(timestamp) > self.timestamp_before_max_ms {
            let before = self.timestamp_before_max_ms;
            return Err(bad_record(
                call,
                format!("timestamp {timestamp} is more than {before} ms before {now_ms}"),
            ));
        }
        Ok(())
    }
}
