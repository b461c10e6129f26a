//! Creating topics, and waiting until every broker shows them. A topic that somebody else creates meanwhile is fine.

use std::time::Duration;

use crate::client::{Admin, AdminTopic, ClientError, Fault, NewTopic};
use crate::topology::TopologyError;

/// Deadline of one admin call.
pub(crate) const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a topic that this or another instance has just created is looked at again, until every broker shows it.
const CREATE_ATTEMPTS: u32 = 50;
/// Pause between two looks.
const CREATE_PAUSE: Duration = Duration::from_millis(200);

/// Why topics could not be compared, created or changed.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// The topology cannot run on these topics.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The cluster did not answer, or refused.
    #[error("{doing}: {source}")]
    Client {
        /// What was done.
        doing: &'static str,
        /// What the client said.
        source: ClientError,
    },
}

impl TopicsError {
    pub(crate) fn client(doing: &'static str, source: ClientError) -> Self {
        Self::Client { doing, source }
    }
}

const CREATING: &str = "creating the internal topics";

/// Creates those of `topics` that are missing, and looks until all are there. Each look is shown to `check`, with its number, in the
/// order of `topics`; its error ends the work.
pub(crate) fn make_exist<E: From<TopicsError>>(
    admin: &mut dyn Admin,
    topics: &[NewTopic],
    check: &mut dyn FnMut(u32, &[Option<AdminTopic>]) -> Result<(), E>,
) -> Result<Vec<AdminTopic>, E> {
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let mut last_refusal: Option<ClientError> = None;
    for attempt in 0..CREATE_ATTEMPTS {
        if attempt > 1 {
            std::thread::sleep(CREATE_PAUSE);
        }
        let found = admin
            .describe_topics(&names, ADMIN_TIMEOUT)
            .map_err(|source| TopicsError::client("looking at the topics of the application", source))?;
        check(attempt, &found)?;
        let missing = topics.iter().zip(&found).filter(|(_, found)| found.is_none());
        let missing: Vec<NewTopic> = missing.map(|(topic, _)| topic.clone()).collect();
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        last_refusal = create(admin, &missing)?.or(last_refusal);
    }
    let error = last_refusal.unwrap_or_else(|| {
        ClientError::new(Fault::Unknown, "create internal topics", "they were created but do not show up")
    });
    Err(TopicsError::client(CREATING, error).into())
}

/// Asks for the topics once; the caller looks again. What may be tried again is returned, what may not is an error.
fn create(admin: &mut dyn Admin, missing: &[NewTopic]) -> Result<Option<ClientError>, TopicsError> {
    let answers =
        admin.create_topics(missing, ADMIN_TIMEOUT).map_err(|error| TopicsError::client(CREATING, error))?;
    let mut refusal = None;
    for answer in answers {
        match answer {
            Ok(()) => {}
            Err(error) => match error.fault {
                Fault::AlreadyExists => {}
                Fault::Retriable | Fault::Unknown | Fault::Unreachable => refusal = Some(error),
                Fault::AbortTransaction
                | Fault::ProducerFenced
                | Fault::NotInGroup
                | Fault::QueueFull
                | Fault::OffsetOutOfRange
                | Fault::UnknownTopic
                | Fault::Denied
                | Fault::BadRecord
                | Fault::ClientDead
                | Fault::Invalid => return Err(TopicsError::client(CREATING, error)),
            },
        }
    }
    Ok(refusal)
}
