//! Who gets which partition: the assignors of Kafka's classic groups.
//!
//! In: members with their topics and what they have, and topics with their partition counts. Out: partitions of each member; members
//! without a partition have an empty list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use streams_state::types::TopicPartition;

use super::errors::invalid;
use crate::client::{ASSIGNORS, COOPERATIVE, ClientError};

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
    /// All get as many, and members keep what they have as far as that goes. What has to move is given to nobody before its owner has
    /// given it back: that takes another rebalance.
    CooperativeSticky,
}

impl Assignor {
    /// By Kafka's name.
    pub(super) fn of(name: &str) -> Result<Self, ClientError> {
        match name.trim() {
            "range" => Ok(Self::Range),
            "roundrobin" => Ok(Self::RoundRobin),
            COOPERATIVE => Ok(Self::CooperativeSticky),
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
            Self::CooperativeSticky => COOPERATIVE,
        }
    }

    /// Whether members keep what they have while the group rebalances.
    pub(super) fn is_cooperative(self) -> bool {
        match self {
            Self::Range | Self::RoundRobin => false,
            Self::CooperativeSticky => true,
        }
    }

    /// Splits `topics` among `members`, who have `owned`.
    pub(super) fn assign(
        self,
        members: &Members,
        owned: &Assignment,
        topics: &BTreeMap<Arc<str>, i32>,
    ) -> Assignment {
        let mut assignment: Assignment = members.keys().map(|member| (member.clone(), Vec::new())).collect();
        let subscribed: BTreeSet<&Arc<str>> = members.values().flatten().collect();
        let known = subscribed.into_iter().filter_map(|topic| topics.get_key_value(topic));
        match self {
            Self::Range => known.for_each(|(topic, count)| range(members, topic, *count, &mut assignment)),
            Self::RoundRobin => round_robin(members, known, &mut assignment),
            Self::CooperativeSticky => sticky(members, owned, known, &mut assignment),
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

fn sticky<'a>(
    members: &Members,
    owned: &Assignment,
    topics: impl Iterator<Item = (&'a Arc<str>, &'a i32)>,
    assignment: &mut Assignment,
) {
    let all =
        topics.flat_map(|(topic, count)| (0..*count).map(|at| TopicPartition::new(Arc::clone(topic), at)));
    let mut free: BTreeSet<TopicPartition> = all.collect();
    let reads = |member: &str, at: &TopicPartition| {
        members.get(member).is_some_and(|topics| topics.contains(&at.topic))
    };
    for (member, list) in assignment.iter_mut() {
        let had = owned.get(member).into_iter().flatten();
        list.extend(had.filter(|at| reads(member, at)).filter_map(|at| free.take(at)));
    }
    for at in free {
        let takers = assignment.iter_mut().filter(|(member, _)| reads(member, &at));
        if let Some((_, list)) = takers.min_by_key(|(_, list)| list.len()) {
            list.push(at);
        }
    }
    while let Some((from, at, to)) = uneven(assignment, &reads) {
        let moved = assignment.get_mut(&from).map(|list| list.remove(at));
        if let (Some(moved), Some(list)) = (moved, assignment.get_mut(&to)) {
            list.push(moved);
        }
    }
    for (member, list) in assignment.iter_mut() {
        list.retain(|at| owned.iter().all(|(owner, had)| owner == member || !had.contains(at)));
        list.sort();
    }
}

/// A partition that should move: who has it, where in his list, and who has two less or fewer still.
fn uneven(
    assignment: &Assignment,
    reads: &impl Fn(&str, &TopicPartition) -> bool,
) -> Option<(String, usize, String)> {
    let mut by_load: Vec<_> = assignment.iter().collect();
    by_load.sort_by_key(|(_, list)| list.len());
    by_load.iter().rev().find_map(|(from, list)| {
        // What came last goes first: what the member had before stays.
        list.iter().enumerate().rev().find_map(|(at, partition)| {
            let lighter = by_load.iter().take_while(|(_, other)| other.len() + 1 < list.len());
            let (to, _) = lighter.into_iter().find(|(to, _)| reads(to, partition))?;
            Some(((*from).clone(), at, (*to).clone()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(assignor: Assignor) -> [String; 3] {
        let members = ["m0", "m1", "m2"];
        let members =
            members.map(|m| (m.to_owned(), vec![Arc::from("a"), Arc::from("b")])).into_iter().collect();
        let topics = [(Arc::from("a"), 4), (Arc::from("b"), 2)].into_iter().collect();
        let assignment = assignor.assign(&members, &Assignment::new(), &topics);
        ["m0", "m1", "m2"].map(|member| format!("{:?}", assignment[member]))
    }

    #[test]
    fn by_range_the_first_members_get_the_rest_of_each_topic() {
        assert_eq!(assigned(Assignor::Range), ["[a-0, a-1, b-0]", "[a-2, b-1]", "[a-3]"]);
    }

    /// Rebalances until nobody has to give anything back; what everybody has then.
    fn settled(topics_of: &[(&str, &[&str])], owned: &mut Assignment, counts: &[(&str, i32)]) -> Vec<String> {
        let topics = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        let members = topics_of.iter().map(|(member, names)| ((*member).to_owned(), topics(names))).collect();
        let counts = counts.iter().map(|(topic, count)| (Arc::from(*topic), *count)).collect();
        owned.retain(|member, _| topics_of.iter().any(|(known, _)| known == member));
        for _ in 0..3 {
            let next = Assignor::CooperativeSticky.assign(&members, owned, &counts);
            let mut taken = BTreeSet::new();
            assert!(next.values().flatten().all(|at| taken.insert(at.clone())), "one owner each: {next:?}");
            for (member, list) in &next {
                let others = owned.iter().filter(|(other, _)| *other != member).flat_map(|(_, had)| had);
                assert!(
                    !others.into_iter().any(|at| list.contains(at)),
                    "still another's: {owned:?} {next:?}"
                );
            }
            if *owned == next {
                break;
            }
            *owned = next;
        }
        owned.values().map(|list| format!("{list:?}")).collect()
    }

    #[test]
    fn cooperating_members_keep_what_they_have() {
        let (both, mut owned) = (&["a", "b"][..], Assignment::new());
        let counts = [("a", 4), ("b", 2)];
        assert_eq!(settled(&[("m0", both)], &mut owned, &counts), ["[a-0, a-1, a-2, a-3, b-0, b-1]"]);
        let two = settled(&[("m0", both), ("m1", both)], &mut owned, &counts);
        assert_eq!(two, ["[a-0, a-1, a-2]", "[a-3, b-0, b-1]"]);
        let three = settled(&[("m0", both), ("m1", both), ("m2", both)], &mut owned, &counts);
        assert_eq!(three, ["[a-0, a-1]", "[a-3, b-0]", "[a-2, b-1]"]);
        let left = settled(&[("m1", both), ("m2", both)], &mut owned, &counts);
        assert_eq!(left, ["[a-0, a-3, b-0]", "[a-1, a-2, b-1]"]);
    }

    #[test]
    fn cooperating_members_get_topics_that_they_read() {
        let mut owned = Assignment::new();
        let members: [(&str, &[&str]); 2] = [("m0", &["a"]), ("m1", &["a", "b"])];
        assert_eq!(settled(&members, &mut owned, &[("a", 2), ("b", 2)]), ["[a-0, a-1]", "[b-0, b-1]"]);
    }

    #[test]
    fn in_turn_all_members_get_as_many() {
        assert_eq!(assigned(Assignor::RoundRobin), ["[a-0, a-3]", "[a-1, b-0]", "[a-2, b-1]"]);
    }
}
