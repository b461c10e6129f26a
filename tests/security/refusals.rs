//! Each wrong way in: the start ends soon, with one error that says what is wrong, and the broker was not asked over and over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::client::rdkafka::{RdKafka, Token, TokenProvider};
use kstreams::config::{ProcessingGuarantee, StreamsConfig};
use kstreams::dsl::StreamsBuilder;
use kstreams::runtime::KafkaStreams;
use kstreams::topic::Topic;

use crate::canary::Log;
use crate::{ELSEWHERE, EXPIRED, MUTUAL_TLS, SASL, Secured, Settings, TLS};

/// Longest time until a start is refused, on a machine that is busy with other work: without an answer it would take 30 s.
const AT_ONCE: Duration = Duration::from_secs(15);

struct NoTokens;

impl TokenProvider for NoTokens {
    fn token(&self) -> Result<Token, Box<dyn std::error::Error + Send + Sync>> {
        Err("the identity provider is closed".into())
    }
}

/// A way in that is wrong: its name, its client, and words of the error.
type Case = (&'static str, RdKafka, &'static [&'static str]);

pub(crate) fn run(secured: &Secured, _: &Log) -> usize {
    let cases: Vec<Case> = certificates(secured).into_iter().chain(credentials(secured)).collect();
    let count = cases.len();
    std::thread::scope(|threads| {
        for (name, client, expected) in cases {
            threads.spawn(move || refused(name, client, expected));
        }
    });
    let log = std::fs::read_to_string(secured.broker.folder.join("broker.log")).unwrap();
    let failed = log.lines().filter(|line| line.contains("ailed authentication with")).count();
    assert!(failed > 0, "the broker refused nobody");
    // Each case tries until other brokers have had their two seconds. Where the handshake of TLS fails, librdkafka pauses for 125 ms: half of
    // `reconnect.backoff.ms`; one that does not pause at all would connect thousands of times.
    assert!(failed < count * 40, "the broker was asked {failed} times in {count} cases");
    println!("security: {count} wrong ways in were tried {failed} times in all");
    count
}

fn refused(name: &str, client: RdKafka, expected: &[&str]) {
    let builder = StreamsBuilder::new();
    builder.stream(&Topic::<String, String>::new("words")).to(&Topic::<String, String>::new("out"));
    let folder = tempfile::tempdir().unwrap();
    let mut config = StreamsConfig::new(name, ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().to_owned();
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, Arc::new(client)).unwrap();
    let began = Instant::now();
    let error = streams.start().unwrap_err().to_string();
    let took = began.elapsed();
    println!("security: {name}, after {:.1} s: {error}", took.as_secs_f32());
    for words in expected {
        assert!(error.contains(words), "{name}: `{words}` is not in: {error}");
    }
    assert!(took < AT_ONCE, "{name}: took {took:?}");
}

fn with(mut settings: Settings, changes: &[(&str, &str)]) -> Settings {
    settings.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    settings
}

fn certificates(secured: &Secured) -> Vec<Case> {
    let tls = || secured.settings("tls");
    let file = |name: &str| secured.secret(name).to_str().unwrap().to_owned();
    let at = |listener, settings| RdKafka::new(secured.at(listener), settings);
    let unknown = with(tls(), &[("ssl.truststore.location", &file("unknown-ca.pem"))]);
    let stranger = with(secured.settings("mtls"), &[("ssl.keystore.location", &file("stranger.pem"))]);
    let unchecked =
        with(tls(), &[("ssl.endpoint.identification.algorithm", ""), ("security.protocol", "SASL_SSL")]);
    vec![
        ("expired-certificate", at(EXPIRED, tls()), &["the certificate of the broker", "has expired"]),
        (
            "unknown-ca",
            at(TLS, unknown),
            &["signed by a CA that is not trusted here", "ssl.truststore.location"],
        ),
        ("wrong-host-name", at(ELSEWHERE, tls()), &["is for another host name"]),
        // Whoever does not check names gets further: to the listener, which knows no SASL.
        (
            "unchecked-host-name",
            at(
                ELSEWHERE,
                with(
                    unchecked,
                    &[("sasl.mechanism", "PLAIN"), ("sasl.username", "alice"), ("sasl.password", "x")],
                ),
            ),
            &["SASL"],
        ),
        (
            "no-certificate",
            at(MUTUAL_TLS, tls()),
            &["refuses the certificate of this client, or wants one", "ssl.keystore.location"],
        ),
        ("certificate-of-a-stranger", at(MUTUAL_TLS, stranger), &["refuses the certificate of this client"]),
        (
            "java-key-store",
            at(TLS, with(tls(), &[("ssl.truststore.type", "JKS")])),
            &["ssl.truststore.location", "keytool"],
        ),
        ("tls-to-a-plain-port", at(0, tls()), &["127.0.0.1"]),
    ]
}

fn credentials(secured: &Secured) -> Vec<Case> {
    let jaas = |module: &str, user: &str| {
        format!(
            "org.apache.kafka.common.security.{module} required username=\"{user}\" password=\"canary-wrong\";"
        )
    };
    let sasl = |file: &str, module: &str, user: &str| {
        RdKafka::new(
            secured.at(SASL),
            with(secured.settings(file), &[("sasl.jaas.config", &jaas(module, user))]),
        )
    };
    let kerberos = with(secured.settings("plain"), &[("sasl.mechanism", "GSSAPI")]);
    let refused: &[&str] = &["refuses the credentials of User:alice"];
    vec![
        ("wrong-password-plain", sasl("plain", "plain.PlainLoginModule", "alice"), refused),
        ("wrong-password-scram-256", sasl("scram-256", "scram.ScramLoginModule", "alice"), refused),
        ("wrong-password-scram-512", sasl("scram-512", "scram.ScramLoginModule", "alice"), refused),
        (
            "unknown-user",
            sasl("scram-512", "scram.ScramLoginModule", "mallory"),
            &["refuses the credentials of User:mallory"],
        ),
        (
            "no-token",
            RdKafka::new(secured.at(SASL), secured.token_settings()).with_tokens(Arc::new(NoTokens)),
            &["there is no token", "the identity provider is closed"],
        ),
        ("kerberos", RdKafka::new(secured.at(SASL), kerberos), &["GSSAPI"]),
        (
            "no-secret",
            RdKafka::new(secured.at(SASL), secured.settings("plain"))
                .with_secret("sasl.password", || Err("the vault is sealed".into())),
            &["`sasl.password` cannot be had: the vault is sealed"],
        ),
    ]
}
