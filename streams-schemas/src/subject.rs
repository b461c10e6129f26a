//! Under which subject of the registry a schema stands: Confluent's three strategies.

use streams_state::serdes::Part;

use crate::error::SchemaError;

/// How subjects are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SubjectNames {
    /// By topic: `orders-value`, `orders-key`. One type a topic. The default.
    #[default]
    Topic,
    /// By type: `shop.Order`, wherever it is used.
    Record,
    /// By both: `orders-shop.Order`. A topic may have several types.
    TopicRecord,
}

impl SubjectNames {
    /// The subject of type `record` in `part` of the records of `topic`.
    pub fn subject(self, topic: Option<(&str, Part)>, record: &str) -> Result<String, SchemaError> {
        match (self, topic) {
            (Self::Topic, Some((topic, part))) => Ok(format!("{topic}-{part}")),
            (Self::TopicRecord, Some((topic, _))) => Ok(format!("{topic}-{record}")),
            (Self::Record, _) => Ok(record.to_owned()),
            (Self::Topic | Self::TopicRecord, None) => Err(SchemaError::NoTopic),
        }
    }

    /// By the name of Confluent's class: `TopicNameStrategy`, with its package or without.
    pub(crate) fn from_class(class: &str) -> Option<Self> {
        match class.rsplit('.').next().unwrap_or(class) {
            "TopicNameStrategy" => Some(Self::Topic),
            "RecordNameStrategy" => Some(Self::Record),
            "TopicRecordNameStrategy" => Some(Self::TopicRecord),
            _ => None,
        }
    }
}
