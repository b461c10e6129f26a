//! Kafka Streams' properties -> settings.
//!
//! In: a map or a file of properties. Out: settings, or every fault at once. What has no effect here is said in the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::handlers::{Place, handler};
use super::keys::{CLIENT_PREFIXES, CLIENT_TAG_PREFIX, Effect, KEYS, TOPIC_PREFIX};
use super::{ConfigError, ProcessingGuarantee, StreamsConfig, client_keys, providers};

/// Keys of the application's own begin so, or with one of the prefixes listed here.
const APP_PREFIX: &str = "app.";
const APP_PREFIXES: &str = "app.config.prefixes";
const DEAD_LETTER_TOPIC: &str = "errors.dead.letter.queue.topic.name";

/// Reads a Java properties file, and with its `config.providers` what its values refer to: files, directories, the environment.
///
/// # Errors
/// The file cannot be read, a line of it is malformed, or what a value refers to is not there.
pub fn read_properties_file(path: impl AsRef<Path>) -> Result<BTreeMap<String, String>, ConfigError> {
    let path = path.as_ref();
    let fault = |what: &dyn std::fmt::Display| {
        ConfigError::new(format!("the properties file {} cannot be read: {what}", path.display()))
    };
    let bytes = std::fs::read(path).map_err(|error| fault(&error))?;
    let properties = java_properties::read(ascii(&bytes).as_bytes()).map_err(|error| fault(&error))?;
    let mut properties: BTreeMap<String, String> = properties.into_iter().collect();
    providers::warn_if_open(path, &properties);
    let mut faults = Vec::new();
    providers::resolve(&mut properties, &mut faults);
    ConfigError::unless_none(faults).map(|()| properties)
}

/// All bytes that are not ASCII as `\u00xx`: Java reads ISO-8859-1, while the parser takes some of the bytes for those of Windows, and the
/// first ones for the mark of another encoding.
fn ascii(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut after_backslash = false;
    for byte in bytes {
        match byte {
            0x80.. if after_backslash => text.push_str(&format!("u{byte:04x}")),
            0x80.. => text.push_str(&format!("\\u{byte:04x}")),
            _ => text.push(char::from(*byte)),
        }
        after_backslash = *byte == b'\\' && !after_backslash;
    }
    text
}

