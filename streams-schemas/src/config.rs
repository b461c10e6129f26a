//! Settings of the registry and its serdes, under Confluent's names.
//!
//! In: pairs of text, as of a properties file. Out: [`SchemaRegistryConfig`], or one sentence about what is wrong. A prefix
//! `schema.registry.` is allowed in front of every name, as in Confluent's serdes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::SchemaError;
use crate::subject::SubjectNames;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nobody says.
    #[default]
    None,
    /// User and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

/// Never the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer(_) => "bearer token",
        })
    }
}

/// Certificates, as PEM files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFiles {
    /// `ssl.ca.location`: who may have signed the registry's certificate. Those of the system if it is not set.
    pub ca: Option<PathBuf>,
    /// `ssl.certificate.location`: our certificate, and those between it and its root.
    pub certificate: Option<PathBuf>,
    /// `ssl.key.location`: its key.
    pub key: Option<PathBuf>,
}

/// How to reach a registry, and what serdes ask of it.
///
/// | key | default | |
/// |---|---|---|
/// | `schema.registry.url` | | one or more, separated by commas; the next is asked if one does not answer. User and password may stand in it |
/// | `basic.auth.user.info` | | `user:password`. `basic.auth.credentials.source`: `USER_INFO` or `URL` |
/// | `bearer.auth.token` | | `bearer.auth.credentials.source`: `STATIC_TOKEN` |
/// | `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.location` | the system's CAs | PEM files |
/// | `auto.register.schemas` | `true` | writers register schemas that are new |
/// | `use.latest.version` | `false` | writers use the last version of the subject; excludes `auto.register.schemas` |
/// | `normalize.schemas` | `false` | the registry compares schemas without regard to how they are written |
/// | `key.subject.name.strategy`, `value.subject.name.strategy` | `TopicNameStrategy` | or `RecordNameStrategy`, `TopicRecordNameStrategy` |
/// | `json.fail.invalid.schema` | `false` | JSON is checked against its schema, when written and when read |
/// | `request.deadline.ms` | 10000 | one question, with all its attempts (ours; Confluent's clients count attempts) |
/// | `http.connect.timeout.ms` | 3000 | one attempt to connect |
/// | `retries.wait.ms`, `retries.max.wait.ms` | 100, 2000 | between attempts: the first, the longest |
/// | `max.schemas.per.subject` | 1000 | schemas and ids that are kept in memory |
///
/// The runtime asks again after the deadline, as long as its `task.timeout.ms` says; so the deadline should stay below
/// `max.poll.interval.ms`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaRegistryConfig {
    /// Addresses, without user and password.
    pub urls: Vec<String>,
    /// Who asks.
    pub credentials: Credentials,
    /// Certificates.
    pub tls: TlsFiles,
    /// Whether writers register schemas that are new.
    pub auto_register: bool,
    /// Whether writers use the last version of the subject.
    pub use_latest: bool,
    /// Whether the registry normalizes what it compares.
    pub normalize: bool,
    /// Subjects of keys.
    pub key_subjects: SubjectNames,
    /// Subjects of values.
    pub value_subjects: SubjectNames,
    /// Whether JSON is checked against its schema.
    pub check_json: bool,
    /// One question, with all its attempts.
    pub deadline: Duration,
    /// One attempt to connect.
    pub connect_timeout: Duration,
    /// Wait after the first attempt.
    pub retry_wait: Duration,
    /// Longest wait between attempts.
    pub retry_wait_max: Duration,
    /// Schemas and ids that are kept in memory.
    pub cached_max: usize,
}

impl Default for SchemaRegistryConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            credentials: Credentials::None,
            tls: TlsFiles::default(),
            auto_register: true,
            use_latest: false,
            normalize: false,
            key_subjects: SubjectNames::Topic,
            value_subjects: SubjectNames::Topic,
            check_json: false,
            deadline: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            retry_wait: Duration::from_millis(100),
            retry_wait_max: Duration::from_secs(2),
            cached_max: 1000,
        }
    }
}

impl SchemaRegistryConfig {
    /// The registry at `url`, all else by default.
    pub fn at(url: impl AsRef<str>) -> Result<Self, SchemaError> {
        Self::from_properties([("schema.registry.url", url.as_ref())])
    }

