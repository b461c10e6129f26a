//! The serdes of a sink, as they are for each topic that it wrote so far.

use streams_state::serdes::{Part, SerdeRef, for_topic};

use super::sink::topic_name;
use crate::processor::{OutTopic, TaskContext};

/// Keys and values: as they were given, and as they are for a topic.
pub(crate) struct SinkSerdes<K, T> {
    keys: SerdeRef<K>,
    values: SerdeRef<T>,
    by_topic: Vec<(OutTopic, SerdeRef<K>, SerdeRef<T>)>,
}

impl<K: 'static, T: 'static> SinkSerdes<K, T> {
    /// Those that the user gave.
    pub(crate) fn new(keys: SerdeRef<K>, values: SerdeRef<T>) -> Self {
        Self { keys, values, by_topic: Vec::new() }
    }

    /// Those for `topic`: almost always the only one.
    pub(super) fn of(&mut self, context: &TaskContext, topic: OutTopic) -> (&SerdeRef<K>, &SerdeRef<T>) {
        let known = self.by_topic.iter().position(|(known, _, _)| *known == topic);
        let index = known.unwrap_or_else(|| {
            let name = topic_name(context, topic);
            let (keys, values) =
                (for_topic(&self.keys, &name, Part::Key), for_topic(&self.values, &name, Part::Value));
            self.by_topic.push((topic, keys, values));
            self.by_topic.len() - 1
        });
        let (_, keys, values) = &self.by_topic[index];
        (keys, values)
    }

    /// The part of a written key that its partition follows from.
    pub(super) fn base_key<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        self.keys.base_key(key)
    }
}
