//! Which stores may be asked over HTTP, and how: a store is read here by its own types, and its rows become JSON.
//!
//! In: a question whose key and bounds are text. Out: rows, the position that they show, or a problem. Keys are read as text where the
//! type takes text, else as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use streams_core::query::{
    KeyQuery, MultiVersionedKeyQuery, Position, QueriedStore, Query, QueryFailure, QueryResult, RangeQuery,
    StateQueryRequest, StateQueryResult, TimestampedKeyQuery, TimestampedRangeQuery, ValueAndTimestamp,
    VersionedKeyQuery, VersionedRecord, WindowKeyQuery, WindowRangeQuery,
};
use streams_core::runtime::StreamsMonitor;
use streams_core::topic::Store;
use streams_core::types::{Window, Windowed};

use crate::problem::Problem;
use crate::question::{After, Question, What};

/// The stores that are shown over HTTP. None is, unless it is named here.
///
/// ```
/// # use streams_core::topic::Store;
/// use streams_http::StoreRoutes;
///
/// const COUNTS: Store<String, i64> = Store::new("counts");
/// const PER_MINUTE: Store<String, i64> = Store::new("per-minute");
///
/// let stores = StoreRoutes::new().key_value(&COUNTS).windows(&PER_MINUTE);
/// ```
#[derive(Clone, Default)]
pub struct StoreRoutes(BTreeMap<String, Shown>);

impl fmt::Debug for StoreRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[derive(Clone)]
struct Shown {
    paths: &'static [&'static str],
    answer: Answers,
}

type Answers = Arc<dyn Fn(&StreamsMonitor, &Question) -> Result<Value, Problem> + Send + Sync>;

/// What keys must be able to do.
pub trait HttpKey: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<K: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> HttpKey for K {}

/// What values must be able to do.
pub trait HttpValue: Serialize + Clone + Send + 'static {}

impl<V: Serialize + Clone + Send + 'static> HttpValue for V {}

impl StoreRoutes {
    /// No store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A key-value store: `keys/KEY` and `range`.
    #[must_use]
    pub fn key_value<K: HttpKey, V: HttpValue, KS: 'static, VS: 'static>(
        self,
        store: &Store<K, V, KS, VS>,
    ) -> Self {
        let name = store.name().to_owned();
        self.show(store, &["keys/{key}", "range"], move |monitor, question| match &question.what {
            What::Keys(key) => {
                let query = Rows::Key(question.key::<K>(key)?);
                one(question, &question.ask::<K, V, _>(monitor, &name, query)?, |row| row.first().cloned())
            }
            What::Range => range::<K, V>(monitor, &name, question),
            What::Windows(_) | What::Sessions(_) | What::Versions(_) => Err(question.other_kind("key-value")),
        })
    }

    /// A window store: `windows/KEY` and `windows`.
    #[must_use]
    pub fn windows<K: HttpKey, V: HttpValue, KS: 'static, VS: 'static>(
        self,
        store: &Store<K, V, KS, VS>,
    ) -> Self {
        let name = store.name().to_owned();
        self.show(store, &["windows/{key}", "windows"], move |monitor, question| match &question.what {
            What::Windows(Some(key)) => {
                let (from, to) = question.times()?;
                let query =
                    WindowKeyQuery::with_key_and_window_start_range(question.key::<K>(key)?, from, to);
                let query = query.with_limit(question.limit()? + 1);
                let row = |(window, row): &(Window, ValueAndTimestamp<V>)| window_row(None, *window, row);
                many(question, &question.ask::<K, V, _>(monitor, &name, query)?, row)
            }
            What::Windows(None) => {
                let (from, to) = question.times()?;
                let query =
                    WindowRangeQuery::with_window_start_range(from, to).with_limit(question.limit()? + 1);
                let query = if question.descending()? { query.descending() } else { query };
                many(question, &question.ask::<K, V, _>(monitor, &name, query)?, windowed_row)
            }
            What::Keys(_) | What::Range | What::Sessions(_) | What::Versions(_) => {
                Err(question.other_kind("window"))
            }
        })
    }

    /// A session store: `sessions/KEY`.
    #[must_use]
    pub fn sessions<K: HttpKey, V: HttpValue, KS: 'static, VS: 'static>(
        self,
        store: &Store<K, V, KS, VS>,
    ) -> Self {
        let name = store.name().to_owned();
        self.show(store, &["sessions/{key}"], move |monitor, question| match &question.what {
            What::Sessions(key) => {
                let query =
                    WindowRangeQuery::with_key(question.key::<K>(key)?).with_limit(question.limit()? + 1);
                let query = if question.descending()? { query.descending() } else { query };
                many(question, &question.ask::<K, V, _>(monitor, &name, query)?, windowed_row)
            }
            What::Keys(_) | What::Range | What::Windows(_) | What::Versions(_) => {
                Err(question.other_kind("session"))
            }
        })
    }

