//! Makes topics as they are wanted, as far as that was asked for and loses nothing. Says each thing that it did, or left.

use std::collections::BTreeMap;

use serde::Serialize;
use streams_state::types::TopicPartition;

use super::compare::{Aspect, ComparedTopic, Difference, Standing, plan};
use super::create::{ADMIN_TIMEOUT, TopicsError, make_exist};
use super::wanted::{TopicRole, WantedTopic, Wishes};
use crate::client::{Admin, ClientSupplier, ConsumerSettings, OffsetSpec};

/// What may be done beside creating what is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ApplyOptions {
    /// Settings of topics that exist may be changed.
    pub alter: bool,
    /// Partitions may be added: to topics that are not the application's own, whose keys are spread anew by that, and to internal ones
    /// that never held a record.
    pub add_partitions: bool,
}

/// Something that was done to a topic, or was not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TopicAction {
    /// The topic.
    pub topic: String,
    /// What it is to the application.
    pub role: TopicRole,
    /// What was done.
    pub action: Action,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was created as it is wanted.
    Created(WantedTopic),
    /// This was changed.
    Altered(Difference),
    /// It was left as it is.
    Left {
        /// What differs; `None`: it is missing.
        difference: Option<Difference>,
        /// Why, and what to do.
        why: String,
    },
}

/// Creates topics that are missing, and changes those that differ as far as `options` allow it. Topics that are not the
/// application's own come first: the others follow from them.
///
/// # Errors
/// The cluster does not answer or refuses. What was done until then stays done.
pub fn apply(
    supplier: &dyn ClientSupplier,
    wishes: &Wishes<'_>,
    options: ApplyOptions,
) -> Result<Vec<TopicAction>, TopicsError> {
    let admin = supplier.admin().map_err(|source| TopicsError::client("connecting", source))?;
    let mut work = Work { supplier, admin, options, done: Vec::new() };
    for internal in [false, true] {
        let plan = plan(&mut *work.admin, wishes)?;
        let topics = plan.topics.into_iter().filter(|topic| topic.wanted.role.is_internal() == internal);
        work.all(topics.collect())?;
    }
    Ok(work.done)
}

struct Work<'a> {
    supplier: &'a dyn ClientSupplier,
    admin: Box<dyn Admin>,
    options: ApplyOptions,
    done: Vec<TopicAction>,
}

impl Work<'_> {
    fn all(&mut self, topics: Vec<ComparedTopic>) -> Result<(), TopicsError> {
        let mut missing = Vec::new();
        for ComparedTopic { wanted, standing } in topics {
            match standing {
                Standing::Equal => {}
                Standing::Missing if wanted.may_be_created => missing.push(wanted),
                Standing::Missing => {
                    let why = "nobody declares how it is to be created: declare it, or create it by hand";
                    self.leave(&wanted, None, why);
                }
                Standing::Differs(differences) => self.change(&wanted, differences)?,
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let new: Vec<_> = missing.iter().map(WantedTopic::to_new_topic).collect();
        make_exist::<TopicsError>(&mut *self.admin, &new, &mut |_, _| Ok(()))?;
        for wanted in missing {
            let (topic, role) = (wanted.name.clone(), wanted.role);
            self.done.push(TopicAction { topic, role, action: Action::Created(wanted) });
        }
        Ok(())
    }

    fn leave(&mut self, wanted: &WantedTopic, difference: Option<Difference>, why: impl Into<String>) {
        let action = Action::Left { difference, why: why.into() };
        self.done.push(TopicAction { topic: wanted.name.clone(), role: wanted.role, action });
    }

    fn change(&mut self, wanted: &WantedTopic, differences: Vec<Difference>) -> Result<(), TopicsError> {
        let mut settings = Vec::new();
        for difference in differences {
            match &difference.aspect {
                Aspect::Config(_) if self.options.alter => settings.push(difference),
                Aspect::Config(_) => {
                    self.leave(wanted, Some(difference), "settings are altered where that is asked for only");
                }
                Aspect::ReplicationFactor => {
                    let why = "replicas are moved by kafka-reassign-partitions.sh only";
                    self.leave(wanted, Some(difference), why);
                }
                Aspect::Partitions => self.change_partitions(wanted, difference)?,
            }
        }
        if settings.is_empty() {
            return Ok(());
        }
        let pair = |difference: &Difference| (difference.aspect.to_string(), difference.wanted.clone());
        let values: BTreeMap<String, String> = settings.iter().map(pair).collect();
        self.admin
            .alter_configs(&wanted.name, &values, ADMIN_TIMEOUT)
            .map_err(|source| TopicsError::client("altering settings", source))?;
        self.altered(wanted, settings);
        Ok(())
    }

    fn altered(&mut self, wanted: &WantedTopic, differences: Vec<Difference>) {
        let action = |difference| TopicAction {
            topic: wanted.name.clone(),
            role: wanted.role,
            action: Action::Altered(difference),
        };
        self.done.extend(differences.into_iter().map(action));
    }

    fn change_partitions(&mut self, wanted: &WantedTopic, difference: Difference) -> Result<(), TopicsError> {
        let found = difference.found.as_ref().and_then(|found| found.parse::<i32>().ok()).unwrap_or(0);
        let total = wanted.partitions.unwrap_or(found);
        let why = match wanted.role.is_internal() {
            _ if total < found => {
                Some("partitions cannot be taken away: create a new topic, or want as many")
            }
            true if self.holds_records(&wanted.name, found)? => Some(
                "its records are spread over the partitions it has: stop all instances, `kstreams reset` the application, \
                 and apply again",
            ),
            _ if !self.options.add_partitions => Some("partitions are added where that is asked for only"),
            true | false => None,
        };
        if let Some(why) = why {
            self.leave(wanted, Some(difference), why);
            return Ok(());
        }
        self.admin
            .create_partitions(&wanted.name, total, ADMIN_TIMEOUT)
            .map_err(|source| TopicsError::client("adding partitions", source))?;
        self.altered(wanted, vec![difference]);
        Ok(())
    }

    /// Whether a topic has, or ever had, records.
    fn holds_records(&self, topic: &str, partitions: i32) -> Result<bool, TopicsError> {
        let all: Vec<TopicPartition> = (0..partitions).map(|at| TopicPartition::new(topic, at)).collect();
        let settings = ConsumerSettings { client_id: "kstreams-topics".to_owned(), ..Default::default() };
        let ends = self.supplier.consumer(&settings);
        let ends = ends.and_then(|mut it| it.list_offsets(&all, OffsetSpec::End, ADMIN_TIMEOUT));
        let ends = ends.map_err(|source| TopicsError::client("looking for records", source))?;
        Ok(ends.into_iter().any(|end| end > 0))
    }
}