    /// From pairs of name and value. Names that mean nothing here are refused.
    pub fn from_properties<K: AsRef<str>, V: AsRef<str>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, SchemaError> {
        let mut config = Self::default();
        let (mut basic_source, mut auto_register) = (None, None);
        for (key, value) in properties {
            let (key, value) = (key.as_ref(), value.as_ref().trim());
            match key.strip_prefix("schema.registry.").unwrap_or(key) {
                "basic.auth.credentials.source" => basic_source = Some(value.to_owned()),
                "auto.register.schemas" => auto_register = Some(flag(key, value)?),
                name => config.set(name, key, value)?,
            }
        }
        config.auto_register = auto_register.unwrap_or(!config.use_latest);
        config.check(basic_source.as_deref())?;
        Ok(config)
    }

    fn set(&mut self, name: &str, key: &str, value: &str) -> Result<(), SchemaError> {
        match name {
            "url" => value.split(',').try_for_each(|url| self.add_url(key, url.trim()))?,
            "basic.auth.user.info" => self.credentials = basic(key, value)?,
            "bearer.auth.token" => self.credentials = Credentials::Bearer(value.to_owned()),
            "bearer.auth.credentials.source" if value == "STATIC_TOKEN" => {}
            "ssl.ca.location" => self.tls.ca = Some(value.into()),
            "ssl.certificate.location" => self.tls.certificate = Some(value.into()),
            "ssl.key.location" => self.tls.key = Some(value.into()),
            "use.latest.version" => self.use_latest = flag(key, value)?,
            "normalize.schemas" => self.normalize = flag(key, value)?,
            "key.subject.name.strategy" => self.key_subjects = strategy(key, value)?,
            "value.subject.name.strategy" => self.value_subjects = strategy(key, value)?,
            "json.fail.invalid.schema" => self.check_json = flag(key, value)?,
            "request.deadline.ms" => self.deadline = millis(key, value)?,
            "http.connect.timeout.ms" => self.connect_timeout = millis(key, value)?,
            "retries.wait.ms" => self.retry_wait = millis(key, value)?,
            "retries.max.wait.ms" => self.retry_wait_max = millis(key, value)?,
            "max.schemas.per.subject" => {
                self.cached_max = value.parse().map_err(|_| wrong(key, "wants a number"))?;
            }
            "bearer.auth.credentials.source" => {
                return Err(wrong(key, format!("`{value}` is not supported; only STATIC_TOKEN is")));
            }
            _ => return Err(wrong(key, "there is no setting of this name; see `SchemaRegistryConfig`")),
        }
        Ok(())
    }

    /// User and password of an address are kept apart, so that it can be shown.
    fn add_url(&mut self, key: &str, url: &str) -> Result<(), SchemaError> {
        let scheme = ["http://", "https://"].into_iter().find(|scheme| url.starts_with(scheme));
        let scheme = scheme.ok_or_else(|| wrong(key, "an address begins with http:// or https://"))?;
        let rest = url[scheme.len()..].trim_end_matches('/');
        let rest = match rest.split_once('@') {
            Some((user, rest)) => {
                self.credentials = basic(key, user)?;
                rest
            }
            None => rest,
        };
        if rest.is_empty() || rest.starts_with([':', '/']) {
            return Err(wrong(key, "an address needs a host"));
        }
        self.urls.push(format!("{scheme}{rest}"));
        Ok(())
    }

    fn check(&self, basic_source: Option<&str>) -> Result<(), SchemaError> {
        match basic_source {
            None => {}
            Some("USER_INFO" | "URL") if matches!(self.credentials, Credentials::Basic { .. }) => {}
            Some("USER_INFO" | "URL") => {
                let why = "no user and password are given: neither `basic.auth.user.info` nor in the address";
                return Err(wrong("basic.auth.credentials.source", why));
            }
            Some(other) => {
                let why = format!("`{other}` is not supported; USER_INFO and URL are");
                return Err(wrong("basic.auth.credentials.source", why));
            }
        }
        if self.use_latest && self.auto_register {
            let why = "excludes `auto.register.schemas=true`: writers either register their schema or use the last one";
            return Err(wrong("use.latest.version", why));
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err(wrong("ssl.certificate.location", "goes together with `ssl.key.location`"));
        }
        match self.urls.is_empty() {
            true => Err(wrong("schema.registry.url", "is missing")),
            false => Ok(()),
        }
    }
}