    /// A versioned store: `versions/KEY`, all or those of a stretch of time, or with `as_of` the one that was valid then.
    #[must_use]
    pub fn versioned<K: HttpKey, V: HttpValue, KS: 'static, VS: 'static>(
        self,
        store: &Store<K, V, KS, VS>,
    ) -> Self {
        let name = store.name().to_owned();
        self.show(store, &["versions/{key}"], move |monitor, question| match &question.what {
            What::Versions(key) => {
                let key = question.key::<K>(key)?;
                if let Some(time) = question.time("as_of")? {
                    let query = VersionedKeyQuery::with_key(key).as_of(time);
                    let found = question.ask::<K, V, _>(monitor, &name, query)?;
                    return one(question, &found, |row| row.as_ref().map(version_row));
                }
                let (from, to) = question.times()?;
                let query = MultiVersionedKeyQuery::with_key(key).from_time(from).to_time(to);
                let query = if question.descending()? { query } else { query.with_ascending_timestamps() };
                many(question, &question.ask::<K, V, _>(monitor, &name, query)?, version_row)
            }
            What::Keys(_) | What::Range | What::Windows(_) | What::Sessions(_) => {
                Err(question.other_kind("versioned"))
            }
        })
    }

    fn show<K, V, KS, VS>(
        mut self,
        store: &Store<K, V, KS, VS>,
        paths: &'static [&'static str],
        answer: impl Fn(&StreamsMonitor, &Question) -> Result<Value, Problem> + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(store.name().to_owned(), Shown { paths, answer: Arc::new(answer) });
        self
    }

    /// Store names and their paths.
    pub(crate) fn list(&self) -> Value {
        let paths = |name: &str, shown: &Shown| -> Vec<String> {
            shown.paths.iter().map(|path| format!("/stores/{name}/{path}")).collect()
        };
        let stores = self.0.iter().map(|(name, shown)| json!({"store": name, "paths": paths(name, shown)}));
        Value::Array(stores.collect())
    }

    /// Waits for the threads: not to be called where others wait.
    pub(crate) fn answer(&self, monitor: &StreamsMonitor, question: &Question) -> Result<Value, Problem> {
        let shown = self.0.get(&question.store).ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            Problem::not_found(format!("store `{}` is not shown here; these are: {names:?}", question.store))
        })?;
        (shown.answer)(monitor, question)
    }
}

/// A row of a key-value store as JSON, without its partition.
#[derive(Clone)]
enum Rows<K> {
    Key(K),
    Range(RangeQuery<K>),
}

/// With timestamps where the store has them: a plain one refuses the query that asks for them.
impl<K: HttpKey, V: HttpValue> Query<K, V> for Rows<K> {
    type Result = Vec<Value>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Vec<Value>, QueryFailure> {
        let timestamped = |row: (K, ValueAndTimestamp<V>)| json!({"key": row.0, "value": row.1.value, "timestamp": row.1.timestamp});
        let plain = |row: (K, V)| json!({"key": row.0, "value": row.1});
        match self {
            Self::Key(key) => match Query::<K, V>::ask(&TimestampedKeyQuery::with_key(key.clone()), store) {
                Ok(row) => Ok(row.map(|row| timestamped((key.clone(), row))).into_iter().collect()),
                Err(_) => {
                    let row: Option<V> = KeyQuery::<K>::with_key(key.clone()).ask(store)?;
                    Ok(row.map(|value| plain((key.clone(), value))).into_iter().collect())
                }
            },
            Self::Range(range) => match TimestampedRangeQuery::of(range.clone()).ask(store) {
                Ok(rows) => Ok(rows.into_iter().map(timestamped).collect()),
                Err(_) => Ok(range.ask(store)?.into_iter().map(plain).collect()),
            },
        }
    }
}

fn window_row<V: Serialize>(key: Option<Value>, window: Window, row: &ValueAndTimestamp<V>) -> Value {
    let mut json = json!({
        "start": window.start, "end": window.end, "value": row.value, "timestamp": row.timestamp,
    });
    if let (Some(key), Some(fields)) = (key, json.as_object_mut()) {
        fields.insert("key".to_owned(), key);
    }
    json
}

fn windowed_row<K: Serialize, V: Serialize>((of, row): &(Windowed<K>, ValueAndTimestamp<V>)) -> Value {
    window_row(Some(json!(of.key)), of.window, row)
}

fn version_row<V: Serialize>(row: &VersionedRecord<V>) -> Value {
    json!({"value": row.value, "valid_from": row.timestamp, "valid_to": row.valid_to})
}

/// Each partition's result; a global store has none, and is its only one.
fn parts<R>(result: &StateQueryResult<R>) -> impl Iterator<Item = (Option<i32>, &QueryResult<R>)> {
    let parts = result.partition_results.iter().map(|(partition, result)| (Some(*partition), result));
    result.global_result.iter().map(|result| (None, result)).chain(parts)
}

