//! Stores whose rows carry the headers of the record that set them (KIP-1271): what their serdes and changelogs do
//! differently.
//!
//! In come rows of [`ValueAndHeaders`]. In the changelog the headers are the record's (a tombstone has those of the
//! record in work) and the value stands alone, so that a store can be rebuilt in another form. In the engine they stand
//! in front of the value:
//!
//! ```text
//! | timestamp i64 | length varint | headers blob ... | value ... |
//! ```
//!
//! A store without headers has `None` in the place of all this: its rows are as small as before.

use std::sync::Arc;

use super::changelog_buffer::ChangelogBuffer;
use super::key_value::{KeyValueOptions, KeyValueStore};
use super::session::{SessionOptions, SessionStore};
use super::window::{WindowOptions, WindowStore};
use crate::engine::Engine;
use crate::error::StateError;
use crate::format::aggregation_with_headers::AggregationWithHeaders;
use crate::serdes::{HeadersAside, Serde, SerdeError, SerdeRef};
use crate::types::{Headers, ValueAndHeaders};

/// Which headers the changelog records of a store carry.
pub(super) enum LoggedHeaders<V> {
    /// None.
    None,
    /// Those of the record in work.
    Update,
    /// Those of the record in work, for deletions: a store of the form for rows with headers, whose rows have none.
    Deletion,
    /// Those of the row, and those of the record in work for a deletion.
    Row(HeaderAware<V>),
}

/// How a store that is aware of headers logs and restores.
pub(super) struct HeaderAware<V> {
    /// Writes and reads the value alone.
    logged: SerdeRef<V>,
    headers: fn(&V) -> &Headers,
    set_headers: fn(&mut V, Headers),
}

impl<V: 'static> LoggedHeaders<V> {
    /// The serde of changelog values; `rows` is that of the engine.
    #[inline]
    pub(super) fn serde<'a>(&'a self, rows: &'a SerdeRef<V>) -> &'a dyn Serde<V> {
        match self {
            Self::None | Self::Update | Self::Deletion => &**rows,
            Self::Row(aware) => &*aware.logged,
        }
    }

    /// Gives the changelog record that was pushed last its headers. `row` is `None` for a deletion.
    #[inline]
    pub(super) fn add(&self, log: &mut ChangelogBuffer, row: Option<&V>, update: &Headers) {
        match (self, row) {
            (Self::None, _) | (Self::Deletion, Some(_)) => {}
            (Self::Update, _) | (Self::Deletion | Self::Row(_), None) => log.last_headers(update),
            (Self::Row(aware), Some(row)) => log.last_headers((aware.headers)(row)),
        }
    }

    /// The headers that a session's update has when the cache forwards it: as in Kafka Streams those of the new row
    /// where rows can have headers, else those of the update.
    pub(super) fn of_session<'a>(&'a self, new: Option<&'a V>, update: &'a Headers) -> &'a Headers {
        match (self, new) {
            (Self::None | Self::Update, _) => update,
            (Self::Row(aware), Some(new)) => (aware.headers)(new),
            (Self::Deletion, _) | (Self::Row(_), None) => &Headers::EMPTY,
        }
    }

    /// Whether the rows of the engine have headers.
    pub(super) fn in_rows(&self) -> bool {
        matches!(self, Self::Row(_))
    }

    /// The row of a changelog record.
    pub(super) fn read(&self, rows: &SerdeRef<V>, value: &[u8], headers: &Headers) -> Result<V, SerdeError> {
        let mut row = self.serde(rows).deserialize(Some(value))?;
        if let Self::Row(aware) = self {
            (aware.set_headers)(&mut row, headers.clone());
        }
        Ok(row)
    }
}

impl<K: 'static, V: Clone + 'static> SessionStore<K, V> {
    /// Changelog records of deletions carry the headers of the record in work, and what a cache forwards has none: what
    /// Kafka Streams' tables do with `dsl.store.format=HEADERS`, whose sessions have no headers themselves.
    pub fn logging_headers_of_deletions(self) -> Self {
        self.logging_headers(LoggedHeaders::Deletion)
    }
}

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// Changelog records of deletions carry the headers of the record in work: what Kafka Streams' tables do with
    /// `dsl.store.format=HEADERS`, whose rows have no headers themselves.
    pub fn logging_headers_of_deletions(self) -> Self {
        self.logging_headers(LoggedHeaders::Deletion)
    }
}

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, V> {
    /// Changelog records carry the headers of the updates, though rows do not keep them.
    pub fn logging_headers_of_updates(self) -> Self {
        self.logging_headers(LoggedHeaders::Update)
    }

    /// Changelog records of deletions carry the headers of the record in work: what Kafka Streams' tables do with
    /// `dsl.store.format=HEADERS`, whose rows have no headers themselves.
    pub fn logging_headers_of_deletions(self) -> Self {
        self.logging_headers(LoggedHeaders::Deletion)
    }
}

