//! The kinds of stores, each with one kind of change and one way to read everything.

use std::ops::ControlFlow;
use std::sync::Arc;

use streams_state::engine::Engine;
use streams_state::error::StateError;
use streams_state::format::record_context::ProcessorRecordContext;
use streams_state::serdes::Auto;
use streams_state::store::{
    ChangeBuffer, ChangeBufferOptions, GraceBuffer, GraceBufferOptions, JoinSide, KeyValueOptions,
    KeyValueStore, LeftOrRight, OuterJoinOptions, OuterJoinStore, SessionOptions, SessionStore, StateStore,
    VersionedOptions, VersionedStore, WindowOptions, WindowStore,
};
use streams_state::types::{Change as ValueChange, Headers, RecordContext, Timestamp, Window};

use crate::Change;

const RETENTION: i64 = 1_500;
const SEGMENT: i64 = 500;
const GRACE: i64 = 100;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    KeyValue { caching: bool },
    Window { duplicates: bool, ordered_by_time: bool },
    Session { time_index: bool },
    Versioned,
    ChangeBuffer,
    GraceBuffer,
    OuterJoin,
}

/// A store under test.
pub(crate) trait Subject {
    fn state(&mut self) -> &mut dyn StateStore;
    fn change(&mut self, change: Change, now: Timestamp) -> Result<(), StateError>;
    /// All rows, as text, in the order in which the store shows them.
    fn rows(&mut self) -> Result<Vec<String>, StateError>;
    /// Takes out what can only be seen so, for the end.
    fn drain(&mut self) -> Result<Vec<String>, StateError> {
        Ok(Vec::new())
    }
}

type Text = String;

/// Some keys are longer than a slot.
fn key(change: Change) -> Text {
    let tail = if change.key.is_multiple_of(3) { "-with-a-tail-that-is-longer-than-a-slot" } else { "" };
    format!("k{}{tail}", change.key)
}

/// One of eight is none.
fn value(change: Change) -> Option<Text> {
    (!change.value.is_multiple_of(8)).then(|| "v".repeat(usize::from(change.value % 40)))
}

/// A time up to 255 before `now`.
fn back(change: Change, now: Timestamp) -> Timestamp {
    (now - i64::from(change.value)).max(0)
}

fn context(now: Timestamp) -> ProcessorRecordContext {
    let headers = Headers::EMPTY;
    ProcessorRecordContext { topic: "topic".into(), partition: 0, offset: now, timestamp: now, headers }
}

impl Kind {
    pub(crate) fn open(
        self,
        engine: Box<dyn Engine>,
        tier_max_bytes: u64,
    ) -> Result<Box<dyn Subject>, StateError> {
        let (name, logging): (Arc<str>, bool) = ("s".into(), true);
        let auto = || Arc::new(Auto);
        Ok(match self {
            Self::KeyValue { caching } => {
                let options = KeyValueOptions { name, timestamped: true, caching, logging, tier_max_bytes };
                Box::new(KeyValueStore::<Text, Text>::new(options, engine, auto(), auto())?)
            }
            Self::Window { duplicates, ordered_by_time } => {
                let options = WindowOptions {
                    segment_interval: SEGMENT,
                    retain_duplicates: duplicates,
                    ordered_by_time,
                    tier_max_bytes,
                    ..WindowOptions::new(name, RETENTION, 10)
                };
                Box::new(WindowStore::<Text, Text>::new(options, engine, auto(), auto())?)
            }
            Self::Session { time_index } => {
                let options = SessionOptions {
                    segment_interval: SEGMENT,
                    time_index,
                    tier_max_bytes,
                    ..SessionOptions::new(name, RETENTION)
                };
                Box::new(SessionStore::<Text, Text>::new(options, engine, auto(), auto())?)
            }
            Self::Versioned => {
                let (history_retention, segment_interval) = (RETENTION, SEGMENT);
                let options =
                    VersionedOptions { name, history_retention, segment_interval, logging, tier_max_bytes };
                Box::new(VersionedStore::<Text, Text>::new(options, engine, auto(), auto())?)
            }
            Self::ChangeBuffer => {
                let options = ChangeBufferOptions { name, logging, spill: Some(tier_max_bytes) };
                Box::new(ChangeBuffer::<Text, Text>::new(options, engine, auto(), auto())?)
            }
            Self::GraceBuffer => {
                let memory_max_bytes = tier_max_bytes;
                let options = GraceBufferOptions { name, grace: GRACE, logging, memory_max_bytes };
                Box::new(GraceBuffer::<Text, Text>::new(options, engine, auto(), auto())?)
            }
            Self::OuterJoin => {
                let options = OuterJoinOptions { name, logging, memory_max_bytes: tier_max_bytes };
                Box::new(OuterJoinStore::<Text, Text, i64>::new(options, engine, auto(), auto(), auto())?)
            }
        })
    }
}

impl Subject for KeyValueStore<Text, Text> {
    fn state(&mut self) -> &mut dyn StateStore {
        self
    }

    fn change(&mut self, change: Change, now: Timestamp) -> Result<(), StateError> {
        self.put(&key(change), value(change), now, &RecordContext::none(now))
    }

    fn rows(&mut self) -> Result<Vec<String>, StateError> {
        let mut rows = Vec::new();
        self.for_each(&mut |key, value, timestamp| rows.push(format!("{key} {value} {timestamp}")))?;
        Ok(rows)
    }
}

impl Subject for WindowStore<Text, Text> {
    fn state(&mut self) -> &mut dyn StateStore {
        self
    }

