//! Each way in, with the settings that Java's clients have: an application comes to its end, exactly once, twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kstreams::client::rdkafka::RdKafka;
use kstreams::client::{ClientSupplier, Fault};

use crate::acls::{everything, grant};
use crate::application::Application;
use crate::canary::Log;
use crate::support::{WAIT, eventually};
use crate::{MUTUAL_TLS, SASL, Secured, TLS, Unsecured};

pub(crate) fn run(secured: &Secured, _: &Log) -> usize {
    let principals = ["User:alice", "User:CN=bob", "User:carol"];
    grant(secured, &principals.iter().flat_map(|principal| everything(principal)).collect::<Vec<_>>());
    let sasl = |file: &str| RdKafka::new(secured.at(SASL), secured.settings(file));
    let password = secured.password();
    let mut without_password = secured.settings("scram-512");
    without_password.remove("sasl.jaas.config");
    without_password.insert("sasl.username".to_owned(), "alice".to_owned());
    let ways = [
        ("tls", RdKafka::new(secured.at(TLS), secured.settings("tls"))),
        ("mutual-tls", RdKafka::new(secured.at(MUTUAL_TLS), secured.settings("mtls"))),
        ("plain", sasl("plain")),
        ("scram-sha-256", sasl("scram-256")),
        ("scram-sha-512", sasl("scram-512")),
        (
            "secret-of-a-callback",
            RdKafka::new(secured.at(SASL), without_password)
                .with_secret("sasl.password", move || Ok(password.clone())),
        ),
        ("oauthbearer", secured.with_tokens("carol")),
    ];
    let count = ways.len() + 2;
    std::thread::scope(|threads| {
        for (name, client) in ways {
            threads.spawn(move || {
                let application = Application::new(name, secured.superuser());
                let ended = application.run(&client, 0, &|| None);
                assert_eq!(ended, Ok(()), "{name}");
            });
        }
        for lifetime in [4000, 1050] {
            threads.spawn(move || tokens_are_replaced(secured, Duration::from_millis(lifetime)));
        }
    });
    count
}

/// Tokens are replaced before they expire, while the client goes on. One with about a second left cannot be replaced on its connection
/// (the broker lets a connection authenticate once a second), so that is made anew, and the client may not say that it was refused.
fn tokens_are_replaced(secured: &Secured, lifetime: Duration) {
    let provider = Arc::new(Unsecured::new("carol", lifetime));
    let kafka = RdKafka::new(secured.at(SASL), secured.token_settings()).with_tokens(provider.clone());
    let mut admin = kafka.admin().unwrap();
    let mut answers = 0;
    eventually("five tokens and as many answers", || {
        // One call after the other: only one that is under way hears of it.
        for _ in 0..200 {
            match admin.list_topics(WAIT) {
                Ok(_) => answers += 1,
                Err(error) => assert_eq!(error.fault, Fault::Retriable, "{lifetime:?}: {error}"),
            }
        }
        (answers >= 5 && provider.given.load(Ordering::SeqCst) >= 5).then_some(())
    });
}
