//! A changelog, replayed without knowing any types: keys and values stay the bytes that they are.
//!
//! In: how a store is laid out ([`Layout`], as its engine keeps it), and its changelog. Out: a store over another engine whose rows must
//! be those of the first. Tools compare the two; an application never comes here.

use std::sync::Arc;

use super::StateStore;
use super::key_value::{KeyValueOptions, KeyValueStore};
use super::session::{self, SessionOptions, SessionStore};
use super::versioned::{self, VersionedOptions, VersionedStore};
use super::window::{self, WindowOptions, WindowStore};
use crate::engine::{Engine, Layout};
use crate::error::StateError;
use crate::format::{FormatError, session_key, window_key::WindowKey};
use crate::serdes::{Raw, SerdeRef};

/// What a row of an engine belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowOwner<'a> {
    /// The key in the changelog, without window.
    pub key: &'a [u8],
    /// The segment of time, of rows that expire with it.
    pub segment: Option<i64>,
}

/// A store with this layout over `engine`, to be restored with the records of its changelog. It uses `tier_max_bytes` of memory
/// between two flushes. `None`: rows of this layout do not follow from the changelog alone, byte by byte.
///
/// # Errors
/// The engine cannot be read.
pub fn replayed(
    layout: &Layout,
    name: &str,
    engine: Box<dyn Engine>,
    tier_max_bytes: u64,
) -> Result<Option<Box<dyn StateStore>>, StateError> {
    let raw = || -> SerdeRef<Vec<u8>> { Arc::new(Raw) };
    let name: Arc<str> = name.into();
    Ok(Some(match *layout {
        Layout::KeyValue => {
            let options =
                KeyValueOptions { name, timestamped: true, caching: false, logging: false, tier_max_bytes };
            Box::new(KeyValueStore::new(options, engine, raw(), raw())?)
        }
        Layout::Window { segment_interval, retention, retain_duplicates, ordered_by_time } => {
            let options = WindowOptions {
                segment_interval,
                retain_duplicates,
                ordered_by_time,
                logging: false,
                tier_max_bytes,
                ..WindowOptions::new(name, retention, 1)
            };
            Box::new(WindowStore::new(options, engine, raw(), raw())?)
        }
        Layout::Session { segment_interval, retention, time_index } => {
            let options = SessionOptions {
                segment_interval,
                time_index,
                logging: false,
                tier_max_bytes,
                ..SessionOptions::new(name, retention)
            };
            Box::new(SessionStore::new(options, engine, raw(), raw())?)
        }
        Layout::Versioned { segment_interval, retention } => {
            let options = VersionedOptions {
                name,
                history_retention: retention,
                segment_interval,
                logging: false,
                tier_max_bytes,
            };
            Box::new(VersionedStore::new(options, engine, raw(), raw())?)
        }
        // What waits is laid out in the order in which it came, and some of it is in memory only.
        Layout::ChangeBuffer | Layout::GraceBuffer | Layout::OuterJoin => return Ok(None),
    }))
}

fn timed(owner: Option<(i64, &[u8])>) -> Option<RowOwner<'_>> {
    owner.map(|(segment, key)| RowOwner { key, segment: Some(segment) })
}

/// What the row under `row_key` belongs to. `None`: it is the store's own, as its stream time.
pub fn owner_of_row<'a>(layout: &Layout, row_key: &'a [u8]) -> Option<RowOwner<'a>> {
    match layout {
        Layout::KeyValue => Some(RowOwner { key: row_key, segment: None }),
        Layout::Window { .. } => timed(window::layout::owner(row_key)),
        Layout::Session { segment_interval, .. } => timed(session::layout::owner(row_key, *segment_interval)),
        Layout::Versioned { .. } => {
            versioned::rows::parse_key(row_key).map(|(segment, key)| RowOwner { key, segment })
        }
        Layout::ChangeBuffer | Layout::GraceBuffer | Layout::OuterJoin => None,
    }
}

/// The key in the key of a changelog record, without window.
///
/// # Errors
/// It is not the key of a record of such a store.
pub fn owner_of_record<'a>(layout: &Layout, key: &'a [u8]) -> Result<&'a [u8], FormatError> {
    match layout {
        Layout::Window { .. } => WindowKey::decode(key).map(|window| window.key),
        Layout::Session { .. } => session_key::decode(key).map(|(key, _)| key),
        Layout::KeyValue
        | Layout::Versioned { .. }
        | Layout::ChangeBuffer
        | Layout::GraceBuffer
        | Layout::OuterJoin => Ok(key),
    }
}
