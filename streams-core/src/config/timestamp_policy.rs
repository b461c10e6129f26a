//! Where a record's event time comes from, if no function of the user's finds it.

/// Kafka Streams' own timestamp extractors: what gives a record its event time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampPolicy {
    /// Kafka's timestamp; a negative one stops the task: `FailOnInvalidTimestamp`. The default.
    #[default]
    FailOnInvalid,
    /// Kafka's timestamp; a record with a negative one is dropped and counted: `LogAndSkipOnInvalidTimestamp`.
    LogAndSkipOnInvalid,
    /// Kafka's timestamp; for a negative one the largest timestamp of the partition so far, and if there is none the task
    /// stops: `UsePartitionTimeOnInvalidTimestamp`.
    UsePartitionTimeOnInvalid,
    /// The time at which the record is read: `WallclockTimestampExtractor`.
    WallClock,
}

impl TimestampPolicy {
    /// The policy of one of Kafka Streams' classes, by simple or full name.
    pub fn of_class(class: &str) -> Option<Self> {
        match class.strip_prefix("org.apache.kafka.streams.processor.").unwrap_or(class) {
            "FailOnInvalidTimestamp" => Some(Self::FailOnInvalid),
            "LogAndSkipOnInvalidTimestamp" => Some(Self::LogAndSkipOnInvalid),
            "UsePartitionTimeOnInvalidTimestamp" => Some(Self::UsePartitionTimeOnInvalid),
            "WallclockTimestampExtractor" => Some(Self::WallClock),
            _ => None,
        }
    }
}
