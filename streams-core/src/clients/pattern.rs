//! What topics a consumer reads whose subscription is a pattern: held against those of the cluster from time to time.
//!
//! librdkafka has patterns, too, in a syntax of its own and without telling which topics they found; so a client is always subscribed
//! to topics by name.

use std::time::{Duration, Instant};

use streams_state::serdes::SerdeRef;

use super::consumer_error::ConsumerError;
use super::intake::TopicSerdes;
use crate::client::{Admin, Consumer};
use crate::topology::SourcePattern;

/// How long the cluster may take to list its topics, and the wait after it did not.
const LOOK: Duration = Duration::from_secs(1);

/// The shortest time between two looks, whatever the settings say: a poll that waits would do nothing else.
const EVERY_MIN: Duration = Duration::from_millis(10);

/// The pattern of a subscription.
pub(super) struct Pattern<K, V> {
    pattern: SourcePattern,
    every: Duration,
    due: Instant,
    admin: Box<dyn Admin>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    /// Topics that the client is subscribed to, by name.
    topics: Vec<String>,
}

impl<K: 'static, V: 'static> Pattern<K, V> {
    pub(super) fn new(
        pattern: SourcePattern,
        every: Duration,
        admin: Box<dyn Admin>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Self {
        let every = every.max(EVERY_MIN);
        Self { pattern, every, due: Instant::now(), admin, keys, values, topics: Vec::new() }
    }

    /// When the next look is due.
    pub(super) fn due_in(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Whether a look is due.
    pub(super) fn is_due(&self) -> bool {
        self.due_in().is_zero()
    }

    /// Looks at the topics of the cluster, if it is time, and subscribes to those that match, if they are others than before.
    pub(super) fn look(
        &mut self,
        client: &mut dyn Consumer,
        serdes: &mut Vec<TopicSerdes<K, V>>,
    ) -> Result<(), ConsumerError> {
        if !self.is_due() {
            return Ok(());
        }
        let mut topics = match self.admin.list_topics(LOOK).map_err(ConsumerError::from) {
            Ok(topics) => topics,
            Err(error) if error.is_retriable() => {
                tracing::warn!(
                    pattern = self.pattern.as_str(),
                    "topics are looked for again in a second: {error}"
                );
                self.due = Instant::now() + LOOK;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.due = Instant::now() + self.every;
        topics.retain(|topic| self.pattern.takes(topic));
        topics.sort_unstable();
        if topics == self.topics {
            return Ok(());
        }
        for topic in &topics {
            if serdes.iter().all(|known| *known.topic != **topic) {
                serdes.push(TopicSerdes::of(topic, &self.keys, &self.values));
            }
        }
        match topics.is_empty() {
            true => client.unsubscribe()?,
            false => client.subscribe(&topics)?,
        }
        self.topics = topics;
        Ok(())
    }
}
