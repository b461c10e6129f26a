//! Security on a real broker with TLS, SASL and an authorizer (`scripts/kafka up --secure`): each way in works, each wrong way is refused
//! at once with its reason, an application runs with the ACLs that `kstreams acls` prints and not with one less, and no secret shows up
//! in what anything prints at TRACE.
//!
//! Says SKIPPED if there can be no broker, and fails then if `CI=true`. Arguments: names of parts to run (`ways refusals acls canary`).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test without libtest's harness")]

mod acls;
mod application;
#[path = "../broker/mod.rs"]
#[allow(dead_code, reason = "what other programs ask of a broker")]
mod broker;
mod canary;
mod refusals;
#[path = "../conformance/support.rs"]
#[allow(dead_code, reason = "what the cases of the conformance suite are made of")]
mod support;
mod ways;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use broker::{Broker, free_ports};
use kstreams::client::rdkafka::{RdKafka, Token, TokenProvider};
use kstreams::config::read_properties_file;

/// Listeners of the broker, by the place of their ports.
const TLS: u16 = 2;
const MUTUAL_TLS: u16 = 3;
const SASL: u16 = 4;
const EXPIRED: u16 = 5;
const ELSEWHERE: u16 = 6;

type Settings = BTreeMap<String, String>;

/// The broker, and what clients need to come in.
struct Secured {
    broker: Broker,
    port: u16,
}

impl Secured {
    fn start() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("kstreams-secured-{}", std::process::id()));
        let port = free_ports(7).ok_or("no free port")?;
        let broker = Broker::up(&["--port", &port.to_string(), "--secure"], folder)?;
        Ok(Self { broker, port })
    }

    fn at(&self, listener: u16) -> String {
        format!("127.0.0.1:{}", self.port + listener)
    }

    fn secret(&self, file: &str) -> PathBuf {
        self.broker.folder.join("secrets").join(file)
    }

    /// Settings of a client, as `scripts/kafka` wrote them.
    fn settings(&self, file: &str) -> Settings {
        read_properties_file(self.secret(&format!("{file}.properties"))).unwrap()
    }

    /// The password of alice.
    fn password(&self) -> String {
        std::fs::read_to_string(self.secret("alice.password")).unwrap()
    }

    /// Who may do everything.
    fn superuser(&self) -> RdKafka {
        RdKafka::new(self.broker.address.as_str(), Settings::new())
    }

    /// Settings of who comes with a token.
    fn token_settings(&self) -> Settings {
        let mut settings = self.settings("tls");
        settings.insert("security.protocol".to_owned(), "SASL_SSL".to_owned());
        settings.insert("sasl.mechanism".to_owned(), "OAUTHBEARER".to_owned());
        settings
    }

    /// Who comes with tokens for `principal`.
    fn with_tokens(&self, principal: &str) -> RdKafka {
        RdKafka::new(self.at(SASL), self.token_settings())
            .with_tokens(Arc::new(Unsecured::new(principal, Duration::from_secs(300))))
    }
}

/// Makes tokens as the broker of `scripts/kafka` takes them: without a signature.
struct Unsecured {
    principal: String,
    lifetime: Duration,
    /// Tokens given so far.
    given: std::sync::atomic::AtomicU32,
}

impl Unsecured {
    fn new(principal: &str, lifetime: Duration) -> Self {
        Self { principal: principal.to_owned(), lifetime, given: 0.into() }
    }
}

impl TokenProvider for Unsecured {
    fn token(&self) -> Result<Token, Box<dyn std::error::Error + Send + Sync>> {
        self.given.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let now = SystemTime::now();
        let expires = now + self.lifetime;
        let at =
            |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map(|time| time.as_secs_f64());
        let claims = serde_json::json!({ "sub": self.principal, "iat": at(now)?, "exp": at(expires)? });
        let value = format!("{}.{}.", base64url(r#"{"alg":"none"}"#), base64url(&claims.to_string()));
        Ok(Token { value, expires, principal: self.principal.clone(), extensions: Vec::new() })
    }
}

fn base64url(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |bits: u32| char::from(LETTERS[bits as usize & 63]);
    let quads = text.as_bytes().chunks(3).flat_map(|bytes| {
        let bits = bytes.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - bytes.len()));
        (0..=bytes.len()).map(move |place| letter(bits >> (18 - 6 * place)))
    });
    quads.collect()
}

/// A part of the suite: how many cases it tried.
type Part = fn(&Secured, &canary::Log) -> usize;

fn main() -> ExitCode {
    let log = canary::Log::begin();
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let secured = match Secured::start() {
        Ok(secured) => secured,
        Err(reason) => {
            println!("SKIPPED security: {reason}");
            return ExitCode::from(u8::from(std::env::var("CI").is_ok_and(|value| value == "true")));
        }
    };
    let parts: [(&str, Part); 4] =
        [("ways", ways::run), ("refusals", refusals::run), ("acls", acls::run), ("canary", canary::run)];
    for (name, part) in parts {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            let began = std::time::Instant::now();
            let cases = part(&secured, &log);
            println!("security: {name}: {cases} cases passed in {:.1} s", began.elapsed().as_secs_f32());
        }
    }
    ExitCode::SUCCESS
}