impl StreamsConfig {
    /// Settings from Kafka Streams' properties. `application.id` and `bootstrap.servers` must be among them; the
    /// default of `processing.guarantee` is `at_least_once`.
    ///
    /// ```
    /// use streams_core::config::StreamsConfig;
    /// let config = StreamsConfig::from_properties([
    ///     ("application.id", "word-count"),
    ///     ("bootstrap.servers", "localhost:9092"),
    ///     ("processing.guarantee", "exactly_once_v2"),
    /// ])?;
    /// assert_eq!(config.commit_interval.as_millis(), 100);
    /// let error = StreamsConfig::from_properties([("commit.intervall.ms", "5")]).unwrap_err();
    /// assert!(error.to_string().contains("did you mean `commit.interval.ms`?"));
    /// # Ok::<(), streams_core::config::ConfigError>(())
    /// ```
    ///
    /// A key that nobody knows is a fault, because it may be misspelt. Keys of the application's own begin with `app.`, or are
    /// declared; they are kept in [`app_configs`](Self::app_configs):
    ///
    /// ```
    /// use streams_core::config::StreamsConfig;
    /// let config = StreamsConfig::from_properties([
    ///     ("application.id", "word-count"),
    ///     ("bootstrap.servers", "localhost:9092"),
    ///     ("app.shop", "north"),
    ///     ("app.config.prefixes", "schema.registry., my."),
    ///     ("schema.registry.url", "http://localhost:8081"),
    /// ])?;
    /// assert_eq!(config.app_configs["app.shop"], "north");
    /// assert_eq!(config.app_configs_with_prefix("schema.registry.")["url"], "http://localhost:8081");
    /// # Ok::<(), streams_core::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// All faults: unknown and misspelt settings, values that do not fit, settings that are missing or contradict.
    pub fn from_properties<K: Into<String>, V: Into<String>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::new("", ProcessingGuarantee::AtLeastOnce);
        let mut faults = config.apply_properties(properties).err().map_or(Vec::new(), |error| error.faults);
        let said =
            |faults: &[String], key: &str| faults.iter().any(|fault| fault.starts_with(&format!("`{key}`")));
        for (key, value, what) in [
            ("application.id", &config.application_id, "it names the consumer group and all internal topics"),
            (
                "bootstrap.servers",
                &config.bootstrap_servers,
                "it says which brokers to contact, `host:port,...`",
            ),
        ] {
            if value.is_empty() && !said(&faults, key) {
                faults.push(format!("`{key}` is missing; set it: {what}"));
            }
        }
        ConfigError::unless_none(faults).map(|()| config)
    }

    /// Settings from a Java properties file. See [`from_properties`](Self::from_properties).
    ///
    /// # Errors
    /// The file cannot be read, or what [`from_properties`](Self::from_properties) says.
    pub fn from_properties_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::from_properties(read_properties_file(path)?)
    }

    /// Changes settings by Kafka Streams' properties; what is not named stays, except that a new
    /// `processing.guarantee` brings its own default of `commit.interval.ms`. With faults, the others are applied.
    ///
    /// # Errors
    /// All faults, as in [`from_properties`](Self::from_properties), except missing settings.
    pub fn apply_properties<K: Into<String>, V: Into<String>>(
        &mut self,
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), ConfigError> {
        let mut properties: BTreeMap<String, String> =
            properties.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let mut faults = Vec::new();
        providers::resolve(&mut properties, &mut faults);
        for (key, effect) in KEYS {
            if let Some(value) = properties.get(*key) {
                faults.extend(self.apply(key, value, effect).err());
            }
        }
        self.warn_of_old_name(&properties);
        self.apply_handlers(&properties, &mut faults);
        let own = self.app_prefixes(&properties);
        let others = properties.into_iter().filter(|(key, _)| KEYS.iter().all(|(known, _)| known != key));
        for (key, value) in others {
            if let Some(setting) = key.strip_prefix(TOPIC_PREFIX) {
                self.topic_properties.insert(setting.to_owned(), value.trim().to_owned());
            } else if let Some(setting) = CLIENT_PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix)) {
                warn_of_unknown_client_setting(&key, setting);
                self.client_properties.insert(key, value.trim().to_owned());
            } else if client_keys::is_known(&key) {
                self.client_properties.insert(key, value.trim().to_owned());
            } else if key.starts_with(CLIENT_TAG_PREFIX) {
                tracing::warn!(setting = key, "has no effect: this version has no standby tasks to place");
            } else if own.iter().any(|prefix| key.starts_with(prefix)) {
                Arc::make_mut(&mut self.app_configs).insert(key, value);
            } else {
                faults.push(unknown(&key));
            }
        }
        faults.extend(self.validate().err().map_or(Vec::new(), |error| error.faults));
        ConfigError::unless_none(faults)
    }

    /// How keys of the application's own begin, as these properties say or those before.
    fn app_prefixes(&self, properties: &BTreeMap<String, String>) -> Vec<String> {
        let declared = properties.get(APP_PREFIXES).or_else(|| self.app_configs.get(APP_PREFIXES));
        let declared = declared.into_iter().flat_map(|list| list.split(',')).map(str::trim);
        declared.filter(|prefix| !prefix.is_empty()).chain([APP_PREFIX]).map(str::to_owned).collect()
    }

    fn apply(&mut self, key: &str, value: &str, effect: &Effect) -> Result<(), String> {
        let result = match effect {
            Effect::Sets(set) => set(self, value),
            Effect::Client(check) => check(value).map(|()| {
                self.client_properties.insert(key.to_owned(), value.trim().to_owned());
            }),
            Effect::Nothing { default, check, why } if value.trim() != *default => check(value).map(|()| {
                tracing::warn!(setting = key, value = value.trim(), "has no effect: {why}");
            }),
            Effect::Nothing { .. } | Effect::Combined => Ok(()),
        };
        result.map_err(|must| {
            let value = if client_keys::is_secret(key) { "(hidden)" } else { value };
            format!("`{key}` is `{value}`; it must be {must}")
        })
    }

    /// The cache size has two names; the new one wins, and was applied last.
    fn warn_of_old_name(&self, properties: &BTreeMap<String, String>) {
        if properties.contains_key("cache.max.bytes.buffering")
            && properties.contains_key("statestore.cache.max.bytes")
        {
            tracing::warn!(
                "`cache.max.bytes.buffering` is ignored, because `statestore.cache.max.bytes` is set too"
            );
        }
    }

    fn apply_handlers(&mut self, properties: &BTreeMap<String, String>, faults: &mut Vec<String>) {
        let dead_letters =
            properties.get(DEAD_LETTER_TOPIC).map(|topic| topic.trim()).filter(|topic| !topic.is_empty());
        let default = "LogAndFail".to_owned();
        for place in Place::ALL {
            let (key, old) = place.keys();
            let given = |key: &'static str| Some((key, properties.get(key)?));
            let named = given(key).or_else(|| old.and_then(given));
            // The default handler knows the dead-letter topic, too.
            let default = dead_letters.map(|_| (key, &default));
            let Some((key, class)) = named.or(default) else { continue };
            match handler(place, class, dead_letters) {
                Ok(handler) => *self.handler_of(place) = handler,
                Err(must) => faults.push(format!("`{key}` is `{class}`; it must be {must}")),
            }
        }
    }

    fn handler_of(&mut self, place: Place) -> &mut Arc<dyn crate::handler::ExceptionHandler> {
        match place {
            Place::Deserialization => &mut self.deserialization_exception_handler,
            Place::Processing => &mut self.processing_exception_handler,
            Place::Production => &mut self.production_exception_handler,
        }
    }

    /// Checks what must fit together: under exactly once, the transaction timeout and the requests in flight.
    ///
    /// # Errors
    /// All contradictions, one sentence each.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut faults = Vec::new();
        if let Some(timeout) = self.transaction_timeout()
            && timeout < self.commit_interval
        {
            faults.push(format!(
                "`commit.interval.ms` ({}) is longer than `producer.transaction.timeout.ms` ({}), so every transaction \
                 would time out; make the interval shorter or the timeout longer",
                self.commit_interval.as_millis(),
                timeout.as_millis()
            ));
        }
        let in_flight = "max.in.flight.requests.per.connection";
        // Kafka Streams refuses it for consumers, too, which have no such setting: it was meant for the producer.
        let clients = [
            ("producer", self.producer_properties()),
            ("consumer", self.consumer_properties()),
            ("restore consumer", self.restore_consumer_properties()),
        ];
        let given = clients.into_iter().find_map(|(client, mut all)| Some((client, all.remove(in_flight)?)));
        if let Some((client, requests)) = given.filter(|_| self.exactly_once()) {
            let allowed = requests.parse().is_ok_and(|requests: i32| requests <= 5);
            if !allowed {
                faults.push(format!(
                    "`{in_flight}` of the {client} is `{requests}`; with exactly once it must be a whole number of at \
                     most 5, or left out"
                ));
            }
        }
        ConfigError::unless_none(faults)
    }
}

