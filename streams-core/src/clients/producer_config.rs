//! Settings of a [`TopicProducer`](super::TopicProducer), with the names and defaults of Kafka's `ProducerConfig`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::properties::{Keys, check, name_of, set, value_of};
use crate::client::ProducerSettings;
use crate::config::ConfigError;
use crate::config::values::{boolean, bytes, count, millis, text};

/// `acks`: who has to have a record before it counts as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// All replicas that are in sync. The default, and what idempotence and transactions need.
    All,
    /// The leader: a record is lost if the leader fails before others have it.
    Leader,
    /// Nobody: whether a record arrived, and at which offset, is not known.
    None,
}

/// `compression.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// None. The default.
    None,
    /// gzip: the smallest of those that every build has.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4: the quickest.
    Lz4,
    /// Zstandard: small and quick. On Kafka it needs the Cargo feature `zstd`.
    Zstd,
}

const ACKS: [(&str, Acks); 4] =
    [("all", Acks::All), ("-1", Acks::All), ("1", Acks::Leader), ("0", Acks::None)];
const COMPRESSIONS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// Settings of a producer.
///
/// ```
/// use streams_core::clients::{Compression, ProducerConfig};
/// let config = ProducerConfig { compression: Compression::Lz4, ..ProducerConfig::default() };
/// assert_eq!(config.linger.as_millis(), 5);
///
/// let error = ProducerConfig::from_properties([("lingr.ms", "20")]).unwrap_err();
/// assert!(error.to_string().contains("did you mean `linger.ms`?"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerConfig {
    /// `client.id`, for logs and quotas.
    pub client_id: String,
    /// `acks`.
    pub acks: Acks,
    /// `enable.idempotence`: a record that has to be sent again is written once, and records keep their order.
    pub enable_idempotence: bool,
    /// `linger.ms`: how long a record waits for others of its batch; 5 ms.
    pub linger: Duration,
    /// `batch.size`: bytes of a batch; 16 KiB. Records without a key change their partition after as many.
    pub batch_size: u64,
    /// `compression.type`.
    pub compression: Compression,
    /// `buffer.memory`: bytes of records that wait to be acknowledged; 32 MiB. When it is full `send` waits.
    pub buffer_memory: u64,
    /// `max.block.ms`: how long `send` waits for room or for the partitions of the topic; a minute.
    pub max_block: Duration,
    /// `delivery.timeout.ms`: when a record that could not be written is given up; 2 minutes, in a transaction at most its
    /// timeout.
    pub delivery_timeout: Duration,
    /// `max.request.size`: bytes of the largest record; 1 MiB.
    pub max_request_size: usize,
    /// `transactional.id`: with it records are written in transactions.
    pub transactional_id: Option<String>,
    /// `transaction.timeout.ms`: how long a transaction may stay open; a minute.
    pub transaction_timeout: Duration,
    /// All other settings, under the names of Kafka or librdkafka.
    pub properties: BTreeMap<String, String>,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            acks: Acks::All,
            enable_idempotence: true,
            linger: Duration::from_millis(5),
            batch_size: 16_384,
            compression: Compression::None,
            buffer_memory: 32 << 20,
            max_block: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            max_request_size: 1 << 20,
            transactional_id: None,
            transaction_timeout: Duration::from_secs(60),
            properties: BTreeMap::new(),
        }
    }
}

const KEYS: Keys<ProducerConfig> = Keys {
    role: 'p',
    fields: &[
        ("client.id", |config, value| set(&mut config.client_id, Ok(text(value).to_owned()))),
        ("acks", |config, value| set(&mut config.acks, value_of(&ACKS, value))),
        ("enable.idempotence", |config, value| set(&mut config.enable_idempotence, boolean(value))),
        ("linger.ms", |config, value| set(&mut config.linger, millis(value))),
        ("batch.size", |config, value| set(&mut config.batch_size, bytes(value))),
        ("compression.type", |config, value| set(&mut config.compression, value_of(&COMPRESSIONS, value))),
        ("buffer.memory", |config, value| set(&mut config.buffer_memory, bytes(value))),
        ("max.block.ms", |config, value| set(&mut config.max_block, millis(value))),
        ("delivery.timeout.ms", |config, value| set(&mut config.delivery_timeout, millis(value))),
        ("max.request.size", |config, value| set(&mut config.max_request_size, count(value))),
        ("transactional.id", |config, value| {
            set(&mut config.transactional_id, Ok(Some(text(value).to_owned())))
        }),
        ("transaction.timeout.ms", |config, value| set(&mut config.transaction_timeout, millis(value))),
    ],
    refused: &[
        ("partitioner.class", "names a Java class: give `TopicProducer::partitioned_by` a function"),
        ("interceptor.classes", "names a Java class, which cannot run here"),
        ("transaction.two.phase.commit.enable", "is not supported"),
    ],
};

