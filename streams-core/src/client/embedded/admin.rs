//! The admin client.

use std::sync::Arc;
use std::time::Duration;

use streams_state::types::TopicPartition;

use super::kafka::Shared;
use crate::client::{Admin, AdminTopic, ClientError, Fault, NewTopic};

/// Creates, describes and deletes topics of an embedded Kafka.
pub(super) struct EmbeddedAdmin(Arc<Shared>);

impl EmbeddedAdmin {
    pub(super) fn new(kafka: Arc<Shared>) -> Self {
        Self(kafka)
    }
}

impl Admin for EmbeddedAdmin {
    fn describe_topics(
        &mut self,
        topics: &[String],
        _: Duration,
    ) -> Result<Vec<Option<AdminTopic>>, ClientError> {
        let (log, _) = self.0.lock();
        let describe = |name: &String| {
            let partitions = log.partition_count(name)?;
            Some(AdminTopic { name: name.clone(), partitions, id: log.topic_id(name) })
        };
        Ok(topics.iter().map(describe).collect())
    }

    fn list_topics(&mut self, _: Duration) -> Result<Vec<String>, ClientError> {
        Ok(self.0.lock().0.topic_names())
    }

    fn create_topics(
        &mut self,
        topics: &[NewTopic],
        _: Duration,
    ) -> Result<Vec<Result<(), ClientError>>, ClientError> {
        self.0.change(|log, now| Ok(topics.iter().map(|new| log.create_topic(new, now.ms)).collect()))
    }

    fn delete_topics(&mut self, topics: &[String], _: Duration) -> Result<(), ClientError> {
        self.0.change(|log, now| {
            for name in topics {
                match log.delete_topic(name, now.ms) {
                    Err(error) if error.fault != Fault::UnknownTopic => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            Ok(())
        })
    }

    fn delete_records(&mut self, before: &[(TopicPartition, i64)], _: Duration) -> Result<(), ClientError> {
        self.0.change(|log, _| {
            before.iter().try_for_each(|(at, offset)| log.delete_records(at, *offset).map(drop))
        })
    }
}
