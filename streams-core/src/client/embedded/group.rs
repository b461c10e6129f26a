//! A consumer group: members, generations and the rebalance. Members with a cooperative assignor join again with what they have.
//!
//! ```text
//!            join, leave, expiry, new partitions
//!   Stable ---------------------------------------> Preparing: members revoke and join again
//!     ^                                                  |
//!     `----- all members joined, or the deadline --------'   generation + 1, the group's assignor
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use streams_state::types::TopicPartition;

use super::assignors::Assignor;
use super::errors::not_in_group;
use super::offsets::GroupOffsets;
use crate::client::{ClientError, GroupMember, GroupMetadata};

/// What a member says of itself when it joins.
#[derive(Clone, Debug)]
pub(super) struct JoinRequest {
    pub(super) topics: Vec<Arc<str>>,
    pub(super) assignor: Assignor,
    /// What it has and keeps on reading: nothing, unless its assignor is cooperative.
    pub(super) owned: Vec<TopicPartition>,
    /// `group.instance.id`: who it is over restarts.
    pub(super) instance: Option<String>,
    /// `max.poll.interval.ms`: longest time between polls, and for joining again in a rebalance.
    pub(super) max_poll_interval_ms: i64,
    /// `session.timeout.ms`: how long a member that vanished without leaving is waited for.
    pub(super) session_timeout_ms: i64,
}

#[derive(Debug)]
struct Member {
    request: JoinRequest,
    joined: bool,
    last_poll_ms: i64,
    /// When its consumer vanished without leaving.
    vanished_ms: Option<i64>,
    assignment: Vec<TopicPartition>,
}

impl Member {
    fn deadline_ms(&self) -> i64 {
        let poll = self.last_poll_ms.saturating_add(self.request.max_poll_interval_ms);
        self.vanished_ms.map_or(poll, |at| at.saturating_add(self.request.session_timeout_ms).min(poll))
    }
}

/// Where a member stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// The group does not know it.
    Gone,
    /// Another consumer of the same instance took its place.
    Replaced,
    /// It must give its partitions back and join again.
    MustJoin,
    /// It has joined and waits for the others.
    Waiting,
    /// It has its place in this generation.
    Settled(i32),
}

/// A consumer group.
#[derive(Debug, Default)]
pub(super) struct Group {
    generation: i32,
    members: BTreeMap<String, Member>,
    /// Deadline of the rebalance that goes on.
    rebalance_deadline_ms: Option<i64>,
    members_made: u64,
    /// Members whose place another consumer of the same instance took.
    replaced: BTreeSet<String>,
    pub(super) offsets: GroupOffsets,
}

impl Group {
    /// A member id that nobody had in this group.
    pub(super) fn new_member(&mut self, client_id: &str) -> String {
        self.members_made += 1;
        format!("{client_id}-{:08}", self.members_made)
    }

    /// A member joins, or joins again. Anything but an answer to a rebalance begins one.
    pub(super) fn join(&mut self, member: &str, request: JoinRequest, now_ms: i64) {
        let replaced = self.take_instance(member, &request);
        let stays = replaced.as_ref().is_some_and(|old| old.request.topics == request.topics);
        let assignment = replaced.map(|old| old.assignment).unwrap_or_default();
        let joined = Member { request, joined: true, last_poll_ms: now_ms, vanished_ms: None, assignment };
        self.members.insert(member.to_owned(), joined);
        if self.rebalance_deadline_ms.is_none() && !stays {
            self.begin_rebalance(now_ms);
            if let Some(member) = self.members.get_mut(member) {
                member.joined = true;
            }
        }
    }

    /// The other member of the same instance, which `member` replaces and fences: the group does not know it any more.
    fn take_instance(&mut self, member: &str, request: &JoinRequest) -> Option<Member> {
        let instance = request.instance.as_ref()?;
        let same = |(id, old): (&String, &Member)| {
            (id != member && old.request.instance.as_ref() == Some(instance)).then(|| id.clone())
        };
        let id = self.members.iter().find_map(same)?;
        self.replaced.insert(id.clone());
        self.members.remove(&id)
    }

    /// A member leaves.
    pub(super) fn leave(&mut self, member: &str, now_ms: i64) {
        if self.members.remove(member).is_some() && self.rebalance_deadline_ms.is_none() {
            self.begin_rebalance(now_ms);
        }
    }

    /// All members have to join again.
    pub(super) fn begin_rebalance(&mut self, now_ms: i64) {
        let wait_ms =
            self.members.values().map(|member| member.request.max_poll_interval_ms).max().unwrap_or(0);
        self.rebalance_deadline_ms = Some(now_ms.saturating_add(wait_ms));
        for member in self.members.values_mut() {
            member.joined = false;
        }
    }

