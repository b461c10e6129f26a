//! How often, when and for which failures records are tried again: the options of `with_retries`.

use std::sync::Arc;
use std::time::Duration;

use super::windows::millis;
use crate::error::TaskErrorCause;
use crate::handler::{DeadLetterQueue, ExceptionHandler};
use crate::operators::RetryPolicy;
use crate::topic::Topic;

/// How records that failed are tried again: [`with_retries`](super::KStream::with_retries). Kafka Streams has none; users of Spring
/// Kafka know them as `@RetryableTopic`.
///
/// ```
/// use std::time::Duration;
/// use streams_core::dsl::Retries;
///
/// // After 1 s, after 10 s more, after 60 s more; then it is final.
/// let by_hand = Retries::new("charge", [1, 10, 60].map(Duration::from_secs));
/// // The same five times, each wait twice the last one, none longer than 5 s: 1, 2, 4, 5, 5.
/// let growing = Retries::backoff("ship", Duration::from_secs(1), 2, Duration::from_secs(5), 5);
/// ```
#[derive(Clone)]
pub struct Retries {
    pub(super) name: String,
    pub(super) policy: RetryPolicy,
}

impl Retries {
    /// As many further tries as there are `delays`, each that long after the last failure. What waits is in the store `NAME-retry`, the
    /// topic behind it is `<application.id>-NAME-retry-changelog`.
    pub fn new(name: impl Into<String>, delays: impl IntoIterator<Item = Duration>) -> Self {
        let delays = delays.into_iter().map(millis).collect();
        Self { name: name.into(), policy: RetryPolicy { delays, filter: None, handler: None } }
    }

    /// `tries` further tries, the first after `first`, each later one after `factor` times the wait before it, `max` at most.
    pub fn backoff(
        name: impl Into<String>,
        first: Duration,
        factor: u32,
        max: Duration,
        tries: usize,
    ) -> Self {
        let next = |delay: &Duration| Some(delay.saturating_mul(factor).min(max));
        Self::new(name, std::iter::successors(Some(first.min(max)), next).take(tries))
    }

    /// Only failures for which `worth_it` says yes are tried again: not those that no waiting mends.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::Retries, error::TaskErrorCause};
    /// Retries::new("charge", [Duration::from_secs(1)]).only_if(|error| match error {
    ///     TaskErrorCause::Processing(error) => error.is::<std::io::Error>(),
    ///     _ => false,
    /// });
    /// ```
    pub fn only_if(mut self, worth_it: impl Fn(&TaskErrorCause) -> bool + Send + Sync + 'static) -> Self {
        self.policy.filter = Some(Arc::new(worth_it));
        self
    }

    /// After the last try a dead letter goes to `topic`, and the task goes on. Without it the `processing.exception.handler`
    /// decides.
    pub fn dead_letters_to(self, topic: &Topic<Option<Vec<u8>>, Option<Vec<u8>>>) -> Self {
        self.or_else(DeadLetterQueue::to(topic))
    }

    /// After the last try `handler` decides.
    pub fn or_else(mut self, handler: impl ExceptionHandler + 'static) -> Self {
        self.policy.handler = Some(Arc::new(handler));
        self
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<String> {
        match self.policy.delays.iter().min() {
            None => Some(format!("retries `{}` have no delays; give one for each further try", self.name)),
            Some(delay) if *delay < 1 => {
                Some(format!("retries `{}` wait {delay} ms; wait at least 1 ms", self.name))
            }
            Some(_) => None,
        }
    }
}
