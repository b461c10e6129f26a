//! Topics that appear or go while the application runs. Those that match a pattern join and leave without a restart; a source topic that
//! was deleted, or deleted and created anew, ends the threads: its members would have nothing to do for ever, or begin at offset 0.
//!
//! In: the topics of the cluster, every `metadata.max.age.ms` and after each rebalance. Out: a new plan; the stream
//! threads take it over, each at its next turn, by subscribing anew. Names, stores and numbers of sub-topologies stay, so tasks
//! keep their state. What cannot be planned or looked up is logged, and the old plan stays.

use std::sync::Arc;

use streams_state::types::Timestamp;

use super::local_state::LocalState;
use super::shared::{Planned, Shared};
use super::{StreamsError, internal_topics};
use crate::client::Admin;
use crate::config::METADATA_MAX_AGE_MS;

/// How long a source topic must be missing: a broker may learn of it, or tell of it, later than others.
const GONE_MS: i64 = 1_000;

/// When to look, for the thread that looks.
#[derive(Debug)]
pub(crate) struct TopicWatch {
    due: Timestamp,
    /// Since when a source topic is missing.
    missing_since: Option<Timestamp>,
}

impl TopicWatch {
    /// A watch whose first look is one interval after `now`, when the application looked by itself.
    pub(crate) fn new(shared: &Shared, now: Timestamp) -> Self {
        Self { due: now.saturating_add(max_age(shared)), missing_since: None }
    }

    /// Looks, if it is due or a thread asked for it: plans anew if the topics that match are others than before, and tells the
    /// threads if a source topic is gone.
    pub(crate) fn round(&mut self, shared: &Shared, now: Timestamp) {
        let planned = shared.planned();
        let age = max_age(shared);
        // A clock that was set back makes nothing wait longer.
        let due = shared.take_look_request() || now >= self.due || self.due.saturating_sub(now) > age;
        if due {
            self.due = now.saturating_add(age);
        }
        match planned.topology.has_patterns() {
            true if due => follow_patterns(shared, &planned),
            false if due || self.missing_since.is_some() => self.look_at_sources(shared, &planned, now),
            true | false => {}
        }
    }

    fn look_at_sources(&mut self, shared: &Shared, planned: &Planned, now: Timestamp) {
        match internal_topics::gone_source(&mut **shared.admin(), &planned.topology, &planned.topic_ids) {
            Ok(None) => {
                self.missing_since = None;
                shared.source_is_gone(None);
            }
            Ok(gone) => {
                let since = self.missing_since.map_or(now, |since| since.min(now));
                self.missing_since = Some(since);
                tracing::warn!(?gone, for_ms = now - since, "a source topic is missing");
                shared.source_is_gone(gone.filter(|_| now - since >= GONE_MS));
            }
            Err(error) => {
                tracing::warn!("the source topics cannot be looked up, it is tried again later: {error}")
            }
        }
    }
}

fn follow_patterns(shared: &Shared, planned: &Planned) {
    match plan_anew(&mut **shared.admin(), shared, planned) {
        Ok(None) => {}
        Ok(Some(next)) => {
            tracing::info!(topics = ?shared.subscription(&next), "the topics that match the patterns changed");
            shared.replace_plan(next);
        }
        Err(error) => tracing::warn!(
            "the topics that match the patterns cannot be looked up or read together, the application goes on with \
                 those it has: {error}"
        ),
    }
}

/// The plan for the topics that match now; `None` if they are those of `planned`.
fn plan_anew(
    admin: &mut dyn Admin,
    shared: &Shared,
    planned: &Planned,
) -> Result<Option<Planned>, StreamsError> {
    let topology = internal_topics::resolve(admin, planned.topology.clone(), &shared.config)?;
    let names =
        |topology: &crate::topology::Topology| topology.source_topic_names(&shared.config.application_id);
    if names(&topology) == names(&planned.topology) {
        return Ok(None);
    }
    let local = LocalState { directory: &shared.directory, engines: &*shared.engines };
    let at = shared.supplier.describe();
    let (plan, topic_ids) = internal_topics::prepare(admin, &topology, &shared.config, &at, &local)?;
    Ok(Some(Planned { topology, plan: Arc::new(plan), topic_ids: Arc::new(topic_ids) }))
}

fn max_age(shared: &Shared) -> i64 {
    let configured = shared.config.consumer_properties();
    let given = configured.get("metadata.max.age.ms").and_then(|text| text.parse().ok());
    given.unwrap_or(METADATA_MAX_AGE_MS)
}