    /// The assignor that others of the group have, if it is not that of `request`.
    pub(super) fn other_assignor(&self, request: &JoinRequest) -> Option<Assignor> {
        let mut others = self.members.values().map(|member| member.request.assignor);
        others.find(|assignor| *assignor != request.assignor)
    }

    /// Who is in it.
    pub(super) fn described(&self) -> Vec<GroupMember> {
        let described = |(id, member): (&String, &Member)| GroupMember {
            id: id.clone(),
            instance: member.request.instance.clone(),
            // As `new_member` made it.
            client_id: id.rsplit_once('-').map_or(id.as_str(), |(client, _)| client).to_owned(),
            host: String::new(),
        };
        self.members.iter().map(described).collect()
    }

    /// Whether a member subscribed to `topic`.
    pub(super) fn reads(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.request.topics.iter().any(|name| &**name == topic))
    }

    /// A member polled: it is there.
    pub(super) fn polled(&mut self, member: &str, now_ms: i64) {
        if let Some(member) = self.members.get_mut(member) {
            member.last_poll_ms = now_ms;
            member.vanished_ms = None;
        }
    }

    /// The consumer of a member is gone without having left.
    pub(super) fn vanished(&mut self, member: &str, now_ms: i64) {
        if let Some(member) = self.members.get_mut(member) {
            member.vanished_ms = Some(now_ms);
        }
    }

    /// Where a member stands.
    pub(super) fn standing(&self, member: &str) -> Standing {
        match (self.members.get(member), self.rebalance_deadline_ms) {
            (None, _) if self.replaced.contains(member) => Standing::Replaced,
            (None, _) => Standing::Gone,
            (Some(_), None) => Standing::Settled(self.generation),
            (Some(member), Some(_)) if member.joined => Standing::Waiting,
            (Some(_), Some(_)) => Standing::MustJoin,
        }
    }

    /// What a member was assigned in this generation.
    pub(super) fn assignment(&self, member: &str) -> Vec<TopicPartition> {
        self.members.get(member).map(|member| member.assignment.clone()).unwrap_or_default()
    }

    /// Removes members that were silent for too long, and ends the rebalance when it can end. Whether anything
    /// changed. `topics` are all topics with their partition counts.
    pub(super) fn advance(&mut self, now_ms: i64, topics: &dyn Fn(&str) -> Option<i32>) -> bool {
        let known = self.members.len();
        self.members.retain(|_, member| member.deadline_ms() > now_ms);
        let mut changed = self.members.len() != known;
        if changed && self.rebalance_deadline_ms.is_none() {
            self.begin_rebalance(now_ms);
        }
        let Some(deadline_ms) = self.rebalance_deadline_ms else { return changed };
        if deadline_ms <= now_ms {
            self.members.retain(|_, member| member.joined);
        }
        if self.members.values().all(|member| member.joined) {
            self.complete_rebalance(topics);
            changed = true;
        }
        changed
    }

    fn complete_rebalance(&mut self, topics: &dyn Fn(&str) -> Option<i32>) {
        self.generation += 1;
        self.rebalance_deadline_ms = None;
        let members: BTreeMap<String, Vec<Arc<str>>> =
            self.members.iter().map(|(id, member)| (id.clone(), member.request.topics.clone())).collect();
        let counts = members.values().flatten();
        let counts = counts.filter_map(|name| topics(name).map(|count| (Arc::clone(name), count))).collect();
        let assignor = self.members.values().next().map_or(Assignor::Range, |member| member.request.assignor);
        let owned = self.members.iter().map(|(id, member)| (id.clone(), member.request.owned.clone()));
        for (id, partitions) in assignor.assign(&members, &owned.collect(), &counts) {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = partitions;
            }
        }
    }

    /// When something happens by itself.
    pub(super) fn next_deadline_ms(&self) -> Option<i64> {
        self.members.values().map(Member::deadline_ms).chain(self.rebalance_deadline_ms).min()
    }

    /// Whether `proof` may commit offsets: a member of the current generation, or anybody if there are no members.
    pub(super) fn check(&self, call: &str, proof: &GroupMetadata) -> Result<(), ClientError> {
        if self.members.is_empty() && proof.member.is_empty() && proof.generation < 0 {
            return Ok(());
        }
        if !self.members.contains_key(&proof.member) {
            let message = format!("group `{}` does not know member `{}`", proof.group, proof.member);
            return Err(not_in_group(call, message));
        }
        if proof.generation != self.generation {
            let (ours, theirs) = (self.generation, proof.generation);
            let message =
                format!("group `{}` is in generation {ours}, the commit is of {theirs}", proof.group);
            return Err(not_in_group(call, message));
        }
        Ok(())
    }

    /// Makes all members be lost, as if their sessions had timed out.
    pub(super) fn expire_members(&mut self, now_ms: i64) {
        self.members.clear();
        self.begin_rebalance(now_ms);
    }
}
