//! Before step 1, many records at once: changelog records of a session store -> rows of its engine, as bytes.
//!
//! A row of the engine has all sessions of a key that end in a segment, a record is about one of them. So on its way a row is a list of
//! changes; the last of each session counts, and is laid over the row that the engine has:
//!
//! ```text
//! change | start i64 | end i64 | 1 | length u32 | aggregate ... |        or        | start i64 | end i64 | 0 |
//! ```

use std::collections::BTreeMap;

use super::{SessionOptions, layout};
use crate::engine::{Run, RunWriter};
use crate::error::StateError;
use crate::format::session_key;
use crate::serdes::SerdeError;
use crate::store::ChangelogRecord;
use crate::store::bulk_restore::BulkRows;
use crate::types::{Timestamp, Window};

/// Rows of a session store.
pub(super) struct SessionRows {
    options: SessionOptions,
    stream_time: Timestamp,
}

/// Sessions of a row, by end and start; `None` is deleted.
type Sessions<'a> = BTreeMap<(Timestamp, Timestamp), Option<&'a [u8]>>;

impl SessionRows {
    pub(super) fn new(options: &SessionOptions, stream_time: Timestamp) -> Self {
        Self { options: options.clone(), stream_time }
    }
}

impl BulkRows for SessionRows {
    fn add(&mut self, record: &ChangelogRecord<'_>, run: &mut Run) -> Result<(), SerdeError> {
        let decoded = session_key::decode(record.key);
        let (key, window) = decoded.map_err(|error| SerdeError::new(error.to_string()))?;
        self.stream_time = self.stream_time.max(window.end);
        if window.end < self.options.kept_from(self.stream_time) {
            return Ok(());
        }
        if self.options.time_index {
            let present = record.value.is_some();
            let index = |out: &mut Vec<u8>| layout::index_key(window, key, out);
            run.push_with(index, |_| Ok::<bool, SerdeError>(present))?;
        }
        run.push_with(
            |out| layout::row_key(self.options.segment(window.end), key, out),
            |out| {
                write_change(window, record.value, out);
                Ok(true)
            },
        )
    }

    fn expire(&self) -> bool {
        true
    }

    /// A session may be much later than a record that came late for it, so timestamps do not tell what matters.
    fn newest(&mut self, record: &ChangelogRecord<'_>) -> Option<Timestamp> {
        if let Ok((_, window)) = session_key::decode(record.key) {
            self.stream_time = self.stream_time.max(window.end);
        }
        None
    }

    fn settle(&mut self, run: &mut Run) -> Result<(), SerdeError> {
        run.sort();
        let mut settled = Run::with_capacity(run.len(), run.live_bytes());
        let mut rows = run.iter().peekable();
        while let Some((key, value)) = rows.next() {
            let alone = rows.peek().is_none_or(|(next, _)| *next != key);
            if alone || key.first() != Some(&layout::ROW) {
                if alone {
                    settled.push(key, value);
                }
                continue;
            }
            let mut sessions = Sessions::new();
            read_changes(value.unwrap_or_default(), &mut sessions)?;
            while let Some((_, value)) = rows.next_if(|(next, _)| *next == key) {
                read_changes(value.unwrap_or_default(), &mut sessions)?;
            }
            let write = |out: &mut Vec<u8>| {
                for ((end, start), aggregate) in &sessions {
                    write_change(Window { start: *start, end: *end }, *aggregate, out);
                }
                Ok::<bool, SerdeError>(true)
            };
            settled.push_with(|out| out.extend_from_slice(key), write)?;
        }
        drop(rows);
        *run = settled;
        Ok(())
    }

    fn complete(&mut self, run: &mut Run, engine: &dyn RunWriter) -> Result<(), StateError> {
        let kept_from = self.options.kept_from(self.stream_time);
        let (first_index, mut first_row) = (layout::index_from(kept_from), Vec::new());
        layout::row_key(self.options.segment(kept_from), &[], &mut first_row);
        let mut complete = Run::with_capacity(run.len() + 1, run.live_bytes());
        let state = layout::encode_state(self.stream_time, self.options.time_index);
        complete.push(layout::STATE, Some(&state));
        let mut before = Vec::new();
        for (key, value) in run.iter() {
            if key.first() != Some(&layout::ROW) {
                if key >= first_index.as_slice() {
                    complete.push(key, value);
                }
                continue;
            }
            if key < first_row.as_slice() {
                continue;
            }
            engine.get(key, &mut before)?;
            let written = complete.push_with(
                |out| out.extend_from_slice(key),
                |out| write_row(&before, value.unwrap_or_default(), out),
            );
            written.map_err(|source| StateError::Serde { store: self.options.name.to_string(), source })?;
        }
        *run = complete;
        Ok(())
    }
}

fn write_change(window: Window, aggregate: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(&window.start.to_be_bytes());
    out.extend_from_slice(&window.end.to_be_bytes());
    out.push(u8::from(aggregate.is_some()));
    if let Some(aggregate) = aggregate {
        out.extend_from_slice(&(aggregate.len() as u32).to_be_bytes());
        out.extend_from_slice(aggregate);
    }
}

fn read_changes<'a>(mut changes: &'a [u8], sessions: &mut Sessions<'a>) -> Result<(), SerdeError> {
    while !changes.is_empty() {
        let read = read_change(changes);
        let (at, aggregate, rest) =
            read.ok_or_else(|| SerdeError::new("a change of a session ends too early"))?;
        sessions.insert(at, aggregate);
        changes = rest;
    }
    Ok(())
}

type Change<'a> = ((Timestamp, Timestamp), Option<&'a [u8]>, &'a [u8]);

fn read_change(changes: &[u8]) -> Option<Change<'_>> {
    let (start, rest) = changes.split_first_chunk()?;
    let (end, rest) = rest.split_first_chunk()?;
    let at = (i64::from_be_bytes(*end), i64::from_be_bytes(*start));
    let (present, rest) = rest.split_first()?;
    if *present == 0 {
        return Some((at, None, rest));
    }
    let (len, rest) = rest.split_first_chunk()?;
    let (aggregate, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some((at, Some(aggregate), rest))
}

/// Appends `row` with `changes`. `false`: no session is left.
fn write_row(row: &[u8], changes: &[u8], out: &mut Vec<u8>) -> Result<bool, SerdeError> {
    let mut sessions = Sessions::new();
    layout::read_row(row, &mut |window, aggregate| {
        sessions.insert((window.end, window.start), Some(aggregate));
        Ok(())
    })?;
    read_changes(changes, &mut sessions)?;
    let mut present = false;
    for ((end, start), aggregate) in sessions {
        let Some(aggregate) = aggregate else { continue };
        present |= layout::write_session(Window { start, end }, out, |out| {
            out.extend_from_slice(aggregate);
            Ok(true)
        })?;
    }
    Ok(present)
}