/// What a store of rows with headers is made with: serde of the rows, and how they are logged.
fn aware<V: 'static>(
    values: SerdeRef<V>,
) -> (SerdeRef<ValueAndHeaders<V>>, LoggedHeaders<ValueAndHeaders<V>>) {
    let aware = HeaderAware {
        logged: Arc::new(HeadersAside(values.clone())),
        headers: |row: &ValueAndHeaders<V>| &row.headers,
        set_headers: |row: &mut ValueAndHeaders<V>, headers| row.headers = headers,
    };
    (Arc::new(Row(values)), LoggedHeaders::Row(aware))
}

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, ValueAndHeaders<V>> {
    /// Opens a store over `engine` whose rows carry headers; `values` writes the value alone.
    pub fn header_aware(
        options: KeyValueOptions,
        engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let (rows, logged) = aware(values);
        Ok(Self::new(options, engine, keys, rows)?.logging_headers(logged))
    }
}

impl<K: 'static, V: Clone + 'static> WindowStore<K, ValueAndHeaders<V>> {
    /// Opens a store over `engine` whose rows carry headers; `values` writes the value alone.
    pub fn header_aware(
        options: WindowOptions,
        engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let (rows, logged) = aware(values);
        Ok(Self::new(options, engine, keys, rows)?.logging_headers(logged))
    }
}

impl<K: 'static, V: Clone + 'static> SessionStore<K, ValueAndHeaders<V>> {
    /// Opens a store over `engine` whose sessions carry headers; `values` writes the aggregate alone.
    pub fn header_aware(
        options: SessionOptions,
        engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let (rows, logged) = aware(values);
        Ok(Self::new(options, engine, keys, rows)?.logging_headers(logged))
    }
}

/// The value as the engine has it: behind its headers.
struct Row<V>(SerdeRef<V>);

impl<V: 'static> Serde<ValueAndHeaders<V>> for Row<V> {
    fn serialize(&self, value: &ValueAndHeaders<V>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        let start = out.len();
        AggregationWithHeaders { headers: value.headers.clone(), aggregate: b"" }.encode(out);
        let present = self.0.serialize(&value.value, out)?;
        if !present {
            out.truncate(start);
        }
        Ok(present)
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<ValueAndHeaders<V>, SerdeError> {
        let bytes = bytes.ok_or_else(|| SerdeError::new("null where a value with headers was expected"))?;
        let row = AggregationWithHeaders::decode(bytes)?;
        Ok(ValueAndHeaders { value: self.0.deserialize(Some(row.aggregate))?, headers: row.headers })
    }
    fn is_null(&self, value: &ValueAndHeaders<V>) -> bool {
        self.0.is_null(&value.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::InMemoryEngine;
    use crate::serdes::Auto;
    use crate::store::{ChangelogRecord, StateStore};
    use crate::types::RecordContext;

    fn open() -> KeyValueStore<String, ValueAndHeaders<i64>> {
        let options = KeyValueOptions {
            name: "s".into(),
            timestamped: true,
            caching: false,
            logging: true,
            tier_max_bytes: 1 << 20,
        };
        let engine = Box::new(InMemoryEngine::default());
        KeyValueStore::header_aware(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
    }

    #[test]
    fn headers_are_logged_beside_the_value_and_restored_from_there() {
        let mut headers = Headers::EMPTY;
        headers.add("trace", Some(vec![7]));
        let value = ValueAndHeaders { value: 5_i64, headers: headers.clone() };
        let (mut store, mut restored) = (open(), open());
        let mut context = RecordContext::none(9);
        context.headers.add("of", Some(vec![1]));
        store.put(&"k".to_owned(), Some(value.clone()), 3, &context).unwrap();
        store.put(&"gone".to_owned(), Some(value.clone()), 4, &context).unwrap();
        store.delete(&"gone".to_owned(), &context).unwrap();
        let mut logged = Vec::new();
        store
            .drain_changelog(&mut |entry| {
                logged.push((entry.value.map(<[u8]>::to_vec), entry.timestamp, entry.headers.clone()));
                let (key, value, timestamp) = (entry.key, entry.value, entry.timestamp);
                restored.restore_record(&ChangelogRecord {
                    key,
                    value,
                    timestamp,
                    headers: entry.headers,
                    offset: 0,
                })
            })
            .unwrap();
        let five = Some(5_i64.to_be_bytes().to_vec());
        let expected = [(five.clone(), 3, headers.clone()), (five, 4, headers), (None, 9, context.headers)];
        assert_eq!(logged, expected);
        assert_eq!(restored.get(&"k".to_owned()).unwrap(), Some((&value, 3)));
        assert_eq!(restored.get(&"gone".to_owned()).unwrap(), None);
    }

    #[test]
    fn rows_keep_their_headers() {
        let mut headers = Headers::EMPTY;
        headers.add("h", None);
        let row = Row::<i64>(Arc::new(Auto));
        let mut out = Vec::new();
        let value = ValueAndHeaders { value: 5, headers };
        assert!(row.serialize(&value, &mut out).unwrap());
        assert_eq!(out[..5], [8, 2, 2, b'h', 1]);
        assert_eq!(row.deserialize(Some(&out)).unwrap(), value);
    }
}
