//! The edge to a real Kafka, on librdkafka.
//!
//! [`RdKafka`] makes the clients. `consumer` (with `assignment`, `offsets` and `leaving`) and `producer` (with `worker`, which waits
//! for brokers in its stead, and `coordinator`, which says when that is of no use) are the two ends of a record's path, `admin` manages topics; `classify` says what failures mean, `refusal` what
//! to do when a broker does not let us in; `statistics` reads what librdkafka says of its work; `properties` and `security` speak Java's setting names, `tokens` is OAUTHBEARER. All unsafe code is in `ffi`.

mod admin;
mod assignment;
mod classify;
mod consumer;
mod coordinator;
mod ffi;
mod handle;
mod leaving;
mod offsets;
mod producer;
mod properties;
mod refusal;
mod security;
mod statistics;
mod tokens;
mod worker;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use self::admin::KafkaAdmin;
use self::consumer::KafkaConsumer;
use self::ffi::{Kind, Native, SettingFault};
use self::producer::KafkaProducer;
use self::properties::Role;
use self::refusal::Peer;
pub use self::tokens::{Token, TokenProvider};
use super::{
    ASSIGNORS, Admin, COOPERATIVE, ClientError, ClientSupplier, Consumer, ConsumerSettings, Fault, Producer,
    ProducerSettings, STATISTICS_INTERVAL,
};

