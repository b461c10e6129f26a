//! The topics of an application in a cluster: what it wants of them, what is there, how that differs, and what is done about it.
//!
//! In: what a topology needs ([`TopicNeeds`](crate::topology::TopicNeeds)), the settings of the application, and what the user
//! declares of the topics that are not the application's own. Out: a [`TopicsPlan`], which changes nothing, or a list of
//! [`TopicAction`]s, each of which was carried out or says why not. The runtime creates its internal topics by the same code.
//!
//! ```
//! # use std::collections::BTreeMap;
//! # use streams_core::{client::*, client::embedded::EmbeddedKafka, config::*, dsl::StreamsBuilder, topic::Topic};
//! # use streams_core::{runtime::clock::SystemClock, topics};
//! # const WORDS: Topic<String, String> = Topic::new("words");
//! # let builder = StreamsBuilder::new();
//! # builder.stream(&WORDS).group_by_key().count();
//! # let topology = builder.build()?;
//! # let kafka = EmbeddedKafka::new(SystemClock);
//! let config = StreamsConfig::new("word-count", ProcessingGuarantee::ExactlyOnceV2);
//! let words = topics::DeclaredTopic { partitions: Some(4), ..topics::DeclaredTopic::default() };
//! let wishes = topics::Wishes {
//!     needs: &topology.topic_needs(),
//!     config: &config,
//!     declared: &BTreeMap::from([("words".to_owned(), words)]),
//! };
//!
//! let plan = topics::plan(&mut *kafka.admin()?, &wishes)?;
//! assert!(!plan.is_fulfilled(), "nothing is there yet");
//! topics::apply(&kafka, &wishes, topics::ApplyOptions::default())?;
//! assert!(topics::plan(&mut *kafka.admin()?, &wishes)?.is_fulfilled());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// What an application wants.
mod wanted;
// That against the cluster.
mod compare;
// Creating what is missing, until every broker shows it.
mod create;
// And changing what was asked to be changed.
mod apply;

pub use apply::{Action, ApplyOptions, TopicAction, apply};
pub use compare::{Aspect, ComparedTopic, Difference, Standing, TopicsPlan, plan};
pub use create::TopicsError;
pub(crate) use create::{ADMIN_TIMEOUT, make_exist};
pub(crate) use wanted::topic_defaults;
pub use wanted::{DeclaredTopic, TopicRole, WantedTopic, Wishes};

#[cfg(test)]
mod tests;
