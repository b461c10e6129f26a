//! A versioned store and its model, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use streams_state::serdes::Auto;
use streams_state::store::{StateStore, VersionedOptions, VersionedPut, VersionedStore};
use streams_state::types::Timestamp;

use crate::Op;
use crate::engines::Opener;

/// Null is a value of this type: writing it deletes.
type Value = Option<String>;
/// Key, value, time.
type Logged = (String, Value, Timestamp);
/// Value, valid from, valid to.
type Version = (Value, Timestamp, Option<Timestamp>);

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub history: i64,
    pub interval: i64,
    pub tier_max_bytes: u64,
}

/// What the store must hold: by key and time, values and (`None`) deletions. Nothing is ever expired here; reads
/// hide what has.
#[derive(Clone)]
struct Model {
    options: Options,
    rows: BTreeMap<String, BTreeMap<Timestamp, Value>>,
    /// Times at which an older version of the key starts or ends.
    known: BTreeSet<(String, Timestamp)>,
    stream_time: Timestamp,
}

impl Model {
    fn oldest(&self) -> Timestamp {
        self.stream_time - self.options.history
    }

    fn put(&mut self, key: &str, value: Value, time: Timestamp) -> VersionedPut {
        if time < self.oldest() {
            return VersionedPut::Refused;
        }
        self.stream_time = self.stream_time.max(time);
        let versions = self.rows.entry(key.to_owned()).or_default();
        let next = versions.range((Bound::Excluded(time), Bound::Unbounded)).next().map(|(time, _)| *time);
        let replaces_latest = next.is_none() && versions.get(&time).is_some_and(Option::is_some);
        let ends_latest =
            versions.last_key_value().is_some_and(|(last, value)| *last < time && value.is_some());
        if next.is_some() || ends_latest || value.is_none() && !replaces_latest {
            self.known.insert((key.to_owned(), time));
            self.known.extend(next.map(|next| (key.to_owned(), next)));
        }
        if value.is_none() && !self.known.contains(&(key.to_owned(), time)) {
            // As in Kafka Streams: a deletion at the time of the only version leaves no trace.
            versions.remove(&time);
        } else {
            versions.insert(time, value);
        }
        next.map_or(VersionedPut::Latest, |valid_to| VersionedPut::Older { valid_to })
    }

    /// All versions with a value that have not expired.
    fn versions(&self, key: &str) -> Vec<Version> {
        let Some(versions) = self.rows.get(key) else { return Vec::new() };
        let ends = versions.keys().skip(1).map(|end| Some(*end)).chain([None]);
        let oldest = self.oldest() / self.options.interval;
        let all = versions.iter().zip(ends).map(|((from, value), to)| (value.clone(), *from, to));
        all.filter(|(value, _, to)| {
            value.is_some() && to.is_none_or(|to| to / self.options.interval >= oldest)
        })
        .collect()
    }

    fn as_of(&self, key: &str, time: Timestamp) -> Option<(Value, Timestamp)> {
        let expired = time < self.oldest();
        let valid = |(_, from, to): &Version| *from <= time && to.is_none_or(|to| time < to && !expired);
        self.versions(key).into_iter().find(valid).map(|(value, from, _)| (value, from))
    }

    fn between(&self, key: &str, low: Timestamp, high: Timestamp) -> Vec<Version> {
        let expired = high < self.oldest();
        let mut versions = self.versions(key);
        versions.retain(|(_, from, to)| *from <= high && to.is_none_or(|to| to > low && !expired));
        versions
    }
}

pub(crate) struct Run {
    opener: Opener,
    store: Option<VersionedStore<String, Value>>,
    model: Model,
    empty: Model,
    /// Put and not committed.
    pending: Vec<Logged>,
    /// Committed: the changelog topic.
    changelog: Vec<Logged>,
}

fn key(number: u8) -> String {
    let tail = if number.is_multiple_of(5) { "-with-a-tail-that-is-longer-than-a-slot" } else { "" };
    format!("k{}{tail}", number % 7)
}

fn value(number: u8) -> Value {
    (!number.is_multiple_of(5)).then(|| "v".repeat(usize::from(number % 50)))
}

impl Run {
    pub(crate) fn new(options: Options, opener: Opener) -> Self {
        let empty = Model { options, rows: BTreeMap::new(), known: BTreeSet::new(), stream_time: -1 };
        let model = empty.clone();
        let mut run = Self { opener, store: None, model, empty, pending: Vec::new(), changelog: Vec::new() };
        run.open();
        run
    }

    fn store(&mut self) -> &mut VersionedStore<String, Value> {
        self.store.as_mut().unwrap()
    }

