//! What a broker that answers says of its cluster: brokers, topics, leaders. Whatever it says, librdkafka takes it over.

use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaErrorCode;

use super::{Failure, Native, Topic, millis, text};

/// Which topics a broker is asked about.
enum Scope<'a> {
    /// All of the cluster.
    All,
    /// Those that this client writes or reads; all if there are none.
    Known,
    /// This one.
    Only(&'a Topic),
}

/// An answer. Freed when dropped.
struct Metadata(NonNull<sys::rd_kafka_metadata>);

impl Metadata {
    /// Asks a broker that is connected, or the first one that will be.
    fn ask(native: &Native, scope: &Scope<'_>, timeout: Duration) -> Result<Self, Failure> {
        let (all, topic) = match scope {
            Scope::All => (1, std::ptr::null_mut()),
            Scope::Known => (0, std::ptr::null_mut()),
            Scope::Only(topic) => (0, topic.as_ptr()),
        };
        let mut answer: *const sys::rd_kafka_metadata = std::ptr::null();
        // SAFETY: living client and topic; on success `answer` is an object of ours.
        let code =
            unsafe { sys::rd_kafka_metadata(native.rk(), all, topic, &raw mut answer, millis(timeout)) };
        Failure::check(code)?;
        let nothing = || Failure::new(RDKafkaErrorCode::Partial, "an answer without metadata");
        NonNull::new(answer.cast_mut()).map(Self).ok_or_else(nothing)
    }

    fn topics(&self) -> &[sys::rd_kafka_metadata_topic] {
        // SAFETY: our object; `topics` points to `topic_cnt` living elements.
        unsafe { part(self.0.as_ref().topics, self.0.as_ref().topic_cnt) }
    }

    fn brokers(&self) -> &[sys::rd_kafka_metadata_broker] {
        // SAFETY: our object; `brokers` points to `broker_cnt` living elements.
        unsafe { part(self.0.as_ref().brokers, self.0.as_ref().broker_cnt) }
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { sys::rd_kafka_metadata_destroy(self.0.as_ptr()) }
    }
}

/// The elements of a C array.
///
/// # Safety
/// `array` is null or points to `count` elements that live for `'a`.
unsafe fn part<'a, T>(array: *const T, count: i32) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: by the contract of this function.
        Ok(count) if !array.is_null() => unsafe { slice::from_raw_parts(array, count) },
        _ => &[],
    }
}

impl Native {
    /// Names of all topics of the cluster.
    pub(crate) fn topic_names(&self, timeout: Duration) -> Result<Vec<String>, Failure> {
        let answer = Metadata::ask(self, &Scope::All, timeout)?;
        // SAFETY: names are NUL-terminated and live as long as the answer.
        Ok(answer.topics().iter().map(|topic| unsafe { text(topic.topic) }).collect())
    }

    /// Ids of the brokers that are in the cluster.
    pub(crate) fn brokers(&self, timeout: Duration) -> Result<Vec<i32>, Failure> {
        let answer = Metadata::ask(self, &Scope::Known, timeout)?;
        Ok(answer.brokers().iter().map(|broker| broker.id).collect())
    }

    /// Learns who leads the partitions of `topic` now. Says how many there are, or that the topic is unknown.
    pub(crate) fn learn_leaders(self: &Arc<Self>, topic: &str, timeout: Duration) -> Result<i32, Failure> {
        let topic = Topic::new(self, topic)?;
        let answer = Metadata::ask(self, &Scope::Only(&topic), timeout)?;
        let nothing = || Failure::new(RDKafkaErrorCode::Partial, "an answer without the topic");
        let topic = answer.topics().first().ok_or_else(nothing)?;
        Failure::check(topic.err).map(|()| topic.partition_cnt)
    }
}
