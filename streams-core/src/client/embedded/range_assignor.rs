//! Assignor `range`: of each topic every member gets a run of partitions, members in the order of their ids.
//!
//! Partition p of all topics with the same number of partitions goes to the same member, if all members subscribed to
//! the same topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use streams_state::types::TopicPartition;

/// Splits `topics` (with their partition counts) among `members` (with their topics). Members without a partition
/// have an empty list.
pub(super) fn assign(
    members: &BTreeMap<String, Vec<Arc<str>>>,
    topics: &BTreeMap<Arc<str>, i32>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut assignment: BTreeMap<String, Vec<TopicPartition>> =
        members.keys().map(|member| (member.clone(), Vec::new())).collect();
    let subscribed: BTreeSet<&Arc<str>> = members.values().flatten().collect();
    for topic in subscribed {
        let Some(&count) = topics.get(topic) else { continue };
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
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_members_get_the_rest_of_each_topic() {
        let members = ["m0", "m1", "m2"];
        let members =
            members.map(|m| (m.to_owned(), vec![Arc::from("a"), Arc::from("b")])).into_iter().collect();
        let topics = [(Arc::from("a"), 4), (Arc::from("b"), 2)].into_iter().collect();
        let assignment = assign(&members, &topics);
        let text = |member: &str| format!("{:?}", assignment[member]);
        assert_eq!(text("m0"), "[a-0, a-1, b-0]");
        assert_eq!(text("m1"), "[a-2, b-1]");
        assert_eq!(text("m2"), "[a-3]");
    }
}