    fn open(&mut self) {
        self.store = None;
        let Options { history, interval, tier_max_bytes } = self.empty.options;
        let options = VersionedOptions {
            name: "s".into(),
            history_retention: history,
            segment_interval: interval,
            logging: true,
            tier_max_bytes,
        };
        let store = VersionedStore::new(options, (self.opener)(), Arc::new(Auto), Arc::new(Auto)).unwrap();
        self.store = Some(store);
    }

    /// Replays what is committed, from the offset that the store has; so does the model, from the start.
    fn restore(&mut self) {
        self.pending.clear();
        self.model = self.empty.clone();
        for (key, value, time) in &self.changelog {
            let _ = self.model.put(key, value.clone(), *time);
        }
        let from = self.store().offset().unwrap_or(0) as usize;
        for (key, value, time) in self.changelog.split_at(from).1.to_vec() {
            self.store().restore(key.as_bytes(), value.as_deref().map(str::as_bytes), time).unwrap();
        }
        let end = self.changelog.len() as i64;
        self.store().committed(Some(end));
    }

    fn commit(&mut self) {
        let mut drained: Vec<Logged> = Vec::new();
        self.store()
            .drain_changelog(&mut |entry| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                drained.push((text(entry.key), entry.value.map(text), entry.timestamp));
                Ok(())
            })
            .unwrap();
        assert_eq!(drained, self.pending, "the changelog has every put, the refused ones too");
        self.changelog.append(&mut self.pending);
        let end = self.changelog.len() as i64;
        self.store().committed(Some(end));
    }

    fn put(&mut self, key: String, value: Value, time: Timestamp) {
        let put = self.store().put(&key, Some(value.clone()), time).unwrap();
        assert_eq!(put, self.model.put(&key, value.clone(), time), "put of {key} at {time}");
        self.pending.push((key, value, time));
    }

    fn latest(&self, key: &str) -> Option<(Value, Timestamp)> {
        let latest = self.model.versions(key).pop().filter(|(_, _, to)| to.is_none());
        latest.map(|(value, from, _)| (value, from))
    }

    fn all(&mut self) {
        let mut found = BTreeMap::<String, Vec<Version>>::new();
        self.store()
            .for_each_version(&mut |key, value, from, to| {
                found.entry(key.clone()).or_default().push((value.clone(), from, to));
            })
            .unwrap();
        let expected: BTreeMap<String, Vec<Version>> =
            self.model.rows.keys().map(|key| (key.clone(), self.model.versions(key))).collect();
        let expected: BTreeMap<_, _> =
            expected.into_iter().filter(|(_, versions)| !versions.is_empty()).collect();
        assert_eq!(found, expected);
    }

    pub(crate) fn step(&mut self, op: &Op) {
        match op {
            Op::Put(number, text, time) => self.put(key(*number), value(*text), Timestamp::from(*time)),
            Op::PutAgain(number, text) => {
                if let Some((_, time)) = self.latest(&key(*number)) {
                    self.put(key(*number), value(*text), time);
                }
            }
            Op::Delete(number, time) => {
                let (key, time) = (key(*number), Timestamp::from(*time));
                let expected = self.model.as_of(&key, time).filter(|_| time >= self.model.oldest());
                assert_eq!(self.store().delete(&key, time).unwrap(), expected);
                let _ = self.model.put(&key, None, time);
                self.pending.push((key, None, time));
            }
            Op::Get(number) => {
                let expected = self.latest(&key(*number));
                let found =
                    self.store().get(&key(*number)).unwrap().map(|(value, time)| (value.clone(), time));
                assert_eq!(found, expected);
            }
            Op::AsOf(number, time) => {
                let (key, time) = (key(*number), Timestamp::from(*time));
                let expected = self.model.as_of(&key, time);
                let found = self.store().get_as_of(&key, time).unwrap();
                assert_eq!(found.map(|(value, time)| (value.clone(), time)), expected);
            }
            Op::Versions(number, low, high) => {
                let (key, low, high) = (key(*number), Timestamp::from(*low), Timestamp::from(*high));
                let mut found: Vec<Version> = Vec::new();
                let visit = &mut |value: &Value, from, to| found.push((value.clone(), from, to));
                self.store().versions(&key, low, high, visit).unwrap();
                assert_eq!(found, self.model.between(&key, low, high));
            }
            Op::All => self.all(),
            Op::Commit => self.commit(),
            Op::Flush => {
                self.commit();
                self.store().flush().unwrap();
                assert_eq!(self.store().unflushed().records, 0);
            }
            Op::Crash => {
                self.open();
                self.restore();
            }
            Op::Wipe => {
                self.store().wipe().unwrap();
                self.restore();
            }
        }
    }
}
