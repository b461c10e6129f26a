//! A broker that does not let us in, or does not let us do something: what happened, and what to do, in one sentence.
//!
//! In: librdkafka's words, what OpenSSL found wrong with the broker's certificate, and who we are. Out: the sentence. It knows words
//! only; whether a call is tried again is decided elsewhere.

use std::sync::Arc;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::ffi::{BadCertificate, Failure};

/// How a client appears to the cluster: what errors name.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Where it connects to.
    pub(super) address: Arc<str>,
    /// Whom the broker takes it for, if that is known here.
    pub(super) principal: Option<String>,
    /// Its group.
    pub(super) group: Option<String>,
    /// Its transactional id.
    pub(super) transactional_id: Option<String>,
    /// Topics that it has written to, or tried to.
    pub(super) writes: Vec<String>,
}

/// OpenSSL's numbers of what may be wrong with a certificate.
const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;
const UNKNOWN_ISSUERS: [i32; 5] = [2, 18, 19, 20, 21];
const REVOKED: i32 = 23;
const OTHER_HOST: i32 = 62;
const OTHER_ADDRESS: i32 = 64;

/// Why the connection was refused, by us or by the broker. `words` are librdkafka's.
pub(super) fn turned_away(peer: &Peer, words: &str, certificate: Option<&BadCertificate>) -> String {
    if let Some(BadCertificate { broker, error }) = certificate {
        return match *error {
            EXPIRED => {
                format!("the certificate of the broker {broker} has expired; whoever runs it has to renew it")
            }
            NOT_YET_VALID => format!(
                "the certificate of the broker {broker} is not valid yet; is this machine's clock right?"
            ),
            error if UNKNOWN_ISSUERS.contains(&error) => format!(
                "the certificate of the broker {broker} was signed by a CA that is not trusted here; put that CA's certificate into \
                 the file of `ssl.truststore.location` (PEM)"
            ),
            OTHER_HOST | OTHER_ADDRESS => format!(
                "the certificate of the broker {broker} is for another host name; connect by a name that stands in the certificate, \
                 or have it made for this one"
            ),
            REVOKED => format!("the certificate of the broker {broker} was revoked; do not trust it"),
            error => format!("the certificate of the broker {broker} is not valid (OpenSSL's error {error})"),
        };
    }
    let (who, address) = (who(peer), &peer.address);
    let words = words.trim_end_matches('.');
    if words.contains("OAUTHBEARER token") {
        return format!("there is no token to authenticate {who} at {address}: {words}");
    }
    if words.contains("nsupported SASL mechanism") {
        return format!("the broker at {address} does not take this `sasl.mechanism`: {words}");
    }
    if words.contains("SASL") {
        return format!(
            "the broker at {address} refuses the credentials of {who}; check user and password, or the token ({words})"
        );
    }
    if words.contains("alert") {
        return format!(
            "the broker at {address} refuses the certificate of this client, or wants one: set `ssl.keystore.location` to a PEM file \
             with a key and a certificate that the broker trusts ({words})"
        );
    }
    format!("no TLS connection to {address}: {words}")
}

fn who(peer: &Peer) -> &str {
    peer.principal.as_deref().unwrap_or("this client")
}

/// What must be granted to whom, if the failure says that something is not allowed.
pub(super) fn not_allowed(peer: &Peer, call: &str, failure: &Failure) -> Option<String> {
    let (operation, resource) = match failure.code {
        Code::TopicAuthorizationFailed => {
            let operation = topic_operation(call, &failure.text);
            let of_call = if operation == "Write" { peer.writes.as_slice() } else { &[] };
            let topic = topic(call).or_else(|| named(&failure.text)).map(|topic| format!("topic `{topic}`"));
            (operation, topic.unwrap_or_else(|| any_of(of_call)))
        }
        Code::GroupAuthorizationFailed => {
            ("Read", peer.group.as_ref().map_or("its group".to_owned(), |group| format!("group `{group}`")))
        }
        Code::TransactionalIdAuthorizationFailed => {
            let id = peer.transactional_id.as_ref();
            ("Write", id.map_or("its transactional id".to_owned(), |id| format!("transactional id `{id}`")))
        }
        Code::ClusterAuthorizationFailed if call.starts_with("create") => {
            ("Create", "the cluster".to_owned())
        }
        Code::ClusterAuthorizationFailed => ("IdempotentWrite", "the cluster".to_owned()),
        _ => return None,
    };
    let operation =
        if operation == "Describe" { "Describe (which Read and Write include)" } else { operation };
    Some(format!(
        "{} may not {operation} on {resource}; grant it with kafka-acls, `kstreams acls` prints all that an application needs ({})",
        peer.principal.as_deref().unwrap_or("the principal of this client"),
        failure.text
    ))
}

/// The operation on a topic that a call needs. Partitions are added to a transaction behind the calls: whichever comes next hears of it.
fn topic_operation(call: &str, words: &str) -> &'static str {
    if words.contains("Failed to add partition") {
        return "Write";
    }
    const OPERATIONS: [(&str, &str); 9] = [
        ("describe", "Describe"),
        ("list offsets", "Describe"),
        ("create", "Create"),
        ("delete", "Delete"),
        ("produce", "Write"),
        ("flush", "Write"),
        ("commit transaction", "Write"),
        ("open topic", "Write"),
        ("begin transaction", "Write"),
    ];
    OPERATIONS.iter().find(|(begin, _)| call.starts_with(begin)).map_or("Read", |(_, operation)| operation)
}