fn unknown(key: &str) -> String {
    let settings = KEYS.iter().map(|(key, _)| *key).chain(client_keys::names());
    match nearest(key, settings.chain(CLIENT_PREFIXES)) {
        Some(near) => format!("`{key}` is not a setting; did you mean `{near}`?"),
        None => format!(
            "`{key}` is neither a setting of Kafka Streams nor of a Kafka client; remove it, or put the client's \
             prefix before it (`consumer.`, `producer.`, `admin.`) if a client knows it; a key of the application's own \
             begins with `{APP_PREFIX}`, or is declared in `{APP_PREFIXES}`"
        ),
    }
}

fn warn_of_unknown_client_setting(key: &str, setting: &str) {
    if client_keys::is_known(setting) {
        return;
    }
    match nearest(setting, client_keys::names()) {
        Some(near) => {
            tracing::warn!(setting = key, "no client is known to have this setting; is it `{near}`?")
        }
        None => tracing::warn!(setting = key, "no client is known to have this setting"),
    }
}

/// The name most like `key`, if one is alike at all. Names that are too short or too long for that are not compared: that takes memory
/// as the product of both.
pub(crate) fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let of_like_length = |name: &&str| {
        let (one, two) = (key.chars().count(), name.len());
        one.abs_diff(two) * 10 <= one.max(two) * 3
    };
    names
        .filter(of_like_length)
        .map(|name| (strsim::normalized_damerau_levenshtein(key, name), name))
        .filter(|(likeness, _)| *likeness >= 0.7)
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, name)| name)
}
