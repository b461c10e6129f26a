//! Changelog records and engine rows as inputs, and what a store must make of them.
//!
//! A changelog record is foreign in all its parts: key, value or null, timestamp, headers. Several of them are one input ([`records`]). Rules
//! beside those of all decoders: a store that took the records shows the same rows when it is opened again over its engine, and when
//! they were restored in bulk.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use kstreams::engine::{Engine, RunEntry};
use kstreams::types::{Headers, Timestamp};
use streams_state::error::StateError;
use streams_state::format::buffer_value::VERSION_HEADER;
use streams_state::store::{ChangelogRecord, StateStore};

use crate::decoder::{Decoder, Meter, Verdict};
use crate::engines::{Opener, kept_map};

/// Key, time, another time or number, value.
pub(crate) type Rows = Vec<(Vec<u8>, Timestamp, i64, Vec<u8>)>;

/// One of so many inputs: each opens a store four times.
const ONE_OF: u64 = 10;

/// A kind of store: how it is opened, and how all of it is read.
pub(crate) struct Kind<S> {
    pub(crate) open: fn(Box<dyn Engine>) -> Result<S, StateError>,
    pub(crate) read: fn(&mut S) -> Result<Rows, StateError>,
    /// Values are looked at when they are read: then they may be refused.
    pub(crate) lazy: bool,
}

/// A store under records, and the same store under rows of its engine.
pub(crate) fn store<S: StateStore + 'static>(
    (restored, opened): (&'static str, &'static str),
    seeds: Vec<Vec<u8>>,
    kind: Kind<S>,
) -> [Decoder; 2] {
    let kind = Arc::new(kind);
    let rows = seeds.iter().filter_map(|seed| rows_of(&kind, seed)).collect();
    let other = kind.clone();
    [
        Decoder::new(restored, seeds, move |input, meter| restore(&kind, input, meter)).one_of(ONE_OF),
        Decoder::new(opened, rows, move |input, meter| open(&other, input, meter)).one_of(ONE_OF),
    ]
}

/// A changelog record as part of an input:
///
/// ```text
/// | flags u8 | timestamp i64 | length of key u8 | length of value u16 | key ... | value ... |
/// flags: 1 null value, 2 a header, 12 version of a buffer's value (header `v`) + 1, 0 none
/// ```
pub(crate) struct Record<'a> {
    pub(crate) flags: u8,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers,
}

pub(crate) fn frame(flags: u8, timestamp: Timestamp, key: &[u8], value: &[u8]) -> Vec<u8> {
    let lengths = [&[key.len() as u8][..], &(value.len() as u16).to_be_bytes()].concat();
    [&[flags][..], &timestamp.to_be_bytes(), &lengths, key, value].concat()
}

/// Inputs of some records each: every key, with values in turn.
pub(crate) fn frames(keys: &[Vec<u8>], values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    frames_with(&[0, 0, 2, 0, 1, 0, 18], keys, values)
}

/// [`frames`] with these flags in turn.
pub(crate) fn frames_with(flags: &[u8], keys: &[Vec<u8>], values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let short = |bytes: &&Vec<u8>| bytes.len() < 200;
    let (keys, values): (Vec<_>, Vec<_>) =
        (keys.iter().filter(short).collect(), values.iter().filter(short).collect());
    let record = |at: usize| {
        frame(
            flags[at % flags.len()],
            (at * 37 % 1500) as i64,
            keys[at % keys.len()],
            values[at * 7 % values.len()],
        )
    };
    let count = keys.len().max(values.len());
    (0..count).step_by(2).map(|at| (at..at + 1 + at % 5).flat_map(record).collect()).collect()
}

/// The records of an input; lengths that are too long end with it.
pub(crate) fn records(input: &[u8]) -> Vec<Record<'_>> {
    let mut rest = input;
    let mut records = Vec::new();
    while let Some((head, bytes)) = rest.split_first_chunk::<12>() {
        let [flags, timestamp @ .., key_length, high, low] = *head;
        let (key, bytes) = bytes.split_at(usize::from(key_length).min(bytes.len()));
        let (value, bytes) = bytes.split_at(usize::from(u16::from_be_bytes([high, low])).min(bytes.len()));
        let mut headers = Headers::EMPTY;
        if flags & 2 != 0 {
            headers.add("h", Some(vec![flags]));
        }
        if flags & 28 != 0 {
            headers.add(VERSION_HEADER, Some(vec![((flags & 28) >> 2) - 1]));
        }
        let value = (flags & 1 == 0).then_some(value);
        records.push(Record { flags, key, value, timestamp: i64::from_be_bytes(timestamp), headers });
        rest = bytes;
    }
    records
}

fn changelog<'a>(record: &'a Record<'a>, offset: usize) -> ChangelogRecord<'a> {
    let Record { key, value, timestamp, headers, .. } = record;
    ChangelogRecord { key, value: *value, timestamp: *timestamp, headers, offset: offset as i64 }
}

