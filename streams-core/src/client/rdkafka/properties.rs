//! Client settings under Java's names or librdkafka's, translated to librdkafka's.
//!
//! In: a property map as people have it in files. Out: pairs for librdkafka, or one sentence that names the key and
//! says what to use instead. Nothing is dropped in silence, except what has no meaning here and changes no result.

use std::collections::BTreeMap;

use super::security;
use crate::client::{ClientError, Fault};

/// What kind of client the settings are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// A consumer that is a member of a group.
    Main,
    /// A consumer that only assigns: restoration.
    Restore,
    /// A producer.
    Producer,
    /// An admin client.
    Admin,
}

impl Role {
    /// Prefixes of keys for this role, the later ones winning.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Role::Main => &["consumer.", "main.consumer."],
            Role::Restore => &["consumer.", "restore.consumer."],
            Role::Producer => &["producer."],
            Role::Admin => &["admin."],
        }
    }
}

const PREFIXES: [&str; 6] =
    ["main.consumer.", "restore.consumer.", "global.consumer.", "consumer.", "producer.", "admin."];

/// What to do with a key.
enum Rule {
    /// Hand it on under this name.
    Rename(&'static str),
    /// Hand it on under this name, divided by 1024.
    Kilobytes(&'static str),
    /// It has no meaning here, and needs none.
    Ignore,
    /// It is decided by the library; this value says the same, all others are refused.
    Fixed(&'static str),
    /// It cannot be done as asked; why, and what to use.
    Refuse(&'static str),
}

const OURS: &str = "is decided by this library";
pub(super) const JAVA_CLASS: &str = "names a Java class, which cannot run here";

/// Keys that differ from librdkafka's. All others are librdkafka's own.
const RULES: &[(&str, Rule)] = &[
    // Consumer.
    ("fetch.max.wait.ms", Rule::Rename("fetch.wait.max.ms")),
    ("max.partition.fetch.bytes", Rule::Rename("fetch.message.max.bytes")),
    ("max.poll.records", Rule::Ignore),
    ("auto.offset.reset", Rule::Ignore),
    ("exclude.internal.topics", Rule::Ignore),
    ("group.protocol", Rule::Fixed("classic")),
    ("enable.auto.commit", Rule::Fixed("false")),
    ("enable.auto.offset.store", Rule::Fixed("false")),
    ("isolation.level", Rule::Ignore),
    ("partition.assignment.strategy", Rule::Refuse(OURS)),
    ("group.id", Rule::Refuse("is the application id")),
    ("group.remote.assignor", Rule::Refuse(OURS)),
    ("enable.partition.eof", Rule::Refuse(OURS)),
    ("key.deserializer", Rule::Ignore),
    ("value.deserializer", Rule::Ignore),
    // Producer.
    ("buffer.memory", Rule::Kilobytes("queue.buffering.max.kbytes")),
    ("max.request.size", Rule::Rename("message.max.bytes")),
    ("compression.gzip.level", Rule::Rename("compression.level")),
    ("compression.lz4.level", Rule::Rename("compression.level")),
    ("compression.zstd.level", Rule::Rename("compression.level")),
    ("max.block.ms", Rule::Ignore),
    ("enable.idempotence", Rule::Fixed("true")),
    ("transactional.id", Rule::Refuse(OURS)),
    ("partitioner.class", Rule::Ignore),
    ("partitioner.ignore.keys", Rule::Ignore),
    ("partitioner.adaptive.partitioning.enable", Rule::Ignore),
    ("partitioner.availability.timeout.ms", Rule::Ignore),
    ("metadata.max.idle.ms", Rule::Ignore),
    ("key.serializer", Rule::Ignore),
    ("value.serializer", Rule::Ignore),
    // Both.
    // How often topics are looked at anew: what librdkafka calls by this name is how long it believes what it saw.
    ("metadata.max.age.ms", Rule::Rename("topic.metadata.refresh.interval.ms")),
    ("send.buffer.bytes", Rule::Rename("socket.send.buffer.bytes")),
    ("receive.buffer.bytes", Rule::Rename("socket.receive.buffer.bytes")),
    ("request.timeout.ms", Rule::Rename("socket.timeout.ms")),
    ("default.api.timeout.ms", Rule::Ignore),
    ("socket.connection.setup.timeout.max.ms", Rule::Ignore),
    ("metric.reporters", Rule::Ignore),
    ("metrics.num.samples", Rule::Ignore),
    ("metrics.recording.level", Rule::Ignore),
    ("metrics.sample.window.ms", Rule::Ignore),
    ("auto.include.jmx.reporter", Rule::Ignore),
    ("interceptor.classes", Rule::Refuse(JAVA_CLASS)),
    ("security.providers", Rule::Refuse(JAVA_CLASS)),
];

/// Keys of librdkafka that people set, to find the nearest to a misspelt one.
const COMMON: &[&str] = &[
    "acks",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.type",
    "connections.max.idle.ms",
    "debug",
    "delivery.timeout.ms",
    "enable.metrics.push",
    "enable.ssl.certificate.verification",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.instance.id",
    "heartbeat.interval.ms",
    "linger.ms",
    "log_level",
    "max.in.flight.requests.per.connection",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.max.age.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.keepalive.enable",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "transaction.timeout.ms",
];

/// Adds `properties` of this role to `settings`, translated, over what is there.
pub(super) fn apply(
    settings: &mut BTreeMap<String, String>,
    role: Role,
    properties: &BTreeMap<String, String>,
) -> Result<(), ClientError> {
    let plain = properties.iter().filter(|(key, _)| !PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
    let mut chosen: BTreeMap<String, String> =
        plain.map(|(key, value)| (key.clone(), value.clone())).collect();
    for prefix in role.prefixes() {
        for (key, value) in properties {
            if let Some(key) = key.strip_prefix(prefix) {
                chosen.insert(key.to_owned(), value.clone());
            }
        }
    }
    security::translate(&mut chosen)?;
    for (key, value) in chosen {
        if let Some((key, value)) = translate(&key, &value)? {
            settings.insert(key, value);
        }
    }
    Ok(())
}

/// The pair for librdkafka, `None` if there is nothing to hand on.
fn translate(key: &str, value: &str) -> Result<Option<(String, String)>, ClientError> {
    let pair = |key: &str, value: &str| Ok(Some((key.to_owned(), value.to_owned())));
    let rule = RULES.iter().find(|(name, _)| *name == key).map(|(_, rule)| rule);
    match rule {
        None => pair(key, value),
        // Java's "leave it to the system" is -1, librdkafka's is 0.
        Some(Rule::Rename(name)) if name.ends_with(".buffer.bytes") && value.trim() == "-1" => {
            pair(name, "0")
        }
        Some(Rule::Rename(name)) => pair(name, value),
        Some(Rule::Kilobytes(name)) => {
            let bytes: u64 = value.trim().parse().map_err(|_| wrong(key, "wants a number of bytes"))?;
            pair(name, &bytes.div_ceil(1024).to_string())
        }
        Some(Rule::Ignore) => Ok(None),
        Some(Rule::Fixed(only)) if value.trim().eq_ignore_ascii_case(only) => Ok(None),
        Some(Rule::Fixed(only)) => Err(wrong(key, &format!("can only be `{only}` here"))),
        Some(Rule::Refuse(why)) => Err(wrong(key, why)),
    }
}

pub(super) fn wrong(key: &str, why: &str) -> ClientError {
    ClientError::new(Fault::Invalid, "configure a Kafka client", format!("`{key}` {why}"))
}

/// The error for a key that librdkafka does not know, with the nearest one that we do.
pub(super) fn unknown(key: &str) -> ClientError {
    let known = RULES.iter().map(|(name, _)| *name).chain(COMMON.iter().copied());
    let nearest = known
        .map(|name| (strsim::normalized_damerau_levenshtein(key, name), name))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(similarity, _)| *similarity > 0.6);
    let hint = nearest.map_or(String::new(), |(_, name)| format!("; did you mean `{name}`?"));
    wrong(key, &format!("is no setting of a Kafka client{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn applied(role: Role, pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        apply(&mut settings, role, &map(pairs)).unwrap();
        settings
    }

    #[test]
    fn java_names_become_librdkafkas() {
        let settings = applied(
            Role::Producer,
            &[
                ("buffer.memory", "33554432"),
                ("send.buffer.bytes", "-1"),
                ("max.poll.records", "500"),
                ("metadata.max.age.ms", "10000"),
                ("linger.ms", "7"),
            ],
        );
        let expected = map(&[
            ("queue.buffering.max.kbytes", "32768"),
            ("socket.send.buffer.bytes", "0"),
            ("topic.metadata.refresh.interval.ms", "10000"),
            ("linger.ms", "7"),
        ]);
        assert_eq!(settings, expected);
    }

    #[test]
    fn prefixes_choose_the_client_and_win() {
        let pairs = [
            ("fetch.min.bytes", "1"),
            ("consumer.fetch.min.bytes", "2"),
            ("restore.consumer.fetch.min.bytes", "3"),
            ("producer.linger.ms", "9"),
        ];
        assert_eq!(applied(Role::Main, &pairs), map(&[("fetch.min.bytes", "2")]));
        assert_eq!(applied(Role::Restore, &pairs), map(&[("fetch.min.bytes", "3")]));
        assert_eq!(applied(Role::Producer, &pairs), map(&[("fetch.min.bytes", "1"), ("linger.ms", "9")]));
    }

    #[test]
    fn what_cannot_be_done_is_said_with_its_key() {
        let refused = |key: &str, value: &str| {
            let error = apply(&mut BTreeMap::new(), Role::Main, &map(&[(key, value)])).unwrap_err();
            assert!(error.message.contains(key), "{error}");
            error.message
        };
        refused("enable.auto.commit", "true");
        refused("group.id", "mine");
        refused("buffer.memory", "much");
        assert!(unknown("lingr.ms").message.contains("did you mean `linger.ms`?"));
        assert!(!unknown("zzz").message.contains("did you mean"));
    }
}