pub(crate) fn wrong(key: &str, message: impl Into<String>) -> SchemaError {
    SchemaError::Config { key: key.to_owned(), message: message.into() }
}

fn flag(key: &str, value: &str) -> Result<bool, SchemaError> {
    value.parse().map_err(|_| wrong(key, "wants true or false"))
}

fn millis(key: &str, value: &str) -> Result<Duration, SchemaError> {
    let millis = value.parse().ok().filter(|millis| *millis > 0);
    millis.map(Duration::from_millis).ok_or_else(|| wrong(key, "wants a number of milliseconds above 0"))
}

fn strategy(key: &str, value: &str) -> Result<SubjectNames, SchemaError> {
    SubjectNames::from_class(value)
        .ok_or_else(|| wrong(key, "wants TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy"))
}

fn basic(key: &str, user_info: &str) -> Result<Credentials, SchemaError> {
    let (user, password) = user_info.split_once(':').ok_or_else(|| wrong(key, "wants user:password"))?;
    Ok(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(properties: &[(&str, &str)]) -> String {
        SchemaRegistryConfig::from_properties(properties.iter().copied()).unwrap_err().to_string()
    }

    #[test]
    fn confluents_names_are_understood() {
        let config = SchemaRegistryConfig::from_properties([
            ("schema.registry.url", "https://a:8081/, https://b/sr"),
            ("schema.registry.basic.auth.user.info", "me:se:cret"),
            ("basic.auth.credentials.source", "USER_INFO"),
            ("value.subject.name.strategy", "io.confluent.kafka.serializers.subject.RecordNameStrategy"),
            ("use.latest.version", "true"),
            ("http.connect.timeout.ms", "50"),
        ])
        .unwrap();
        assert_eq!(config.urls, ["https://a:8081", "https://b/sr"]);
        assert_eq!(
            config.credentials,
            Credentials::Basic { user: "me".to_owned(), password: "se:cret".to_owned() }
        );
        assert_eq!((config.key_subjects, config.value_subjects), (SubjectNames::Topic, SubjectNames::Record));
        assert_eq!((config.use_latest, config.auto_register), (true, false), "the one excludes the other");
        assert_eq!(config.connect_timeout, Duration::from_millis(50));
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = SchemaRegistryConfig::at("http://me:s3cret@host:8081").unwrap();
        assert_eq!(config.urls, ["http://host:8081"]);
        assert!(!format!("{config:?}").contains("s3cret"));
        let token = [("schema.registry.url", "http://host"), ("bearer.auth.token", "t0ken")];
        assert!(!format!("{:?}", SchemaRegistryConfig::from_properties(token)).contains("t0ken"));
        assert!(!error(&[("schema.registry.url", "ftp://me:s3cret@host")]).contains("s3cret"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let url = ("schema.registry.url", "http://host");
        for (properties, expected) in [
            (&[][..], "`schema.registry.url`: is missing"),
            (&[("schema.registry.url", "host:8081")], "begins with http"),
            (&[("schema.registry.url", "http://")], "needs a host"),
            (
                &[url, ("auto.register.schema", "true")],
                "`auto.register.schema`: there is no setting of this name",
            ),
            (&[url, ("auto.register.schemas", "yes")], "wants true or false"),
            (&[url, ("basic.auth.user.info", "me")], "wants user:password"),
            (&[url, ("basic.auth.credentials.source", "URL")], "no user and password are given"),
            (&[url, ("basic.auth.credentials.source", "SASL_INHERIT")], "not supported"),
            (&[url, ("bearer.auth.credentials.source", "OAUTHBEARER")], "not supported"),
            (&[url, ("ssl.key.location", "k.pem")], "goes together with"),
            (&[url, ("request.deadline.ms", "0")], "above 0"),
            (&[url, ("key.subject.name.strategy", "Mine")], "TopicNameStrategy"),
            (&[url, ("use.latest.version", "true"), ("auto.register.schemas", "true")], "excludes"),
        ] {
            let said = error(properties);
            assert!(said.contains(expected), "{properties:?}: {said}");
        }
    }
}