    fn change(&mut self, change: Change, now: Timestamp) -> Result<(), StateError> {
        let start = back(change, now);
        let value = if self.options().retain_duplicates { Some(now.to_string()) } else { value(change) };
        self.put(&key(change), start, value, now, &RecordContext::none(now)).map(drop)
    }

    fn rows(&mut self) -> Result<Vec<String>, StateError> {
        let mut rows = vec![format!("stream time {}", self.stream_time())];
        self.all(&mut |key, start, value, timestamp| {
            rows.push(format!("{key} {start} {value} {timestamp}"));
        })?;
        Ok(rows)
    }
}

impl Subject for SessionStore<Text, Text> {
    fn state(&mut self) -> &mut dyn StateStore {
        self
    }

    fn change(&mut self, change: Change, now: Timestamp) -> Result<(), StateError> {
        let end = back(change, now);
        let window = Window { start: (end - i64::from(change.step)).max(0), end };
        self.put(&key(change), window, value(change), &RecordContext::none(now)).map(drop)
    }

    fn rows(&mut self) -> Result<Vec<String>, StateError> {
        let mut rows = vec![format!("stream time {}", self.stream_time())];
        for number in 0..24 {
            let key = key(Change { key: number, value: 0, step: 0 });
            self.fetch(&key, &mut |window, value| rows.push(format!("{key} {window:?} {value}")))?;
        }
        Ok(rows)
    }
}

impl Subject for VersionedStore<Text, Text> {
    fn state(&mut self) -> &mut dyn StateStore {
        self
    }

    fn change(&mut self, change: Change, now: Timestamp) -> Result<(), StateError> {
        self.put(&key(change), value(change), back(change, now)).map(drop)
    }

    fn rows(&mut self) -> Result<Vec<String>, StateError> {
        let mut rows = vec![format!("stream time {}", self.stream_time())];
        for number in 0..24 {
            let key = key(Change { key: number, value: 0, step: 0 });
            let latest = self.get(&key)?.map(|(value, from)| format!("{key} latest {value} {from}"));
            rows.extend(latest);
            self.versions(&key, 0, i64::MAX, &mut |value, from, to| {
                rows.push(format!("{key} {value} {from} {to:?}"));
            })?;
        }
        Ok(rows)
    }
}

impl Subject for ChangeBuffer<Text, Text> {
    fn state(&mut self) -> &mut dyn StateStore {
        self
    }

    fn change(&mut self, change: Change, now: Timestamp) -> Result<(), StateError> {
        if change.value.is_multiple_of(5) {
            return self.remove_first();
        }
        let change_of_value = ValueChange::latest(None, value(change));
        self.put(back(change, now), &key(change), &change_of_value, &context(now))
    }

    fn rows(&mut self) -> Result<Vec<String>, StateError> {
        let (records, bytes, first) = (self.num_records(), self.buffer_size(), self.min_timestamp());
        let mut rows =
            vec![format!("{records} records, {bytes} bytes, from {first}"), format!("{:?}", self.first()?)];
        for number in 0..24 {
            let key = key(Change { key: number, value: 0, step: 0 });
            rows.push(format!("{key} {:?}", self.prior_value_for_buffered(&key)?));
        }
        Ok(rows)
    }

    fn drain(&mut self) -> Result<Vec<String>, StateError> {
        let mut rows = Vec::new();
        self.evict_while(|_, _, _| true, |row| rows.push(format!("{row:?}")))?;
        Ok(rows)
    }
}

impl Subject for GraceBuffer<Text, Text> {
    fn state(&mut self) -> &mut dyn StateStore {
        self
    }

    fn change(&mut self, change: Change, now: Timestamp) -> Result<(), StateError> {
        if change.value.is_multiple_of(5) {
            return self.pop_due().map(drop);
        }
        let value = "v".repeat(usize::from(change.value % 40));
        self.put(&key(change), &value, &context(back(change, now))).map(drop)
    }

    fn rows(&mut self) -> Result<Vec<String>, StateError> {
        Ok(vec![format!("{} records, stream time {}", self.num_records(), self.stream_time())])
    }

    fn drain(&mut self) -> Result<Vec<String>, StateError> {
        let late = Timestamp::MAX / 2;
        self.put(&"last".to_owned(), &Text::new(), &context(late))?;
        let mut rows = Vec::new();
        while let Some(row) = self.pop_due()? {
            rows.push(format!("{row:?}"));
        }
        Ok(rows)
    }
}

impl Subject for OuterJoinStore<Text, Text, i64> {
    fn state(&mut self) -> &mut dyn StateStore {
        self
    }

    fn change(&mut self, change: Change, now: Timestamp) -> Result<(), StateError> {
        let side = if change.step.is_multiple_of(2) { JoinSide::Left } else { JoinSide::Right };
        let (time, key, context) = (back(change, now) / 50 * 50, key(change), RecordContext::none(now));
        if change.value.is_multiple_of(3) {
            return self.remove(&key, side, time, &context);
        }
        let value = match side {
            JoinSide::Left => LeftOrRight::Left(now.to_string()),
            JoinSide::Right => LeftOrRight::Right(now),
        };
        self.put(&key, time, &value, &context)
    }

    fn rows(&mut self) -> Result<Vec<String>, StateError> {
        let mut rows = Vec::new();
        self.scan(&mut |row| {
            rows.push(format!("{:?} {} {:?} {:?}", row.side, row.timestamp, row.key()?, row.values()?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows)
    }
}
