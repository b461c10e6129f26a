//! Creating, inspecting, changing and deleting topics; looking at groups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use streams_state::types::TopicPartition;

use super::ffi::{EventKind, Failure, Native, PartitionList, Queue, TopicDescription};
use super::handle::Handle;
use super::refusal::Peer;
use super::statistics::Told;
use crate::client::{
    Admin, AdminTopic, ClientError, Fault, GroupMember, NetworkStatistics, NewTopic, TopicSetting,
};

/// How often a new topic is looked for until every broker that we ask knows it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Longest time of one question for a group: of the first group that a cluster is asked for, the coordinator is only being made, and
/// librdkafka either gives up at once, or waits for an answer that does not come any more.
const GROUP_ATTEMPT: Duration = Duration::from_secs(3);

/// An admin client on librdkafka.
pub(super) struct KafkaAdmin {
    /// What nobody waits for: news of the network, errors. None in a client that has no queue for it.
    events: Option<Queue>,
    told: Told,
    handle: Handle,
}

impl KafkaAdmin {
    /// An admin client.
    pub(super) fn new(native: Native, peer: Peer) -> Self {
        let native = Arc::new(native);
        Self { events: Queue::main(&native), told: Told::default(), handle: Handle::new(native, peer) }
    }

    fn describe(
        &self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<HashMap<String, TopicDescription>, ClientError> {
        let answer = self.handle.native().describe_topics(topics, timeout);
        let answer = self
            .handle
            .check(answer)
            .map_err(|failure| self.handle.read_error("describe topics", failure))?;
        let mut known = HashMap::with_capacity(answer.len());
        for (topic, described) in answer {
            match described {
                Ok(described) => {
                    known.insert(topic, described);
                }
                Err(failure) => {
                    let error = self.handle.read_error(format!("describe topic `{topic}`"), failure);
                    if error.fault != Fault::UnknownTopic {
                        return Err(error);
                    }
                }
            }
        }
        Ok(known)
    }

    /// A created topic is known to the controller first, and to brokers a moment later.
    fn wait_until_known(&self, mut topics: Vec<String>, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while !topics.is_empty() && Instant::now() < deadline {
            if let Ok(known) = self.describe(&topics, deadline.saturating_duration_since(Instant::now())) {
                topics.retain(|topic| !known.contains_key(topic));
            }
            if !topics.is_empty() {
                thread::sleep(LOOK_AGAIN);
            }
        }
    }
}

impl Admin for KafkaAdmin {
    fn describe_topics(
        &mut self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<Option<AdminTopic>>, ClientError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        // librdkafka refuses to be asked twice for one topic.
        let mut names = topics.to_vec();
        names.sort_unstable();
        names.dedup();
        let known = self.describe(&names, timeout)?;
        let topic = |name: &String| {
            let TopicDescription { partitions, replication_factor, id } = *known.get(name)?;
            Some(AdminTopic { name: name.clone(), partitions, replication_factor, id })
        };
        Ok(topics.iter().map(topic).collect())
    }

    fn statistics(&mut self) -> Option<NetworkStatistics> {
        while let Some(event) = self.events.as_ref().and_then(|events| events.poll(Duration::ZERO)) {
            match event.kind() {
                EventKind::Statistics => self.told.hear(&event.statistics()),
                EventKind::Rebalance
                | EventKind::Error
                | EventKind::Fetch
                | EventKind::Deliveries
                | EventKind::Other => {}
            }
        }
        self.told.take_network()
    }

    fn list_topics(&mut self, timeout: Duration) -> Result<Vec<String>, ClientError> {
        let answer = self.handle.native().topic_names(timeout);
        self.handle.check(answer).map_err(|failure| self.handle.read_error("list topics", failure))
    }

