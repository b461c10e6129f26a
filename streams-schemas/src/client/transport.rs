//! One question to one of several addresses, again and again until the deadline.
//!
//! In: method, path, body. Out: whatever a registry answered, or that none did. What may pass is tried again: no connection, no
//! answer in time, status 408, 429 and 5xx. What will not is told at once: certificates, passwords.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backon::{BlockingRetryable, ExponentialBuilder};
use base64::Engine;
use serde_json::Value;
use ureq::http::{Request, Response, header};
use ureq::{Agent, Body};

use super::tls;
use crate::config::{Credentials, SchemaRegistryConfig};
use crate::error::SchemaError;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Least time of an attempt.
const MOMENT: Duration = Duration::from_millis(10);
/// Characters of a text that is no JSON in an error.
const WORDS_MAX: usize = 200;

/// A question.
pub(super) struct Ask {
    method: &'static str,
    path: String,
    body: Option<Value>,
    again_if_missing: bool,
}

impl Ask {
    pub(super) fn get(path: String) -> Self {
        Self { method: "GET", path, body: None, again_if_missing: false }
    }

    pub(super) fn post(path: String, body: Value) -> Self {
        Self { method: "POST", path, body: Some(body), again_if_missing: false }
    }

    pub(super) fn put(path: String, body: Value) -> Self {
        Self { method: "PUT", path, body: Some(body), again_if_missing: false }
    }

    /// What is not there may come in a moment.
    pub(super) fn again_if_missing(self) -> Self {
        Self { again_if_missing: true, ..self }
    }

    fn words(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What was answered.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) url: String,
    pub(super) request: String,
    pub(super) status: u16,
    /// The error code of a registry, if it is one that refuses.
    pub(super) code: Option<i64>,
    /// What a refusal says.
    pub(super) message: String,
    /// The answer, if it is JSON.
    pub(super) value: Option<Value>,
}

impl Reply {
    fn read(url: &str, request: String, mut response: Response<Body>) -> Result<Self, ureq::Error> {
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        let value: Option<Value> = serde_json::from_slice(&text).ok();
        let field = |name| value.as_ref().and_then(|value| value.get(name));
        let message = match field("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => String::from_utf8_lossy(&text).chars().take(WORDS_MAX).collect(),
        };
        let code = field("error_code").and_then(Value::as_i64);
        Ok(Self { url: url.to_owned(), request, status, code, message, value })
    }

    /// A refusal that means nothing special.
    pub(super) fn refusal(&self) -> SchemaError {
        let Self { url, request, status, message, .. } = self.clone();
        match status {
            401 | 403 => SchemaError::Denied { url, request, status, message },
            404 if self.code.is_none() => {
                SchemaError::NotARegistry { url, request, message: format!("status 404: {message}") }
            }
            _ => SchemaError::Refused { url, request, status, message },
        }
    }
}

/// Why there is no reply.
#[derive(Clone)]
enum Failure {
    /// It may pass: where, and what happened.
    Passing(String, String),
    /// It may pass, and if it does not this was the answer.
    Missing(Box<Reply>),
    /// It will not.
    Lasting(SchemaError),
}

/// The connections.
pub(super) struct Transport {
    agent: Agent,
    urls: Vec<String>,
    /// The address that answered last.
    current: AtomicUsize,
    authorization: Option<String>,
    deadline: Duration,
    retries: ExponentialBuilder,
}