impl ProducerConfig {
    /// A producer of transactions.
    pub fn transactional(id: impl Into<String>) -> Self {
        Self { transactional_id: Some(id.into()), ..Self::default() }
    }

    /// Settings from Kafka's properties. As in Kafka, `acks` other than `all` switches idempotence off unless
    /// `enable.idempotence` is there, too.
    ///
    /// # Errors
    /// All faults: unknown and misspelt keys, values that do not fit or contradict.
    pub fn from_properties<K: Into<String>, V: Into<String>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError> {
        let properties: BTreeMap<String, String> =
            properties.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let said = properties.contains_key("enable.idempotence");
        let mut config = Self::default();
        let (rest, mut faults) = KEYS.read(&mut config, properties);
        config.properties = rest;
        if !said && config.acks != Acks::All && config.transactional_id.is_none() {
            tracing::info!("`enable.idempotence` is off, because `acks` is not `all`");
            config.enable_idempotence = false;
        }
        faults.extend(config.faults());
        check(faults).map(|()| config)
    }

    /// Checks what must fit together.
    ///
    /// # Errors
    /// All faults, one sentence each.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check(self.faults())
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = KEYS.faults_of(&self.properties);
        let acks = name_of(&ACKS, self.acks);
        if self.acks != Acks::All && (self.enable_idempotence || self.transactional_id.is_some()) {
            let needs =
                if self.transactional_id.is_some() { "transactional.id" } else { "enable.idempotence" };
            faults.push(format!("`acks` is `{acks}`; with `{needs}` it must be `all`"));
        }
        match self.transactional_id.as_deref() {
            Some("") => faults.push("`transactional.id` is empty; leave it out, or name it".to_owned()),
            Some(id) if !self.enable_idempotence => faults.push(format!(
                "`enable.idempotence` is `false`; with `transactional.id` (`{id}`) it must be `true`"
            )),
            Some(_) | None => {}
        }
        if self.linger > self.delivery_timeout {
            faults.push(format!(
                "`delivery.timeout.ms` ({}) is shorter than `linger.ms` ({}), so every record would be given up; make it longer",
                self.delivery_timeout.as_millis(),
                self.linger.as_millis()
            ));
        }
        if self.buffer_memory < self.max_request_size as u64 {
            faults.push(format!(
                "`buffer.memory` ({}) has no room for a record of `max.request.size` ({}); make it larger",
                self.buffer_memory, self.max_request_size
            ));
        }
        faults
    }

    /// What the client is made with.
    pub(super) fn settings(&self) -> ProducerSettings {
        let mut properties = self.properties.clone();
        let limit = if self.transactional_id.is_some() { self.transaction_timeout } else { Duration::MAX };
        for (key, value) in [
            ("acks", name_of(&ACKS, self.acks).to_owned()),
            ("enable.idempotence", self.enable_idempotence.to_string()),
            ("linger.ms", self.linger.as_millis().to_string()),
            ("batch.size", self.batch_size.to_string()),
            ("compression.type", name_of(&COMPRESSIONS, self.compression).to_owned()),
            ("delivery.timeout.ms", self.delivery_timeout.min(limit).as_millis().to_string()),
            ("max.request.size", self.max_request_size.to_string()),
        ] {
            properties.insert(key.to_owned(), value);
        }
        ProducerSettings {
            client_id: self.client_id.clone(),
            transactional_id: self.transactional_id.clone(),
            transaction_timeout: self.transactional_id.as_ref().map(|_| self.transaction_timeout),
            buffer_bytes: Some(self.buffer_memory),
            properties,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(properties: &[(&str, &str)]) -> String {
        ProducerConfig::from_properties(properties.iter().copied()).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_kafkas_and_keys_are_its_names() {
        let nothing: [(&str, &str); 0] = [];
        assert_eq!(ProducerConfig::from_properties(nothing).unwrap(), ProducerConfig::default());
        let properties = ProducerConfig::default().settings().properties;
        let expected = [
            ("acks", "all"),
            ("batch.size", "16384"),
            ("compression.type", "none"),
            ("delivery.timeout.ms", "120000"),
            ("enable.idempotence", "true"),
            ("linger.ms", "5"),
            ("max.request.size", "1048576"),
        ];
        assert_eq!(properties, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn every_key_with_a_field_reaches_the_client() {
        let config = ProducerConfig::from_properties([
            ("bootstrap.servers", "elsewhere:9092"),
            ("client.id", "feeder"),
            ("acks", "1"),
            ("linger.ms", "20"),
            ("batch.size", "1000"),
            ("compression.type", "gzip"),
            ("buffer.memory", "2000000"),
            ("max.block.ms", "7"),
            ("delivery.timeout.ms", "3000"),
            ("max.request.size", "2000"),
            ("retries", "3"),
        ])
        .unwrap();
        assert_eq!((config.max_block.as_millis(), config.enable_idempotence), (7, false));
        let settings = config.settings();
        assert_eq!((settings.client_id.as_str(), settings.buffer_bytes), ("feeder", Some(2_000_000)));
        let text: Vec<String> =
            settings.properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            text.join(" "),
            "acks=1 batch.size=1000 compression.type=gzip delivery.timeout.ms=3000 enable.idempotence=false \
             linger.ms=20 max.request.size=2000 retries=3"
        );
    }

    #[test]
    fn a_transaction_bounds_what_is_in_it() {
        let config =
            ProducerConfig::from_properties([("transactional.id", "t"), ("transaction.timeout.ms", "9000")]);
        let settings = config.unwrap().settings();
        assert_eq!(settings.transaction_timeout, Some(Duration::from_secs(9)));
        assert_eq!(settings.properties["delivery.timeout.ms"], "9000");
    }

    #[test]
    fn faults_name_the_key_and_the_way_out() {
        assert!(fault(&[("compresion.type", "gzip")]).contains("did you mean `compression.type`?"));
        assert!(fault(&[("group.id", "g")]).contains("`group.id` is no setting of a producer"));
        assert!(fault(&[("compression.type", "brotli")]).contains("must be one of `none`, `gzip`"));
        assert!(fault(&[("acks", "2")]).contains("`acks` is `2`; it must be one of `all`"));
        let contradiction = fault(&[("acks", "0"), ("enable.idempotence", "true")]);
        assert!(contradiction.contains("with `enable.idempotence` it must be `all`"), "{contradiction}");
        assert!(fault(&[("acks", "1"), ("transactional.id", "t")]).contains("with `transactional.id`"));
        assert!(fault(&[("enable.idempotence", "false"), ("transactional.id", "t")]).contains("`true`"));
        assert!(fault(&[("linger.ms", "500"), ("delivery.timeout.ms", "400")]).contains("make it longer"));
        assert!(fault(&[("buffer.memory", "10")]).contains("make it larger"));
        assert!(fault(&[("transactional.id", " ")]).contains("leave it out"));
        assert!(fault(&[("partitioner.class", "a.B")]).contains("partitioned_by"));
        let all = fault(&[("lingr.ms", "1"), ("acks", "x"), ("linger.ms", "soon")]);
        assert!(all.contains("3 faults"), "{all}");
    }

    #[test]
    fn a_field_cannot_be_hidden_by_a_property() {
        let properties = [("linger.ms".to_owned(), "9".to_owned())].into();
        let error = ProducerConfig { properties, ..ProducerConfig::default() }.validate().unwrap_err();
        assert!(error.to_string().contains("set its field"));
    }
}
