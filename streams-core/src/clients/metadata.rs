//! A record on its way, and where it arrived.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::promise::Promise;
use super::send_error::SendError;

/// Where a record was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordMetadata {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset; `None` if nobody was to say ([`Acks::None`](super::Acks::None)).
    pub offset: Option<i64>,
}

/// A record that was given to a [`TopicProducer`](super::TopicProducer). Wait for it, or await it; or drop it, and hear of a
/// failure from [`flush`](super::TopicProducer::flush).
///
/// ```
/// # use std::time::Duration;
/// # use streams_core::client::embedded::EmbeddedKafka;
/// # use streams_core::clients::{ProducerConfig, SendError, TopicProducer};
/// # use streams_core::runtime::clock::SystemClock;
/// # use streams_core::topic::Topic;
/// # const ORDERS: Topic<String, i64> = Topic::new("orders");
/// async fn place(orders: &TopicProducer<String, i64>) -> Result<i32, SendError> {
///     Ok(orders.send("ada", 500)?.await?.partition)
/// }
/// # let kafka = EmbeddedKafka::new(SystemClock);
/// # kafka.create_topic("orders", 1)?;
/// # let orders = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
/// let sent = orders.send("bob", 300)?;
/// assert_eq!(sent.wait(Duration::from_secs(5))?.offset, Some(0));
/// # drop(place(&orders));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sent {
    pub(super) topic: Arc<str>,
    pub(super) fate: Promise<Result<RecordMetadata, SendError>>,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sent to {}, {}", self.topic, if self.is_settled() { "settled" } else { "on its way" })
    }
}

impl Sent {
    /// Waits until the record is acknowledged.
    ///
    /// # Errors
    /// Why it was not written, or [`SendError::Pending`] when `timeout` is over.
    pub fn wait(&self, timeout: Duration) -> Result<RecordMetadata, SendError> {
        match self.fate.look(timeout) {
            Some(fate) => fate,
            None if self.fate.is_settled() => Err(self.closed()),
            None => Err(SendError::Pending { topic: self.topic.clone(), waited: timeout }),
        }
    }

    /// Whether it is known what became of the record.
    pub fn is_settled(&self) -> bool {
        self.fate.is_settled()
    }

    fn closed(&self) -> SendError {
        SendError::Closed { topic: self.topic.clone(), unacknowledged: 1 }
    }
}

impl Future for Sent {
    type Output = Result<RecordMetadata, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let fate = Pin::new(&mut self.fate).poll(context);
        fate.map(|fate| fate.unwrap_or_else(|| Err(self.closed())))
    }
}
