//! Members of consumer groups, driven by hand: each poll is one turn, each rebalance step is answered or not.

use std::collections::BTreeMap;

use kstreams::client::{ClientSupplier, Consumer, ConsumerSettings, RebalanceEvent, Slot};
use kstreams::types::TopicPartition;

use crate::support::{Everything, LOOK, eventually};

/// A member of a group, with what happened to it.
pub(crate) struct Member {
    /// The consumer.
    pub(crate) consumer: Box<dyn Consumer>,
    /// All rebalance steps so far.
    pub(crate) events: Vec<RebalanceEvent>,
    /// What it owns.
    pub(crate) owned: Vec<TopicPartition>,
    /// What it read.
    pub(crate) records: Everything,
}

impl Member {
    /// Subscribes; the group is joined while it is polled.
    #[track_caller]
    pub(crate) fn subscribe(
        kafka: &dyn ClientSupplier,
        group: &str,
        client_id: &str,
        topics: &[&str],
    ) -> Self {
        Self::subscribe_with(kafka, group, client_id, topics, &[])
    }

    /// Subscribes with settings.
    #[track_caller]
    pub(crate) fn subscribe_with(
        kafka: &dyn ClientSupplier,
        group: &str,
        client_id: &str,
        topics: &[&str],
        properties: &[(&str, &str)],
    ) -> Self {
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = ConsumerSettings {
            client_id: client_id.to_owned(),
            group: Some(group.to_owned()),
            read_committed: true,
            properties: properties.collect::<BTreeMap<_, _>>(),
            ..ConsumerSettings::default()
        };
        Self::new(kafka, &settings, topics)
    }

    /// Subscribes as an instance that keeps its identity over restarts; it is waited for for two minutes.
    #[track_caller]
    pub(crate) fn subscribe_as(
        kafka: &dyn ClientSupplier,
        group: &str,
        instance: &str,
        topics: &[&str],
    ) -> Self {
        let settings = ConsumerSettings {
            client_id: "instance".to_owned(),
            group: Some(group.to_owned()),
            group_instance: Some(instance.to_owned()),
            read_committed: true,
            properties: BTreeMap::from([("session.timeout.ms".to_owned(), "120000".to_owned())]),
            ..ConsumerSettings::default()
        };
        Self::new(kafka, &settings, topics)
    }

    #[track_caller]
    fn new(kafka: &dyn ClientSupplier, settings: &ConsumerSettings, topics: &[&str]) -> Self {
        let mut consumer = kafka.consumer(settings).unwrap();
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        consumer.subscribe(&topics).unwrap();
        Self { consumer, events: Vec::new(), owned: Vec::new(), records: Everything::default() }
    }

    /// Polls once without answering: the rebalance step, if one came.
    #[track_caller]
    pub(crate) fn poll(&mut self) -> Option<RebalanceEvent> {
        let event = self.consumer.poll(LOOK, &mut self.records).unwrap().rebalance;
        self.events.extend(event.clone());
        event
    }

    /// Polls until a rebalance step comes, without answering it.
    #[track_caller]
    pub(crate) fn next_event(&mut self) -> RebalanceEvent {
        eventually("a rebalance step", || self.poll())
    }

    /// Answers a rebalance step; partitions begin at 0 under the slot of their number.
    #[track_caller]
    pub(crate) fn answer(&mut self, event: RebalanceEvent) {
        match event {
            RebalanceEvent::Assigned(partitions) => {
                let places: Vec<_> =
                    partitions.iter().map(|at| (at.clone(), 0, at.partition as Slot)).collect();
                self.consumer.complete_assign(&places).unwrap();
                self.owned = partitions;
                self.owned.sort();
            }
            RebalanceEvent::Revoked(_) | RebalanceEvent::Lost(_) => {
                self.consumer.complete_revoke().unwrap();
                self.owned.clear();
            }
        }
    }

    /// Polls once and answers.
    #[track_caller]
    pub(crate) fn turn(&mut self) {
        if let Some(event) = self.poll() {
            self.answer(event);
        }
    }

    /// Generation that the member is in.
    pub(crate) fn generation(&self) -> i32 {
        self.consumer.group_metadata().generation
    }
}

/// Polls all members until they own `counts` partitions in one generation.
#[track_caller]
pub(crate) fn settle(members: &mut [&mut Member], counts: &[usize]) {
    eventually("the group to settle", || {
        for member in members.iter_mut() {
            member.turn();
        }
        let mut owned: Vec<usize> = members.iter().map(|member| member.owned.len()).collect();
        let mut wanted = counts.to_vec();
        owned.sort_unstable();
        wanted.sort_unstable();
        let generation = members[0].generation();
        let together = members.iter().all(|member| member.generation() == generation);
        (owned == wanted && together).then_some(())
    });
}

/// A member that alone owns all `count` partitions of `topic`.
#[track_caller]
pub(crate) fn sole_member(kafka: &dyn ClientSupplier, group: &str, topic: &str, count: usize) -> Member {
    let mut member = Member::subscribe(kafka, group, "sole", &[topic]);
    settle(&mut [&mut member], &[count]);
    member
}
