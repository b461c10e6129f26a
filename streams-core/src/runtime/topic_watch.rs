//! Topics that match a pattern and appear or go while the application runs: they join and leave without a restart.
//!
//! In: the names of the cluster's topics, every `metadata.max.age.ms` and after each rebalance. Out: a new plan; the stream
//! threads take it over, each at its next turn, by subscribing anew. Names, stores and numbers of sub-topologies stay, so tasks
//! keep their state. Must never stop the application: what cannot be planned is logged, and the old plan stays.

use std::sync::Arc;

use streams_state::types::Timestamp;

use super::local_state::LocalState;
use super::shared::{Planned, Shared};
use super::{StreamsError, internal_topics};
use crate::client::Admin;
use crate::config::METADATA_MAX_AGE_MS;

/// When to look, for the thread that looks.
#[derive(Debug)]
pub(crate) struct TopicWatch {
    due: Timestamp,
}

impl TopicWatch {
    /// A watch whose first look is one interval after `now`, when the application looked by itself.
    pub(crate) fn new(shared: &Shared, now: Timestamp) -> Self {
        Self { due: now.saturating_add(max_age(shared)) }
    }

    /// Looks, if it is due or a thread asked for it, and plans anew if the topics that match are others than before.
    pub(crate) fn round(&mut self, shared: &Shared, now: Timestamp) {
        let planned = shared.planned();
        if !planned.topology.has_patterns() || !(shared.take_look_request() || now >= self.due) {
            return;
        }
        self.due = now.saturating_add(max_age(shared));
        match plan_anew(&mut **shared.admin(), shared, &planned) {
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
