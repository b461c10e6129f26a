//! A consumer's part in its group: joins, learns what it owns, gives it back, finds itself lost.
//!
//! ```text
//!   Absent --poll--> Joined --all joined--> Assigning --complete_assign--> Stable
//!     ^                ^                                                     | rebalance      | expired
//!     |                `---------------- complete_revoke ---- Revoking <-----'                v
//!     `--------------------------------- complete_revoke ------------------------------- Losing
//! ```
//!
//! With a cooperative assignor a member joins again with what it has, and gives back what the new generation gives to others:
//!
//! ```text
//!   Stable --rebalance--> Joined --all joined--> Revoking --complete_revoke--> Settling --poll--> Assigning --> Stable, joins again
//!                            `------------------ nothing to give back ---------------------------^
//! ```

use std::sync::Arc;

use streams_state::types::TopicPartition;

use super::group::{JoinRequest, Standing};
use super::log::{Log, Now};
use crate::client::{GroupMetadata, RebalanceEvent};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Absent,
    Joined,
    Assigning,
    Stable,
    Revoking,
    /// What has to go is given back; what comes is not told yet.
    Settling,
    Losing,
    /// Another consumer of the same instance took the place for good.
    Replaced,
}

/// The membership of one consumer that subscribed.
#[derive(Debug)]
pub(super) struct Membership {
    client_id: String,
    group: String,
    request: JoinRequest,
    phase: Phase,
    member: String,
    generation: i32,
    assignment: Vec<TopicPartition>,
    /// Of the new generation: what comes, and what goes.
    coming: Vec<TopicPartition>,
    going: Vec<TopicPartition>,
    /// It gave something back, for which the others wait: joins again.
    rejoins: bool,
    /// Subscribed topics that were missing when it was last looked, not yet reported.
    unreported: bool,
    /// Unsubscribed: leaves the group once the partitions are given back.
    leaving: bool,
}

/// What came of giving partitions back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Revocation {
    /// Nobody had asked for it.
    Unasked,
    /// They are given back, and the group is joined again.
    Done,
    /// They are given back, and the group is left.
    Left,
}

impl Membership {
    pub(super) fn new(client_id: &str, group: &str, request: JoinRequest) -> Self {
        Self {
            client_id: client_id.to_owned(),
            group: group.to_owned(),
            request,
            phase: Phase::Absent,
            member: String::new(),
            generation: -1,
            assignment: Vec::new(),
            coming: Vec::new(),
            going: Vec::new(),
            rejoins: false,
            unreported: true,
            leaving: false,
        }
    }

    /// Subscribes to other topics: joins again with the next poll.
    pub(super) fn resubscribe(&mut self, topics: Vec<Arc<str>>, log: &mut Log, now: Now) {
        self.request.topics = topics;
        self.unreported = true;
        self.leaving = false;
        match self.phase {
            Phase::Absent | Phase::Losing | Phase::Replaced => {}
            Phase::Joined => self.join(log, now),
            Phase::Assigning | Phase::Stable | Phase::Revoking | Phase::Settling => {
                log.group(&self.group).begin_rebalance(now.ms);
                log.stir();
            }
        }
    }

    /// Topics that were subscribed but do not exist; told once.
    pub(super) fn missing_topics(&mut self, log: &Log) -> Option<String> {
        if !std::mem::take(&mut self.unreported) {
            return None;
        }
        let missing = self.request.topics.iter().filter(|name| log.partition_count(name).is_none());
        let missing: Vec<&str> = missing.map(|name| &**name).collect();
        (!missing.is_empty()).then(|| missing.join("`, `"))
    }

    /// Why the group does not take this member: its members must agree on an assignor.
    pub(super) fn refused(&self, log: &mut Log) -> Option<String> {
        if self.phase != Phase::Absent {
            return None;
        }
        let other = log.group(&self.group).other_assignor(&self.request)?.name();
        let (group, own) = (&self.group, self.request.assignor.name());
        Some(format!(
            "the members of group `{group}` use assignor `{other}`, this one has `{own}`: set the same \
             `partition.assignment.strategy` for all (Inconsistent group protocol)"
        ))
    }

    /// Whether a rebalance step waits for its answer.
    pub(super) fn awaits_answer(&self) -> bool {
        match self.phase {
            Phase::Assigning | Phase::Revoking | Phase::Losing => true,
            Phase::Absent | Phase::Joined | Phase::Settling | Phase::Stable | Phase::Replaced => false,
        }
    }

    /// What it has now.
    pub(super) fn owned(&self) -> &[TopicPartition] {
        &self.assignment
    }

    /// Whether it keeps what it has while the group rebalances.
    pub(super) fn is_cooperative(&self) -> bool {
        self.request.assignor.is_cooperative()
    }

    /// Whether another consumer of the same instance took the place: this one is dead.
    pub(super) fn is_replaced(&self) -> bool {
        self.phase == Phase::Replaced
    }