impl Transport {
    pub(super) fn new(config: &SchemaRegistryConfig) -> Result<Self, SchemaError> {
        let agent = Agent::config_builder()
            .tls_config(tls::config(config)?)
            .timeout_connect(Some(config.connect_timeout))
            .http_status_as_error(false)
            .user_agent(concat!("kstreams/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let authorization = match &config.credentials {
            Credentials::None => None,
            Credentials::Basic { user, password } => {
                let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                Some(format!("Basic {both}"))
            }
            Credentials::Bearer(token) => Some(format!("Bearer {token}")),
        };
        let retries = ExponentialBuilder::default()
            .with_min_delay(config.retry_wait)
            .with_max_delay(config.retry_wait_max)
            // The deadline ends them.
            .without_max_times()
            .with_jitter();
        let (urls, deadline) = (config.urls.clone(), config.deadline);
        Ok(Self { agent, urls, current: AtomicUsize::new(0), authorization, deadline, retries })
    }

    /// The answer of a registry, be it a refusal.
    pub(super) fn ask(&self, ask: &Ask) -> Result<Reply, SchemaError> {
        let begun = Instant::now();
        let until = begun + self.deadline;
        let (mut last, mut missing) = (None, None);
        let attempt = || {
            let said = match last.take() {
                // What was said before says more than an attempt without time would.
                Some(failure) if left(until) < MOMENT => Err(failure),
                _ => self.round(ask, until),
            };
            last = said.as_ref().err().cloned();
            if let Err(Failure::Missing(reply)) = &said {
                missing = Some(reply.clone());
            }
            said
        };
        let answered = attempt
            .retry(self.retries)
            .sleep(move |wait: Duration| std::thread::sleep(wait.min(left(until))))
            .when(|failure| !matches!(failure, Failure::Lasting(_)) && !left(until).is_zero())
            .notify(|failure, _| {
                if let Failure::Passing(url, message) = failure {
                    tracing::warn!(%url, request = ask.words(), "the schema registry does not answer: {message}");
                }
            })
            .call();
        match (answered, missing) {
            (Ok(reply), _) => Ok(reply),
            (Err(Failure::Lasting(error)), _) => Err(error),
            // An answer says more than the silence of the last attempt.
            (Err(Failure::Missing(reply)), _) | (Err(Failure::Passing(..)), Some(reply)) => Ok(*reply),
            (Err(Failure::Passing(url, message)), None) => {
                let (request, waited) = (ask.words(), begun.elapsed());
                Err(SchemaError::Unavailable { url, request, waited, message })
            }
        }
    }

    /// Each address once, from that which answered last; the time that is left is shared out among them.
    fn round(&self, ask: &Ask, until: Instant) -> Result<Reply, Failure> {
        let first = self.current.load(Ordering::Relaxed);
        let mut last = Failure::Passing(self.urls.join(","), "there was no time to ask".to_owned());
        for turn in 0..self.urls.len() {
            let at = (first + turn) % self.urls.len();
            let Some(url) = self.urls.get(at) else { continue };
            let share = left(until) / u32::try_from(self.urls.len() - turn).unwrap_or(1);
            match self.attempt(ask, url, share.max(MOMENT)) {
                Ok(reply) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(failure @ Failure::Lasting(_)) => return Err(failure),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    fn attempt(&self, ask: &Ask, url: &str, time: Duration) -> Result<Reply, Failure> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("{url}{}", ask.path))
            .header(header::ACCEPT, format!("{MEDIA_TYPE}, application/json"))
            .header(header::CONTENT_TYPE, MEDIA_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let sent = match &ask.body {
            Some(body) => request.body(body.to_string()).map_err(ureq::Error::from).and_then(|request| {
                self.agent.run(self.agent.configure_request(request).timeout_global(Some(time)).build())
            }),
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| {
                self.agent.run(self.agent.configure_request(request).timeout_global(Some(time)).build())
            }),
        };
        let reply = sent.and_then(|response| Reply::read(url, ask.words(), response));
        let reply = reply.map_err(|error| failure(url, ask, error))?;
        match reply.status {
            408 | 429 | 500..=599 => {
                let message = format!("status {}: {}", reply.status, reply.message);
                Err(Failure::Passing(reply.url, message))
            }
            404 if ask.again_if_missing && reply.code.is_some() => Err(Failure::Missing(Box::new(reply))),
            _ => Ok(reply),
        }
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Whether what went wrong may pass.
fn failure(url: &str, ask: &Ask, error: ureq::Error) -> Failure {
    let url = url.to_owned();
    let tls = |message: String| Failure::Lasting(SchemaError::Tls { url: url.clone(), message });
    match error {
        ureq::Error::Rustls(error) => tls(error.to_string()),
        ureq::Error::Tls(message) => tls(message.to_owned()),
        ureq::Error::Pem(error) => tls(error.to_string()),
        // Refused certificates come as failures to read or write, too.
        ureq::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            tls(error.to_string())
        }
        ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::BodyExceedsLimit(_) => {
            let (request, message) = (ask.words(), error.to_string());
            Failure::Lasting(SchemaError::NotARegistry { url, request, message })
        }
        error => Failure::Passing(url, error.to_string()),
    }
}