    fn create_topics(
        &mut self,
        topics: &[NewTopic],
        timeout: Duration,
    ) -> Result<Vec<Result<(), ClientError>>, ClientError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + timeout;
        let answer = self.handle.native().create_topics(topics, timeout);
        let answer =
            self.handle.check(answer).map_err(|failure| self.handle.error("create topics", failure))?;
        let mut outcomes: HashMap<String, Result<(), Failure>> = answer.into_iter().collect();
        let created = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(name, _)| name.clone());
        self.wait_until_known(created.collect(), deadline.saturating_duration_since(Instant::now()));
        let outcome = |topic: &NewTopic| {
            let call = format!("create topic `{}`", topic.name);
            match outcomes.remove(&topic.name) {
                Some(Ok(())) => Ok(()),
                Some(Err(failure)) => Err(self.handle.error(call, failure)),
                None => Err(ClientError::new(Fault::Unknown, call, "the broker says nothing of it")),
            }
        };
        Ok(topics.iter().map(outcome).collect())
    }

    fn describe_configs(
        &mut self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<Option<BTreeMap<String, TopicSetting>>>, ClientError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let mut names = topics.to_vec();
        names.sort_unstable();
        names.dedup();
        let answer = self.handle.check(self.handle.native().describe_configs(&names, timeout));
        let answer = answer.map_err(|failure| self.handle.read_error("read settings of topics", failure))?;
        let mut known = HashMap::with_capacity(answer.len());
        for (topic, settings) in answer {
            let call = || format!("read settings of topic `{topic}`");
            match settings.map_err(|failure| self.handle.read_error(call(), failure)) {
                Ok(settings) => known.insert(topic, settings),
                Err(error) if error.fault == Fault::UnknownTopic => None,
                Err(error) => return Err(error),
            };
        }
        Ok(topics.iter().map(|topic| known.get(topic).cloned()).collect())
    }

    fn alter_configs(
        &mut self,
        topic: &str,
        settings: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let answer = self.handle.check(self.handle.native().alter_configs(topic, settings, timeout));
        answer.map_err(|failure| self.handle.error(format!("alter topic `{topic}`"), failure))
    }

    fn create_partitions(&mut self, topic: &str, total: i32, timeout: Duration) -> Result<(), ClientError> {
        let answer = self.handle.check(self.handle.native().create_partitions(topic, total, timeout));
        answer.map_err(|failure| self.handle.error(format!("add partitions to topic `{topic}`"), failure))
    }

    fn group_members(&mut self, group: &str, timeout: Duration) -> Result<Vec<GroupMember>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let attempt = left.min(GROUP_ATTEMPT);
            let answer = self.handle.check(self.handle.native().group_members(group, attempt));
            match answer
                .map_err(|failure| self.handle.read_error(format!("look at group `{group}`"), failure))
            {
                Err(error) if error.fault == Fault::Retriable && Instant::now() + LOOK_AGAIN < deadline => {
                    thread::sleep(LOOK_AGAIN);
                }
                answer => return answer,
            }
        }
    }

    fn delete_topics(&mut self, topics: &[String], timeout: Duration) -> Result<(), ClientError> {
        if topics.is_empty() {
            return Ok(());
        }
        let answer = self.handle.native().delete_topics(topics, timeout);
        let answer =
            self.handle.check(answer).map_err(|failure| self.handle.error("delete topics", failure))?;
        for (topic, outcome) in answer {
            if let Err(failure) = outcome {
                let error = self.handle.error(format!("delete topic `{topic}`"), failure);
                if error.fault != Fault::UnknownTopic {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn delete_records(
        &mut self,
        before: &[(TopicPartition, i64)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        if before.is_empty() {
            return Ok(());
        }
        let mut list = PartitionList::with_capacity(before.len());
        for (partition, offset) in before {
            list.add(&partition.topic, partition.partition, *offset, "");
        }
        let answer = self.handle.check(self.handle.native().delete_records(&list, timeout));
        answer.map_err(|failure| self.handle.error("delete records", failure))
    }
}