/// Only bytes that are not the store's own may be the fault.
fn refused(error: &StateError) -> Result<(), String> {
    match error {
        StateError::Serde { .. } => Ok(()),
        other => Err(format!("not an error of bytes: {other}")),
    }
}

/// Rows of all records of `input`, restored one by one. `None`: one of them was refused.
fn restored<S: StateStore>(
    kind: &Kind<S>,
    records: &[Record<'_>],
    opener: &mut Opener,
    meter: &mut Meter,
) -> Result<Option<S>, String> {
    let text = |error: StateError| error.to_string();
    let mut store = (kind.open)(opener()).map_err(text)?;
    for (offset, record) in records.iter().enumerate() {
        let restored = meter.measure(|| store.restore_record(&changelog(record, offset)));
        if let Err(error) = restored {
            return refused(&error).map(|()| None);
        }
    }
    store.committed(Some(records.len() as i64));
    store.flush().map_err(|error| format!("the flush failed: {error}"))?;
    Ok(Some(store))
}

/// All rows; `None` if one of them was refused, and may be.
fn read<S>(kind: &Kind<S>, store: &mut S) -> Result<Option<Rows>, String> {
    match (kind.read)(store) {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if kind.lazy => refused(&error).map(|()| None),
        Err(error) => Err(format!("what was restored cannot be read: {error}")),
    }
}

fn restore<S: StateStore>(kind: &Kind<S>, input: &[u8], meter: &mut Meter) -> Verdict {
    let records = records(input);
    let mut opener = kept_map();
    let taken = restored(kind, &records, &mut opener, meter)?;
    let in_bulk = restore_in_bulk(kind, &records)?;
    let Some(mut store) = taken else { return Ok(false) };
    let durable = store.engine_bytes() > 0;
    let rows = read(kind, &mut store)?;
    if durable {
        let mut again = (kind.open)(opener()).map_err(|error| format!("opened again: {error}"))?;
        same_rows("opened again", &rows, &read(kind, &mut again)?)?;
    }
    if let Some(mut bulk) = in_bulk {
        same_rows("restored in bulk", &rows, &read(kind, &mut bulk)?)?;
    }
    Ok(!records.is_empty())
}

fn same_rows(what: &str, rows: &Option<Rows>, other: &Option<Rows>) -> Result<(), String> {
    if rows == other {
        return Ok(());
    }
    Err(format!("{what} it shows other rows:\n  {rows:?}\n  {other:?}"))
}

/// A store that was restored in bulk. `None`: it does not do that, or a record was refused.
fn restore_in_bulk<S: StateStore>(kind: &Kind<S>, records: &[Record<'_>]) -> Result<Option<S>, String> {
    let text = |error: StateError| format!("in bulk: {error}");
    let mut opener = kept_map();
    let mut store = (kind.open)(opener()).map_err(text)?;
    let Some(mut bulk) = store.bulk_restore().map_err(text)? else { return Ok(None) };
    for (offset, record) in records.iter().enumerate() {
        if let Err(error) = bulk.record(&changelog(record, offset)) {
            return refused(&error).map(|()| None);
        }
    }
    match bulk.finish(records.len() as i64) {
        Ok(_) => {}
        Err(error) => return refused(&error).map(|()| None),
    }
    store.reopen().map_err(text)?;
    Ok(Some(store))
}

/// The rows of an engine, as frames: what a store that took `input` wrote.
fn rows_of<S: StateStore>(kind: &Kind<S>, input: &[u8]) -> Option<Vec<u8>> {
    let mut opener = kept_map();
    let records = records(input);
    let mut store = (kind.open)(opener()).ok()?;
    for (offset, record) in records.iter().enumerate() {
        store.restore_record(&changelog(record, offset)).ok()?;
    }
    store.committed(Some(records.len() as i64));
    store.flush().ok()?;
    let mut frames = Vec::new();
    opener()
        .scan(Bound::Unbounded, Bound::Unbounded, &mut |key, value| {
            frames.extend(frame(0, 0, key, value));
            ControlFlow::Continue(())
        })
        .ok()?;
    (!frames.is_empty()).then_some(frames)
}

/// A store over an engine whose rows are not what it wrote. It may refuse them at any step.
fn open<S: StateStore>(kind: &Kind<S>, input: &[u8], meter: &mut Meter) -> Verdict {
    let mut opener = kept_map();
    let records = records(input);
    let mut rows: Vec<RunEntry<'_>> = records.iter().map(|record| (record.key, record.value)).collect();
    rows.sort_by_key(|(key, _)| *key);
    rows.dedup_by_key(|(key, _)| *key);
    opener().apply(&mut rows.into_iter(), Some(1)).map_err(|error| error.to_string())?;
    let Ok(mut store) = meter.measure(|| (kind.open)(opener())) else { return Ok(false) };
    let read = (kind.read)(&mut store).is_ok();
    // Records come on top of what is there.
    for (offset, record) in records.iter().take(3).enumerate() {
        let _ = store.restore_record(&changelog(record, offset));
    }
    store.committed(Some(9));
    let _ = store.flush();
    let _ = (kind.read)(&mut store);
    Ok(read)
}