/// Settings of every client. What the user says comes over these.
const COMMON: &[(&str, &str)] = &[
    ("log.connection.close", "false"),
    ("enable.metrics.push", "false"),
    ("socket.keepalive.enable", "true"),
    // A broker that restarts is found again soon. While a call waits for any broker, and no request for this one, librdkafka forgets its
    // pauses, which double, and tries each half of the first one: where a TLS handshake fails, or nobody listens, eight times a second.
    ("reconnect.backoff.ms", "250"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// Settings of every consumer.
const CONSUMER: &[(&str, &str)] = &[
    ("fetch.max.bytes", "8388608"),
    // A partition whose queue was full is fetched again after this.
    ("fetch.queue.backoff.ms", "2"),
    // One fetch is on its way to a broker at a time: one that waits for quiet partitions holds up busy ones.
    ("fetch.wait.max.ms", "50"),
];

/// Settings of every producer.
const PRODUCER: &[(&str, &str)] = &[
    ("linger.ms", "20"),
    // Java's `max.request.size`.
    ("message.max.bytes", "1048576"),
    ("batch.num.messages", BATCH_MESSAGES),
    // Partitions are always explicit.
    ("sticky.partitioning.linger.ms", "0"),
];

/// Most records of a batch. A full batch goes out at once; others wait for `linger.ms`, and a thread whose records in flight are many waits for
/// them. With librdkafka's 10,000 few batches are ever full: measured, word count had 10.6 s for what takes 7.6 s with 2,000, at 2.05 : 1.74 us
/// of CPU a word, and `globalenrich` needed 66 MB for 62. Fewer than 2,000 cost CPU: `stateless` 0.84 us a record, with 1,000 0.98, with 500 1.09.
const BATCH_MESSAGES: &str = "2000";
/// Most bytes of fetched records that wait for a partition; more wait for nothing.
const FETCHED_MAX_BYTES: u64 = 2 << 20;
/// Most bytes of one fetch of a partition.
const FETCH_MAX_BYTES: u64 = 256 << 10;
/// Most bytes of records that wait for acknowledgement.
const PRODUCED_MAX_BYTES: u64 = 32 << 20;
/// Memory for a small record that waits in librdkafka, its message and its share of a batch included.
const MESSAGE_BYTES: u64 = 1 << 10;
/// Most records in flight: more of them than the processor's cache holds cost time.
const IN_FLIGHT_MAX: u64 = 30_000;

/// Fetched records wait in librdkafka, per partition: a fetch is made while less than `queued.min.messages` of a partition wait, and
/// brings at most `fetch.message.max.bytes` of it.
fn fetch_limits(partition_bytes: Option<u64>) -> [(&'static str, String); 3] {
    let bytes = partition_bytes.map_or(FETCHED_MAX_BYTES, |bytes| bytes.clamp(128 << 10, FETCHED_MAX_BYTES));
    [
        ("queued.min.messages", (bytes / MESSAGE_BYTES).to_string()),
        ("queued.max.messages.kbytes", (bytes / 1024).to_string()),
        ("fetch.message.max.bytes", FETCH_MAX_BYTES.min(bytes / 4).to_string()),
    ]
}

/// Longest wait for an answer without transactions, as with ours: for those librdkafka takes `transaction.timeout.ms`, less 0.1 s. Until then
/// a connection counts as good, though the broker is frozen or cut off; and librdkafka spins while records wait behind a request of the same
/// partition: it wakes up when they have waited for `linger.ms`, sees that it may not send them yet, and wakes up again at once.
const ANSWER_MAX_MS: &str = "10000";

/// A record in flight costs 200 B besides its bytes.
fn send_limits(bytes: Option<u64>, transactional: bool) -> Vec<(&'static str, String)> {
    let bytes = bytes.map_or(PRODUCED_MAX_BYTES, |bytes| bytes.clamp(2 << 20, PRODUCED_MAX_BYTES));
    let mut limits = vec![
        ("queue.buffering.max.messages", (bytes / (MESSAGE_BYTES / 2)).min(IN_FLIGHT_MAX).to_string()),
        ("queue.buffering.max.kbytes", (bytes / 1024).to_string()),
    ];
    if !transactional {
        limits.push(("socket.timeout.ms", ANSWER_MAX_MS.to_owned()));
    }
    limits
}

/// Makes clients of a Kafka cluster.
///
/// # Examples
/// ```
/// use std::collections::BTreeMap;
/// use streams_core::client::{ClientSupplier, rdkafka::RdKafka};
///
/// let kafka = RdKafka::new("localhost:9092", BTreeMap::new());
/// assert_eq!(kafka.describe(), "Kafka at localhost:9092");
/// ```
#[derive(Clone)]
pub struct RdKafka {
    bootstrap_servers: Arc<str>,
    properties: BTreeMap<String, String>,
    tokens: Option<Arc<dyn TokenProvider>>,
    secrets: BTreeMap<String, Secret>,
}

/// Asked for a secret whenever a client is made.
type Secret = Arc<dyn Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync>;

/// Without the values of settings, some of which are secrets.
impl fmt::Debug for RdKafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdKafka")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("properties", &self.properties.keys())
            .finish_non_exhaustive()
    }
}

impl RdKafka {
    /// Clients that start at `bootstrap_servers` (`host:port`, comma-separated).
    ///
    /// `properties` are settings under Java's or librdkafka's names. With a prefix (`consumer.`, `main.consumer.`,
    /// `restore.consumer.`, `producer.`, `admin.`) they are for that kind of client only and win over plain ones.
    /// A wrong one is reported when the first client is made. Nothing connects here.
    pub fn new(bootstrap_servers: impl Into<Arc<str>>, properties: BTreeMap<String, String>) -> Self {
        let (tokens, secrets) = (None, BTreeMap::new());
        Self { bootstrap_servers: bootstrap_servers.into(), properties, tokens, secrets }
    }

    /// Gets the tokens of `sasl.mechanism=OAUTHBEARER` from `provider`.
    #[must_use]
    pub fn with_tokens(mut self, provider: Arc<dyn TokenProvider>) -> Self {
        self.tokens = Some(provider);
        self
    }

    /// Asks `secret` for the value of the setting `key` (`sasl.password`, `ssl.key.password`, `ssl.keystore.key`, ...) whenever a
    /// client is made, so that it is in no file, and a new one is taken when the application or a thread starts anew.
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// # use streams_core::client::rdkafka::RdKafka;
    /// let kafka = RdKafka::new("localhost:9093", BTreeMap::from([("sasl.username".to_owned(), "alice".to_owned())]))
    ///     .with_secret("sasl.password", || Ok(std::fs::read_to_string("/run/secrets/kafka")?.trim().to_owned()));
    /// ```
    #[must_use]
    pub fn with_secret(
        mut self,
        key: impl Into<String>,
        secret: impl Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        self.secrets.insert(key.into(), Arc::new(secret));
        self
    }

    /// The settings that callbacks hold.
    fn told_secrets(&self) -> Result<BTreeMap<String, String>, ClientError> {
        let told = self.secrets.iter().map(|(key, secret)| {
            let value =
                secret().map_err(|error| properties::wrong(key, &format!("cannot be had: {error}")))?;
            Ok((key.clone(), value))
        });
        told.collect()
    }

    /// A client with `defaults`, then the user's properties, then `fixed` settings.
    fn native(
        &self,
        role: Role,
        (defaults, limits): (&[(&str, &str)], &[(&str, String)]),
        properties: &BTreeMap<String, String>,
        fixed: Vec<(&str, String)>,
    ) -> Result<(Native, Peer), ClientError> {
        let mut settings = BTreeMap::new();
        for (key, value) in COMMON.iter().chain(defaults) {
            settings.insert((*key).to_owned(), (*value).to_owned());
        }
        settings.extend(limits.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        properties::apply(&mut settings, role, &self.properties)?;
        properties::apply(&mut settings, role, properties)?;
        properties::apply(&mut settings, role, &self.told_secrets()?)?;
        if role == Role::Admin {
            security::warn(&settings);
        }
        settings.insert("bootstrap.servers".to_owned(), self.bootstrap_servers.to_string());
        for (key, value) in fixed {
            settings.insert(key.to_owned(), value);
        }
        let kind = match role {
            Role::Main | Role::Restore => Kind::Consumer,
            Role::Producer | Role::Admin => Kind::Producer,
        };
        let peer = Peer {
            address: Arc::clone(&self.bootstrap_servers),
            principal: security::principal(&settings),
            group: settings.get("group.id").cloned(),
            transactional_id: settings.get("transactional.id").cloned(),
            writes: Vec::new(),
        };
        let settings: Vec<_> = settings.into_iter().collect();
        let native = Native::new(kind, &settings, self.tokens.as_ref()).map_err(|fault| match fault {
            SettingFault::Unknown(key) => properties::unknown(&key),
            SettingFault::Invalid(words) => {
                let hint = match words.as_str() {
                    zstd if zstd.contains("zstd") => "; build with the Cargo feature `zstd`",
                    lean if ["not available at build time", "ecompile"]
                        .iter()
                        .any(|it| lean.contains(it)) =>
                    {
                        "; build with the Cargo feature `ssl` or `ssl-vendored`"
                    }
                    _ => "",
                };
                ClientError::new(Fault::Invalid, "configure a Kafka client", words + hint)
            }
        })?;
        Ok((native, peer))
    }
}

/// Takes `key` out of `properties`: its value, which must be one of `allowed`, the first one if nobody set it, and the rest.
fn taken(
    properties: &BTreeMap<String, String>,
    key: &str,
    allowed: &[&str],
) -> Result<(String, BTreeMap<String, String>), ClientError> {
    let mut rest = properties.clone();
    let value = rest.remove(key).or_else(|| allowed.first().map(|first| (*first).to_owned()));
    let value = value.unwrap_or_default();
    if allowed.contains(&value.as_str()) {
        return Ok((value, rest));
    }
    Err(properties::wrong(key, &format!("is `{value}`; it must be one of {}", allowed.join(", "))))
}

impl ClientSupplier for RdKafka {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        let isolation = if settings.read_committed { "read_committed" } else { "read_uncommitted" };
        let role = if settings.group.is_some() { Role::Main } else { Role::Restore };
        // librdkafka wants a group even of a consumer that only assigns; it never joins it.
        let group = settings.group.clone().unwrap_or_else(|| "none".to_owned());
        let (assignor, properties) =
            taken(&settings.properties, "partition.assignment.strategy", &ASSIGNORS)?;
        let cooperative = assignor == COOPERATIVE;
        let mut fixed = vec![
            ("client.id", settings.client_id.clone()),
            ("group.id", group),
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            ("auto.offset.reset", "error".to_owned()),
            ("isolation.level", isolation.to_owned()),
            ("partition.assignment.strategy", assignor),
            ("enable.partition.eof", "true".to_owned()),
        ];
        if let Some(instance) = &settings.group_instance {
            fixed.push(("group.instance.id", instance.clone()));
        }
        let (native, peer) = self.native(
            role,
            (CONSUMER, &fetch_limits(settings.partition_buffer_bytes)),
            &properties,
            fixed,
        )?;
        let group = settings.group.clone();
        Ok(Box::new(KafkaConsumer::new(native, group, settings.read_committed, cooperative, peer)?))
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        let (idempotence, properties) =
            taken(&settings.properties, "enable.idempotence", &["true", "false"])?;
        let mut fixed = vec![("client.id", settings.client_id.clone()), ("enable.idempotence", idempotence)];
        if let Some(id) = &settings.transactional_id {
            fixed.push(("transactional.id", id.clone()));
        }
        if let Some(timeout) = settings.transaction_timeout {
            fixed.push(("transaction.timeout.ms", timeout.as_millis().to_string()));
        }
        let limits = send_limits(settings.buffer_bytes, settings.transactional_id.is_some());
        let (native, peer) = self.native(Role::Producer, (PRODUCER, &limits), &properties, fixed)?;
        Ok(Box::new(KafkaProducer::new(native, peer)?))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        let (native, peer) = self.native(Role::Admin, (&[], &[]), &BTreeMap::new(), Vec::new())?;
        Ok(Box::new(KafkaAdmin::new(native, peer)))
    }

    fn named_admin(
        &self,
        client_id: &str,
        statistics_interval_ms: &str,
    ) -> Result<Box<dyn Admin>, ClientError> {
        let statistics = [(STATISTICS_INTERVAL, statistics_interval_ms)];
        let fixed = vec![("client.id", client_id.to_owned())];
        let (native, peer) = self.native(Role::Admin, (&statistics, &[]), &BTreeMap::new(), fixed)?;
        Ok(Box::new(KafkaAdmin::new(native, peer)))
    }

    fn describe(&self) -> String {
        format!("Kafka at {}", self.bootstrap_servers)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    use rdkafka::{ClientConfig, ClientContext, Statistics};

    use super::*;

    /// A transactional producer of a cluster whose coordinator says `times` that the last transaction is not settled.
    fn producer_after_a_killed_one(times: usize, timeout: Duration) -> Result<(), ClientError> {
        let cluster = MockCluster::new(1).unwrap();
        let unsettled = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;
        cluster.request_errors(RDKafkaApiKey::InitProducerId, &vec![unsettled; times]);
        let kafka = RdKafka::new(cluster.bootstrap_servers(), BTreeMap::new());
        let mut producer = kafka.producer(&successor(None))?;
        producer.init_transactions(timeout)?;
        producer.begin_transaction()
    }

    /// librdkafka's own pauses would be six seconds here.
    #[test]
    fn a_producer_asks_often_whether_the_transaction_of_a_killed_one_is_settled() {
        producer_after_a_killed_one(12, Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_transaction_that_is_not_settled_in_time_may_be_asked_for_later() {
        let error = producer_after_a_killed_one(1000, Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.fault, Fault::Retriable, "{error}");
        assert!(error.message.contains("concurrent"), "{error}");
    }

    fn successor(timeout: Option<Duration>) -> ProducerSettings {
        ProducerSettings {
            client_id: "successor".to_owned(),
            transactional_id: Some("stable".to_owned()),
            transaction_timeout: timeout,
            buffer_bytes: None,
            properties: BTreeMap::new(),
        }
    }

    /// Remembers how often a client has begun to connect.
    #[derive(Default)]
    struct Connects(AtomicI64);

    impl ClientContext for Connects {
        fn stats(&self, statistics: Statistics) {
            let connects = statistics.brokers.values().filter_map(|broker| broker.connects).sum();
            self.0.store(connects, Ordering::Relaxed);
        }
    }

    impl ProducerContext for Connects {
        type DeliveryOpaque = ();

        fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
    }

    /// While a call waits for two seconds librdkafka connects forty times a second if its first pause is 50 ms.
    #[test]
    fn where_nobody_listens_a_client_knocks_ten_times_a_second_at_most() {
        let mut settings: ClientConfig =
            COMMON.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        settings.set("bootstrap.servers", "127.0.0.1:1").set("statistics.interval.ms", "100");
        let client: BaseProducer<Connects> = settings.create_with_context(Connects::default()).unwrap();
        client.client().fetch_metadata(None, Duration::from_secs(2)).unwrap_err();
        let connects = || client.context().0.load(Ordering::Relaxed);
        while connects() < 2 {
            client.poll(Duration::from_millis(500));
        }
        assert!(connects() <= 20, "{} times", connects());
    }

    /// librdkafka makes no transactional producer that waits longer for an answer than its transaction lasts.
    #[test]
    fn without_transactions_an_answer_is_waited_for_ten_seconds() {
        let kafka = RdKafka::new("127.0.0.1:1", BTreeMap::new());
        drop(kafka.producer(&successor(Some(Duration::from_secs(5)))).unwrap());
        let patience = |transactional: bool| {
            send_limits(None, transactional).into_iter().find(|it| it.0 == "socket.timeout.ms")
        };
        assert_eq!(patience(true), None);
        assert_eq!(patience(false), Some(("socket.timeout.ms", "10000".to_owned())));
    }

    /// librdkafka frees the interceptors of a configuration that it refuses only when it makes a client: freeing them again was a
    /// crash, where an application with such settings should be told.
    #[test]
    fn settings_that_are_refused_when_a_client_is_made_are_an_error() {
        let settings = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "GSSAPI")];
        let properties: BTreeMap<_, _> =
            settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let kafka = RdKafka::new("127.0.0.1:1", properties);
        for _ in 0..3 {
            let error = kafka.admin().err().map(|error| error.message).unwrap_or_default();
            assert!(error.contains("GSSAPI"), "{error}");
        }
    }
}