    /// Serves the membership: the next rebalance step, if there is one.
    pub(super) fn poll(&mut self, log: &mut Log, now: Now) -> Option<RebalanceEvent> {
        log.group(&self.group).polled(&self.member, now.ms);
        loop {
            match self.phase {
                Phase::Assigning | Phase::Revoking | Phase::Losing | Phase::Replaced => return None,
                Phase::Absent => self.join(log, now),
                Phase::Settling => return Some(self.take_coming()),
                Phase::Joined if self.leaving => return Some(self.give_all()),
                Phase::Joined => match log.group(&self.group).standing(&self.member) {
                    Standing::Gone | Standing::Replaced if !self.assignment.is_empty() => {
                        return Some(self.lose());
                    }
                    Standing::Gone => self.phase = Phase::Absent,
                    Standing::Replaced => self.phase = Phase::Replaced,
                    Standing::MustJoin => self.join(log, now),
                    Standing::Waiting => return None,
                    Standing::Settled(generation) => return Some(self.settle(generation, log)),
                },
                Phase::Stable => match log.group(&self.group).standing(&self.member) {
                    Standing::Gone | Standing::Replaced => return Some(self.lose()),
                    Standing::Settled(_) if !self.leaving && !self.rejoins => return None,
                    Standing::MustJoin | Standing::Waiting if self.assignment.is_empty() => {
                        self.join(log, now);
                    }
                    Standing::MustJoin | Standing::Waiting | Standing::Settled(_)
                        if self.is_cooperative() && !self.leaving =>
                    {
                        self.join(log, now);
                    }
                    Standing::MustJoin | Standing::Waiting | Standing::Settled(_) => {
                        return Some(self.give_all());
                    }
                },
            }
        }
    }

    fn join(&mut self, log: &mut Log, now: Now) {
        let group = log.group(&self.group);
        if self.phase == Phase::Absent {
            self.member = group.new_member(&self.client_id);
            self.generation = -1;
        }
        let owned = if self.request.assignor.is_cooperative() { self.assignment.clone() } else { Vec::new() };
        group.join(&self.member, JoinRequest { owned, ..self.request.clone() }, now.ms);
        self.rejoins = false;
        self.phase = Phase::Joined;
        log.stir();
        log.advance(now.ms);
    }

    fn settle(&mut self, generation: i32, log: &mut Log) -> RebalanceEvent {
        self.generation = generation;
        let assigned = log.group(&self.group).assignment(&self.member);
        let had = std::mem::take(&mut self.assignment);
        (self.assignment, self.going) = had.into_iter().partition(|at| assigned.contains(at));
        self.coming = assigned.into_iter().filter(|at| !self.assignment.contains(at)).collect();
        if self.going.is_empty() {
            return self.take_coming();
        }
        self.assignment.extend(self.going.iter().cloned());
        self.phase = Phase::Revoking;
        RebalanceEvent::Revoked(self.going.clone())
    }

    fn take_coming(&mut self) -> RebalanceEvent {
        let coming = std::mem::take(&mut self.coming);
        self.assignment.extend(coming.iter().cloned());
        self.phase = Phase::Assigning;
        RebalanceEvent::Assigned(coming)
    }

    fn give_all(&mut self) -> RebalanceEvent {
        self.going = self.assignment.clone();
        self.phase = Phase::Revoking;
        RebalanceEvent::Revoked(self.going.clone())
    }

    fn lose(&mut self) -> RebalanceEvent {
        self.phase = Phase::Losing;
        RebalanceEvent::Lost(self.assignment.clone())
    }

    /// The assignment was taken up. Whether there was one to take up.
    pub(super) fn complete_assign(&mut self) -> bool {
        let assigning = self.phase == Phase::Assigning;
        if assigning {
            self.phase = Phase::Stable;
        }
        assigning
    }

    /// The partitions were given back.
    pub(super) fn complete_revoke(&mut self, log: &mut Log, now: Now) -> Revocation {
        match self.phase {
            Phase::Absent
            | Phase::Joined
            | Phase::Assigning
            | Phase::Settling
            | Phase::Stable
            | Phase::Replaced => return Revocation::Unasked,
            Phase::Losing => self.forget(log),
            Phase::Revoking if self.leaving => self.leave(log, now),
            Phase::Revoking => {
                let going = std::mem::take(&mut self.going);
                self.assignment.retain(|at| !going.contains(at));
                match log.group(&self.group).standing(&self.member) {
                    // What is left is lost: the next poll says so.
                    Standing::Gone | Standing::Replaced if !self.assignment.is_empty() => {
                        self.phase = Phase::Stable;
                    }
                    Standing::Gone | Standing::Replaced => self.forget(log),
                    Standing::MustJoin | Standing::Waiting | Standing::Settled(_)
                        if self.is_cooperative() =>
                    {
                        self.rejoins = true;
                        self.phase = Phase::Settling;
                    }
                    Standing::MustJoin | Standing::Waiting | Standing::Settled(_) => self.join(log, now),
                }
            }
        }
        if self.leaving { Revocation::Left } else { Revocation::Done }
    }

    /// Unsubscribes. Whether the group is left already: who owns partitions is asked to give them back first.
    pub(super) fn unsubscribe(&mut self, log: &mut Log, now: Now) -> bool {
        self.leaving = match self.phase {
            Phase::Absent | Phase::Replaced => false,
            Phase::Joined | Phase::Stable => !self.assignment.is_empty(),
            Phase::Assigning | Phase::Revoking | Phase::Settling | Phase::Losing => true,
        };
        if !self.leaving {
            self.leave(log, now);
        }
        !self.leaving
    }

    fn forget(&mut self, log: &mut Log) {
        self.assignment.clear();
        self.phase = match log.group(&self.group).standing(&self.member) {
            Standing::Replaced => Phase::Replaced,
            Standing::Gone | Standing::MustJoin | Standing::Waiting | Standing::Settled(_) => Phase::Absent,
        };
    }

    /// Leaves the group.
    pub(super) fn leave(&mut self, log: &mut Log, now: Now) {
        log.group(&self.group).leave(&self.member, now.ms);
        log.stir();
        log.advance(now.ms);
    }

    /// The consumer is dropped without having left.
    pub(super) fn vanish(&mut self, log: &mut Log, now: Now) {
        log.group(&self.group).vanished(&self.member, now.ms);
        log.stir();
    }

    /// Proof of the membership; after it was lost, the old one.
    pub(super) fn proof(&self) -> GroupMetadata {
        GroupMetadata { group: self.group.clone(), generation: self.generation, member: self.member.clone() }
    }
}
