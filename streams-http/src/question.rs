//! A question about a store, out of the path and the query string of a request. What cannot be read is named.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::Uri;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use streams_core::query::{Position, PositionBound, Query, StateQueryRequest, StateQueryResult};
use streams_core::runtime::StreamsMonitor;
use streams_core::topic::Store;
use streams_core::types::Timestamp;

use crate::problem::Problem;

/// Rows of an answer, unless `limit` says otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// Longest time that a request may ask the threads for.
const TIMEOUT_MAX_MS: u64 = 60_000;

/// The names that may stand in the query string.
const PARAMS: [&str; 10] =
    ["partition", "stale", "at_least", "timeout_ms", "limit", "order", "after", "from", "to", "as_of"];

/// What is asked.
pub(crate) enum What {
    /// The row of a key.
    Keys(String),
    /// The rows of a range of keys.
    Range,
    /// The windows of a key, or of all.
    Windows(Option<String>),
    /// The sessions of a key.
    Sessions(String),
    /// The versions of a key.
    Versions(String),
}

/// A question about a store.
pub(crate) struct Question {
    pub(crate) store: String,
    pub(crate) what: What,
    params: BTreeMap<String, String>,
}

/// The last row of a page: its partition, -1 for a global store, and its key.
pub(crate) struct After {
    pub(crate) partition: i32,
    pub(crate) key: Value,
}

impl After {
    /// Of this row: what `after` of the next page is.
    pub(crate) fn of(row: &Value) -> String {
        let partition = row.get("partition").and_then(Value::as_i64).unwrap_or(-1);
        json!([partition, row.get("key")]).to_string()
    }
}

impl Question {
    /// What stands behind `/stores/`.
    pub(crate) fn new(store: String, what: &str, key: Option<String>, uri: &Uri) -> Result<Self, Problem> {
        let what = match (what, key) {
            ("keys", Some(key)) => What::Keys(key),
            ("range", None) => What::Range,
            ("windows", key) => What::Windows(key),
            ("sessions", Some(key)) => What::Sessions(key),
            ("versions", Some(key)) => What::Versions(key),
            (other, _) => {
                let message = format!(
                    "a store has no `{other}` of this form; it has keys/KEY and range, windows/KEY and windows, \
                     sessions/KEY, or versions/KEY"
                );
                return Err(Problem::not_found(message));
            }
        };
        let given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let params: BTreeMap<String, String> =
            given.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        if let Some(unknown) = params.keys().find(|name| !PARAMS.contains(&name.as_str())) {
            return Err(Problem::bad(format!(
                "there is no parameter `{unknown}`; there are {}",
                PARAMS.join(", ")
            )));
        }
        Ok(Self { store, what, params })
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let read = |text: &str| {
            text.parse()
                .map_err(|_| Problem::bad(format!("`{name}` is `{text}`, which is no number that it can be")))
        };
        self.param(name).map(read).transpose()
    }

    /// A point in time, ms since the epoch.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.number(name)
    }

    /// `from` and `to`; all of time unless they are given.
    pub(crate) fn times(&self) -> Result<(Timestamp, Timestamp), Problem> {
        Ok((self.time("from")?.unwrap_or(0), self.time("to")?.unwrap_or(Timestamp::MAX)))
    }

    /// How many rows are wanted.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.number("limit")?.unwrap_or(LIMIT) {
            limit @ 1..=LIMIT_MAX => Ok(limit),
            limit => Err(Problem::bad(format!("`limit` is {limit}; it can be 1 to {LIMIT_MAX}"))),
        }
    }

    /// Whether `order` is `desc`.
    pub(crate) fn descending(&self) -> Result<bool, Problem> {
        match self.param("order") {
            None | Some("asc") => Ok(false),
            Some("desc") => Ok(true),
            Some(other) => Err(Problem::bad(format!("`order` is `{other}`; it can be asc or desc"))),
        }
    }

    /// Where the page before ended.
    pub(crate) fn after(&self) -> Result<Option<After>, Problem> {
        let read = |text: &str| {
            let (partition, key) = serde_json::from_str(text).map_err(|error| Problem::bad_after(&error))?;
            Ok(After { partition, key })
        };
        self.param("after").map(read).transpose()
    }

    /// A key: as text if its type takes text, else as JSON.
    pub(crate) fn key<K: DeserializeOwned>(&self, text: &str) -> Result<K, Problem> {
        let refused = |error| {
            Problem::bad(format!(
                "`{text}` is no key of store `{}`, neither as text nor as JSON: {error}",
                self.store
            ))
        };
        serde_json::from_value(Value::String(text.to_owned()))
            .or_else(|_| serde_json::from_str(text))
            .map_err(refused)
    }

    /// The request with what is said of partitions, staleness and time.
    pub(crate) fn request<R>(&self, request: StateQueryRequest<R>) -> Result<StateQueryRequest<R>, Problem> {
        let mut request = match self.number("partition")? {
            Some(partition) => request.with_partitions([partition]),
            None => request,
        };
        request = match self.param("stale") {
            None | Some("false") => request,
            Some("true") => request.enable_stale_stores(),
            Some(other) => {
                return Err(Problem::bad(format!("`stale` is `{other}`; it can be true or false")));
            }
        };
        if let Some(text) = self.param("at_least") {
            let position: Position =
                text.parse().map_err(|error| Problem::bad(format!("`at_least`: {error}")))?;
            request = request.with_position_bound(PositionBound::at(position));
        }
        match self.number::<u64>("timeout_ms")? {
            None => Ok(request),
            Some(ms) if ms <= TIMEOUT_MAX_MS => Ok(request.with_timeout(Duration::from_millis(ms))),
            Some(ms) => {
                Err(Problem::bad(format!("`timeout_ms` is {ms}; it can be at most {TIMEOUT_MAX_MS}")))
            }
        }
    }

    /// Asks the store.
    pub(crate) fn ask<K: 'static, V: 'static, Q: Query<K, V>>(
        &self,
        monitor: &StreamsMonitor,
        name: &str,
        query: Q,
    ) -> Result<StateQueryResult<Q::Result>, Problem> {
        let store = Store::<K, V>::named(name);
        let request = self.request(StateQueryRequest::in_store(&store).with_query(query))?;
        Ok(monitor.query(&request)?)
    }

    /// The store is not of the kind that it is asked for.
    pub(crate) fn other_kind(&self, kind: &str) -> Problem {
        Problem::not_found(format!(
            "store `{}` is a {kind} store; see /stores for what it can be asked",
            self.store
        ))
    }
}
