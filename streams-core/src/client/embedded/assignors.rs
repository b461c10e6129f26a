//! Who gets which partition: the eager assignors of Kafka's classic groups.
//!
//! In: members with their topics, and topics with their partition counts. Out: partitions of each member; members
//! without a partition have an empty list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use streams_state::types::TopicPartition;

use super::errors::invalid;
use crate::client::{ASSIGNORS, ClientError};

/// Members with their topics.
type Members = BTreeMap<String, Vec<Arc<str>>>;
/// Members with their partitions.
type Assignment = BTreeMap<String, Vec<TopicPartition>>;

/// `partition.assignment.strategy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Assignor {
    /// Of each topic every member gets a run of partitions, members in the order of their ids: partition p of all topics
    /// with the same number of partitions goes to the same member, if all members subscribed to the same topics.
    Range,
    /// All partitions of all topics in turn, one to each member that subscribed to the topic.
    RoundRobin,
}

impl Assignor {
    /// By Kafka's name.
    pub(super) fn of(name: &str) -> Result<Self, ClientError> {
        match name.trim() {
            "range" => Ok(Self::Range),
            "roundrobin" => Ok(Self::RoundRobin),
            other => {
                let known = ASSIGNORS.join(", ");
                let message =
                    format!("`partition.assignment.strategy` is `{other}`; it must be one of {known}");
                Err(invalid("make consumer", message))
            }
        }
    }

    /// Kafka's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// Splits `topics` among `members`.
    pub(super) fn assign(self, members: &Members, topics: &BTreeMap<Arc<str>, i32>) -> Assignment {
        let mut assignment: Assignment = members.keys().map(|member| (member.clone(), Vec::new())).collect();
        let subscribed: BTreeSet<&Arc<str>> = members.values().flatten().collect();
        let known = subscribed.into_iter().filter_map(|topic| topics.get_key_value(topic));
        match self {
            Self::Range => known.for_each(|(topic, count)| range(members, topic, *count, &mut assignment)),
            Self::RoundRobin => round_robin(members, known, &mut assignment),
        }
        assignment
    }
}

fn range(members: &Members, topic: &Arc<str>, count: i32, assignment: &mut Assignment) {
    let takers: Vec<&String> =
        members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect();
    let shares = takers.len() as i32;
    let mut next = 0;
    for (number, member) in takers.into_iter().enumerate() {
        let share = count / shares + i32::from((number as i32) < count % shares);
        if let Some(list) = assignment.get_mut(member) {
            list.extend(
                (next..next + share).map(|partition| TopicPartition::new(Arc::clone(topic), partition)),
            );
        }
        next += share;
    }
}

fn round_robin<'a>(
    members: &Members,
    topics: impl Iterator<Item = (&'a Arc<str>, &'a i32)>,
    assignment: &mut Assignment,
) {
    let mut turn = members.iter().cycle();
    for (topic, count) in topics {
        for partition in 0..*count {
            // Each topic comes from a member, so that somebody takes it within one round.
            let taker = turn.by_ref().find(|(_, topics)| topics.contains(topic));
            if let Some(list) = taker.and_then(|(member, _)| assignment.get_mut(member)) {
                list.push(TopicPartition::new(Arc::clone(topic), partition));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(assignor: Assignor) -> [String; 3] {
        let members = ["m0", "m1", "m2"];
        let members =
            members.map(|m| (m.to_owned(), vec![Arc::from("a"), Arc::from("b")])).into_iter().collect();
        let topics = [(Arc::from("a"), 4), (Arc::from("b"), 2)].into_iter().collect();
        let assignment = assignor.assign(&members, &topics);
        ["m0", "m1", "m2"].map(|member| format!("{:?}", assignment[member]))
    }

    #[test]
    fn by_range_the_first_members_get_the_rest_of_each_topic() {
        assert_eq!(assigned(Assignor::Range), ["[a-0, a-1, b-0]", "[a-2, b-1]", "[a-3]"]);
    }

    #[test]
    fn in_turn_all_members_get_as_many() {
        assert_eq!(assigned(Assignor::RoundRobin), ["[a-0, a-3]", "[a-1, b-0]", "[a-2, b-1]"]);
    }
}