/// What there is of a key; none is not found.
fn one<R: Clone>(
    question: &Question,
    result: &StateQueryResult<R>,
    row: impl Fn(&R) -> Option<Value>,
) -> Result<Value, Problem> {
    let mut failure = None;
    for (partition, part) in parts(result) {
        match &part.result {
            Ok(found) => {
                if let Some(mut found) = row(found) {
                    place(&mut found, partition);
                    let position = part.position.to_string();
                    return Ok(json!({"store": question.store, "row": found, "position": position}));
                }
            }
            Err(failed) => failure = Some(failed.clone()),
        }
    }
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    if !result.elsewhere.is_empty() && result.global_result.is_none() {
        return Err(Problem::elsewhere(&result.elsewhere));
    }
    Err(Problem::not_found(format!(
        "store `{}` has no row of this key (position {})",
        question.store,
        result.position()
    )))
}

/// The rows of all partitions that are here.
fn many<T>(
    question: &Question,
    result: &StateQueryResult<Vec<T>>,
    row: impl Fn(&T) -> Value,
) -> Result<Value, Problem> {
    let mut rows = Vec::new();
    for (partition, part) in parts(result) {
        for found in part.result.as_ref().map_err(|failure| failure.clone())? {
            let mut found = row(found);
            place(&mut found, partition);
            rows.push(found);
        }
    }
    let more = rows.len() > question.limit()?;
    rows.truncate(question.limit()?);
    Ok(answer(question, rows, &result.position(), &result.elsewhere, json!({"more": more})))
}

fn answer(
    question: &Question,
    rows: Vec<Value>,
    position: &Position,
    elsewhere: &[i32],
    rest: Value,
) -> Value {
    let mut json = json!({
        "store": question.store, "rows": rows, "position": position.to_string(), "elsewhere": elsewhere,
    });
    if let (Some(fields), Value::Object(rest)) = (json.as_object_mut(), rest) {
        fields.extend(rest);
    }
    json
}

fn place(row: &mut Value, partition: Option<i32>) {
    if let (Some(fields), Some(partition)) = (row.as_object_mut(), partition) {
        fields.insert("partition".to_owned(), partition.into());
    }
}

/// A page of a range: partition by partition, from behind the last row of the page before.
fn range<K: HttpKey, V: HttpValue>(
    monitor: &StreamsMonitor,
    name: &str,
    question: &Question,
) -> Result<Value, Problem> {
    let (limit, descending, after) = (question.limit()?, question.descending()?, question.after()?);
    let bound = |name: &str| question.param(name).map(|text| question.key::<K>(text)).transpose();
    let (from, to) = (bound("from")?, bound("to")?);
    // One row more says whether there is a next page; behind the last row of the page before, that row comes again.
    let query = |low: Option<K>, high: Option<K>, rows: usize| {
        let query = RangeQuery::between(low, high).with_limit(rows);
        Rows::Range(if descending { query.with_descending_keys() } else { query })
    };
    let mut rows = Vec::new();
    let mut add = |result: &StateQueryResult<Vec<Value>>, from: i32, skip: Option<&Value>| {
        for (partition, part) in parts(result).filter(|(of, _)| of.is_none_or(|of| of >= from)) {
            for row in part.result.as_ref().map_err(|failure| failure.clone())? {
                if skip.is_none_or(|skip| row.get("key") != Some(skip)) {
                    let mut row = row.clone();
                    place(&mut row, partition);
                    rows.push(row);
                }
            }
        }
        Ok::<(), Problem>(())
    };
    let mut position = Position::empty();
    let mut next_partition = i32::MIN;
    if let Some(After { partition, key }) = &after {
        let last: K = serde_json::from_value(key.clone()).map_err(|error| Problem::bad_after(&error))?;
        let page = match descending {
            true => query(from.clone(), Some(last), limit + 2),
            false => query(Some(last), to.clone(), limit + 2),
        };
        let request =
            question.request(StateQueryRequest::in_store(&Store::<K, V>::named(name)).with_query(page))?;
        let request = if *partition >= 0 { request.with_partitions([*partition]) } else { request };
        let result = monitor.query(&request)?;
        add(&result, i32::MIN, Some(key))?;
        position = result.position();
        next_partition = partition.saturating_add(1);
    }
    let whole = after.as_ref().is_none_or(|after| after.partition >= 0);
    let mut elsewhere = Vec::new();
    if whole {
        let result = question.ask::<K, V, _>(monitor, name, query(from, to, limit + 1))?;
        add(&result, next_partition, None)?;
        position.merge(&result.position());
        elsewhere = result.elsewhere;
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(After::of);
    Ok(answer(question, rows, &position, &elsewhere, json!({"next": next})))
}