/// A transaction is refused as a whole, whichever of its topics may not be written.
fn any_of(topics: &[String]) -> String {
    match topics {
        [] => "a topic of this call".to_owned(),
        [topic] => format!("topic `{topic}`"),
        topics => format!("one of the topics `{}`", topics.join("`, `")),
    }
}

/// The topic that a call names: in back quotes, or as `topic-partition`.
fn topic(call: &str) -> Option<&str> {
    if let Some((_, rest)) = call.split_once('`') {
        return rest.split_once('`').map(|(topic, _)| topic);
    }
    call.split(' ').find_map(|word| {
        let (topic, partition) = word.rsplit_once('-')?;
        partition.parse::<u32>().ok().map(|_| topic)
    })
}

/// The topic in the words of a failure: `Subscribed topic not available: words: Broker: ...`, or `words: Broker: ...`.
fn named(words: &str) -> Option<&str> {
    let words = words.strip_prefix("Subscribed topic not available: ").unwrap_or(words);
    words.split_once(": ").map(|(topic, _)| topic).filter(|topic| *topic != "Broker" && !topic.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(principal: Option<&str>) -> Peer {
        Peer {
            address: "kafka:9093".into(),
            principal: principal.map(str::to_owned),
            group: Some("shop".to_owned()),
            transactional_id: Some("shop-1-0".to_owned()),
            writes: vec!["out".to_owned(), "shop-log".to_owned()],
        }
    }

    #[test]
    fn what_is_not_allowed_names_principal_operation_and_resource() {
        let alice = peer(Some("User:alice"));
        let said = |call: &str, code: Code, words: &str| {
            let failure = Failure::new(code, words);
            not_allowed(&alice, call, &failure).unwrap().split(';').next().unwrap().to_owned()
        };
        let topic = Code::TopicAuthorizationFailed;
        let table = [
            (
                said("describe topic `words`", topic, ""),
                "User:alice may not Describe (which Read and Write include) on topic `words`",
            ),
            (said("create topic `a-b`", topic, ""), "User:alice may not Create on topic `a-b`"),
            (said("produce to out-1-7", topic, ""), "User:alice may not Write on topic `out-1`"),
            (
                said("read words-0 at offset 7", topic, "Fetch from broker 1 failed: Broker: no"),
                "User:alice may not Read on topic `words`",
            ),
            (
                said("poll", topic, "Subscribed topic not available: words: Broker: no"),
                "User:alice may not Read on topic `words`",
            ),
            (said("delete records", topic, "a-b: Broker: no"), "User:alice may not Delete on topic `a-b`"),
            (
                said("commit transaction", topic, "Failed to add partition(s): Broker: no"),
                "User:alice may not Write on one of the topics `out`, `shop-log`",
            ),
            // The answer may be there before the offsets are sent, which are refused for it: one word for it was Read.
            (
                said(
                    "send offsets to transaction",
                    topic,
                    "Failed to add partition(s) to transaction on broker TxnCoordinator/1: Broker: no",
                ),
                "User:alice may not Write on one of the topics `out`, `shop-log`",
            ),
            (
                said(
                    "send offsets to transaction",
                    topic,
                    "Failed to commit offsets to transaction on broker GroupCoordinator/1: Broker: no",
                ),
                "User:alice may not Read on a topic of this call",
            ),
            (said("poll", Code::GroupAuthorizationFailed, ""), "User:alice may not Read on group `shop`"),
            (
                said("init transactions", Code::TransactionalIdAuthorizationFailed, ""),
                "User:alice may not Write on transactional id `shop-1-0`",
            ),
            (
                said("x", Code::ClusterAuthorizationFailed, ""),
                "User:alice may not IdempotentWrite on the cluster",
            ),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
        assert_eq!(not_allowed(&alice, "poll", &Failure::new(Code::UnknownTopic, "")), None);
        let nobody = not_allowed(&peer(None), "produce to a-0", &Failure::new(topic, "")).unwrap();
        assert!(nobody.starts_with("the principal of this client may not Write on topic `a`"), "{nobody}");
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_by_its_number() {
        let said = |error| {
            let certificate = BadCertificate { broker: "kafka:9093".to_owned(), error };
            turned_away(&peer(None), "SSL handshake failed: alert", Some(&certificate))
        };
        for (error, words) in [
            (10, "has expired"),
            (9, "clock"),
            (20, "ssl.truststore.location"),
            (62, "another host name"),
            (99, "error 99"),
        ] {
            assert!(said(error).contains(words), "{}", said(error));
        }
    }

    #[test]
    fn what_the_broker_refuses_is_said_with_who_was_refused() {
        let said = |words: &str| turned_away(&peer(Some("User:alice")), words, None);
        assert!(said("SASL authentication error: Invalid username").contains("credentials of User:alice"));
        assert!(said("ssl: alert certificate required").contains("ssl.keystore.location"));
        assert!(said("Unsupported SASL mechanism: broker's").contains("`sasl.mechanism`"));
        assert!(said("no OAUTHBEARER token: closed").contains("no token to authenticate User:alice"));
    }
}
