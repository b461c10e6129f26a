//! The admin client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streams_state::types::TopicPartition;

use super::kafka::Shared;
use crate::client::{Admin, AdminTopic, ClientError, Fault, GroupMember, NewTopic, TopicSetting};

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
            let (partitions, replication_factor) =
                (log.partition_count(name)?, log.replication_factor(name)?);
            Some(AdminTopic { name: name.clone(), partitions, replication_factor, id: log.topic_id(name) })
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

    fn describe_configs(
        &mut self,
        topics: &[String],
        _: Duration,
    ) -> Result<Vec<Option<BTreeMap<String, TopicSetting>>>, ClientError> {
        let (log, _) = self.0.lock();
        Ok(topics.iter().map(|topic| log.topic_config(topic)).collect())
    }

    fn alter_configs(
        &mut self,
        topic: &str,
        settings: &BTreeMap<String, String>,
        _: Duration,
    ) -> Result<(), ClientError> {
        self.0.change(|log, _| log.alter_config(topic, settings))
    }

    fn create_partitions(&mut self, topic: &str, total: i32, _: Duration) -> Result<(), ClientError> {
        self.0.change(|log, now| log.create_partitions(topic, total, now.ms))
    }

    fn group_members(&mut self, group: &str, _: Duration) -> Result<Vec<GroupMember>, ClientError> {
        self.0.change(|log, _| Ok(log.group_members(group)))
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
