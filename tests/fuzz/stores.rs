//! The kinds of stores, under records of their changelogs and under rows of their engines ([`changelog`](crate::changelog)).

use std::ops::ControlFlow;
use std::sync::Arc;

use kstreams::engine::{Engine, InMemoryEngine};
use kstreams::serdes::{Auto, Raw, SerdeRef};
use kstreams::types::{Headers, RecordContext, Timestamp, ValueAndHeaders};
use streams_state::error::StateError;
use streams_state::store::{
    ChangeBuffer, ChangeBufferOptions, ChangelogEntry, Combine, GraceBuffer, GraceBufferOptions,
    KeyValueOptions, KeyValueStore, OuterJoinOptions, OuterJoinStore, SessionOptions, SessionStore,
    StateStore, VersionedOptions, VersionedStore, WindowOptions, WindowStore,
};

use crate::changelog::{Kind, Rows, frame, frames, frames_with, store};
use crate::corpus::{Corpus, unhex};
use crate::decoder::Decoder;

type Key = Vec<u8>;

/// Small, so that rows are evicted and read again.
const TIER_BYTES: u64 = 2000;
const RETENTION: i64 = 1000;
const SEGMENT: i64 = 100;
pub(crate) fn decoders(corpus: &Corpus) -> Vec<Decoder> {
    [key_values(corpus), windows(corpus), sessions(corpus), buffers(corpus)].into_iter().flatten().collect()
}

/// Values of 8 bytes.
fn values() -> Vec<Vec<u8>> {
    [0, 1, -1, 7, i64::MAX, i64::MIN].map(|value: i64| value.to_be_bytes().to_vec()).into()
}

fn raw<T>() -> SerdeRef<T>
where
    Raw: kstreams::serdes::Serde<T>,
{
    Arc::new(Raw)
}

fn numbers() -> SerdeRef<i64> {
    Arc::new(Auto)
}

fn key_value_options() -> KeyValueOptions {
    KeyValueOptions {
        name: "s".into(),
        timestamped: true,
        caching: false,
        logging: true,
        tier_max_bytes: TIER_BYTES,
    }
}

fn key_values(corpus: &Corpus) -> Vec<Decoder> {
    let keys = corpus.serdes("Integer");
    let seeds = || frames(&keys, &values());
    let plain = Kind {
        open: |engine| KeyValueStore::<Key, i64>::new(key_value_options(), engine, raw(), numbers()),
        read: |store| {
            let mut rows = Rows::new();
            store
                .for_each(&mut |key, value, time| rows.push((key, time, 0, value.to_be_bytes().to_vec())))?;
            Ok(rows)
        },
        lazy: false,
    };
    let with_headers = Kind {
        open: |engine| {
            KeyValueStore::<Key, ValueAndHeaders<i64>>::header_aware(
                key_value_options(),
                engine,
                raw(),
                numbers(),
            )
        },
        read: |store| {
            let mut rows = Rows::new();
            store.for_each(&mut |key, row, time| {
                rows.push((key, time, row.value, headers_of(&row.headers)))
            })?;
            Ok(rows)
        },
        lazy: false,
    };
    let versioned = Kind {
        open: |engine| {
            let options = VersionedOptions {
                name: "s".into(),
                history_retention: RETENTION,
                segment_interval: SEGMENT,
                logging: true,
                tier_max_bytes: TIER_BYTES,
            };
            VersionedStore::<Key, i64>::new(options, engine, raw(), numbers())
        },
        read: |store| {
            let mut rows = Rows::new();
            store.for_each_version(&mut |key, value, from, to| {
                rows.push((key.clone(), from, to.unwrap_or(-1), value.to_be_bytes().to_vec()));
            })?;
            Ok(rows)
        },
        lazy: false,
    };
    let bounded: Kind<KeyValueStore<Key, i64>> = Kind {
        open: |_| KeyValueStore::least_recently_used(key_value_options(), 2, raw(), numbers()),
        read: |store| store.for_each(&mut |_, _, _| ()).map(|()| Rows::new()),
        lazy: false,
    };
    let [bounded, _] = store(("restore: bounded key-value", ""), seeds(), bounded);
    let stores = [
        store(("restore: key-value", "engine rows: key-value"), seeds(), plain),
        store(
            ("restore: key-value with headers", "engine rows: key-value with headers"),
            seeds(),
            with_headers,
        ),
        store(("restore: versioned", "engine rows: versioned"), seeds(), versioned),
    ];
    stores.into_iter().flatten().chain([bounded]).collect()
}

fn window_options() -> WindowOptions {
    WindowOptions {
        segment_interval: SEGMENT,
        tier_max_bytes: TIER_BYTES,
        ..WindowOptions::new("s", RETENTION, 10)
    }
}

fn read_windows(store: &mut WindowStore<Key, i64>) -> Result<Rows, StateError> {
    let mut rows = Rows::new();
    store.all(&mut |key, start, value, time| rows.push((key, start, time, value.to_be_bytes().to_vec())))?;
    rows.sort();
    Ok(rows)
}

fn windows(corpus: &Corpus) -> Vec<Decoder> {
    let seeds = || frames(&[window_keys(&[0]), corpus.keys(&["window_keys"])].concat(), &values());
    let of_joins = || frames(&window_keys(&[0, 1, 2]), &values());
    let kind = |open| Kind { open, read: read_windows, lazy: false };
    let plain = kind(|engine| WindowStore::new(window_options(), engine, raw(), numbers()));
    let duplicates = kind(|engine| {
        WindowStore::new(
            WindowOptions { retain_duplicates: true, ..window_options() },
            engine,
            raw(),
            numbers(),
        )
    });
    let ordered = kind(|engine| {
        WindowStore::new(
            WindowOptions { ordered_by_time: true, ..window_options() },
            engine,
            raw(),
            numbers(),
        )
    });
    let panes = kind(open_panes);
    let with_headers = Kind {
        open: |engine| {
            WindowStore::<Key, ValueAndHeaders<i64>>::header_aware(window_options(), engine, raw(), numbers())
        },
        read: |store| {
            let mut rows = Rows::new();
            store.all(&mut |key, start, row, _| {
                rows.push((key, start, row.value, headers_of(&row.headers)))
            })?;
            rows.sort();
            Ok(rows)
        },
        lazy: false,
    };
    let stores = [
        store(("restore: window", "engine rows: window"), seeds(), plain),
        store(("restore: window of a join", "engine rows: window of a join"), of_joins(), duplicates),
        store(("restore: window by time", "engine rows: window by time"), seeds(), ordered),
        store(("restore: window in panes", "engine rows: window in panes"), changelog_of_panes(), panes),
        store(("restore: window with headers", "engine rows: window with headers"), seeds(), with_headers),
    ];
    stores.into_iter().flatten().collect()
}

fn session_options() -> SessionOptions {
    SessionOptions {
        segment_interval: SEGMENT,
        tier_max_bytes: TIER_BYTES,
        ..SessionOptions::new("s", RETENTION)
    }
}

fn read_sessions(store: &mut SessionStore<Key, i64>) -> Result<Rows, StateError> {
    let mut rows = Rows::new();
    store.for_each(&mut |key, window, value| {
        rows.push((key, window.start, window.end, value.to_be_bytes().to_vec()));
    })?;
    rows.sort();
    Ok(rows)
}

fn sessions(corpus: &Corpus) -> Vec<Decoder> {
    let seeds = || frames(&[session_keys(), corpus.field("session_keys", "store_key")].concat(), &values());
    let plain = Kind {
        open: |engine| SessionStore::new(session_options(), engine, raw(), numbers()),
        read: read_sessions,
        lazy: false,
    };
    let by_time = Kind {
        open: |engine| {
            SessionStore::new(
                SessionOptions { time_index: true, ..session_options() },
                engine,
                raw(),
                numbers(),
            )
        },
        read: |store| {
            store.find_sessions_ended(0, Timestamp::MAX, &mut |_, _, _| ())?;
            read_sessions(store)
        },
        lazy: false,
    };
    let with_headers = Kind {
        open: |engine| {
            SessionStore::<Key, ValueAndHeaders<i64>>::header_aware(
                session_options(),
                engine,
                raw(),
                numbers(),
            )
        },
        read: |store| {
            let mut rows = Rows::new();
            store.for_each(&mut |key, window, row| {
                rows.push((key, window.start, window.end, headers_of(&row.headers)));
            })?;
            rows.sort();
            Ok(rows)
        },
        lazy: false,
    };
    let stores = [
        store(("restore: session", "engine rows: session"), seeds(), plain),
        store(("restore: session by time", "engine rows: session by time"), seeds(), by_time),
        store(("restore: session with headers", "engine rows: session with headers"), seeds(), with_headers),
    ];
    stores.into_iter().flatten().collect()
}

fn buffers(corpus: &Corpus) -> Vec<Decoder> {
    let values = corpus.field("suppress_buffer_value", "changelog_value_hex");
    let changes = Kind {
        open: |engine| {
            let options = ChangeBufferOptions { name: "s".into(), logging: true, spill: Some(TIER_BYTES) };
            ChangeBuffer::<Key, Vec<u8>>::new(options, engine, raw(), raw())
        },
        read: |buffer| {
            let mut rows = Rows::new();
            buffer.evict_while(
                |_, _, _| true,
                |row| {
                    let values =
                        [row.change.old.unwrap_or_default(), row.change.new.unwrap_or_default()].concat();
                    rows.push((row.key, row.time, row.context.timestamp, values));
                },
            )?;
            // Nothing is left, and nothing is counted any more.
            rows.push((Key::new(), buffer.buffer_size() as i64, buffer.num_records() as i64, Vec::new()));
            Ok(rows)
        },
        lazy: true,
    };
    let grace = Kind {
        open: |engine| {
            let options = GraceBufferOptions {
                name: "s".into(),
                grace: 0,
                logging: true,
                memory_max_bytes: TIER_BYTES,
            };
            GraceBuffer::<Key, Vec<u8>>::new(options, engine, raw(), raw())
        },
        read: |buffer| {
            let mut rows = Rows::new();
            while let Some(row) = buffer.pop_due()? {
                rows.push((row.key, row.context.timestamp, 0, row.value));
            }
            Ok(rows)
        },
        lazy: true,
    };
    let joins = Kind {
        open: |engine| {
            let options = OuterJoinOptions { name: "s".into(), logging: true, memory_max_bytes: TIER_BYTES };
            OuterJoinStore::<Key, Vec<u8>, Vec<u8>>::new(options, engine, raw(), raw(), raw())
        },
        read: |store| {
            let mut rows = Rows::new();
            store.min_timestamp();
            store.scan(&mut |row| {
                let values = row.values()?.len() as i64;
                rows.push((row.key()?, row.timestamp, values, Vec::new()));
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(rows)
        },
        lazy: true,
    };
    let keys = corpus.serdes("Integer");
    let waiting = corpus.field("timestamped_key_and_join_side", "hex");
    let stores = [
        store(
            ("restore: suppress buffer", "engine rows: suppress buffer"),
            [frames_with(&[16, 16, 18, 17], &keys, &values), old_changes(corpus)].concat(),
            changes,
        ),
        store(
            ("restore: grace buffer", "engine rows: grace buffer"),
            frames(&corpus.field("stream_table_grace_buffer_key", "hex"), &values),
            grace,
        ),
        store(
            ("restore: outer join", "engine rows: outer join"),
            frames(&waiting, &corpus.field("outer_join_value_list", "hex")),
            joins,
        ),
    ];
    stores.into_iter().flatten().collect()
}

/// Records of suppress buffers as older versions wrote them.
fn old_changes(corpus: &Corpus) -> Vec<Vec<u8>> {
    let record = |vector: &serde_json::Value| {
        let version = vector["header_v"].as_str().and_then(unhex).map_or(0, |version| (version[0] + 1) << 2);
        Some(frame(version, 5, b"k", &unhex(vector["value_hex"].as_str()?)?))
    };
    corpus.vectors("suppress_buffer_changelog_decode").iter().filter_map(record).collect()
}

fn headers_of(headers: &Headers) -> Vec<u8> {
    let mut out = Vec::new();
    streams_state::format::headers::encode(headers, &mut out);
    out
}

/// Keys whose windows live together, some of them again, numbered in turn.
fn window_keys(sequences: &[i32]) -> Vec<Vec<u8>> {
    let key = |(at, start): (usize, &i64)| {
        let sequence = sequences[at % sequences.len()];
        [b"k", &start.to_be_bytes()[..], &sequence.to_be_bytes()].concat()
    };
    [0, 5, 10, 5, 150, 990, 1200, 150, 155].iter().enumerate().map(key).collect()
}

/// What a store of panes logs: only it knows how.
fn changelog_of_panes() -> Vec<Vec<u8>> {
    let mut store = open_panes(Box::new(InMemoryEngine::new())).unwrap();
    let mut frames = Vec::new();
    for (at, time) in [3, 8, 12, 12, 140, 151, 153, 990, 1200, 1190].into_iter().enumerate() {
        let add = |row: &mut Option<(i64, Timestamp)>| {
            *row = Some((row.map_or(0, |(sum, _)| sum) + 1, time));
            Ok::<(), StateError>(())
        };
        let key = [b"k", b"l"][at % 2].to_vec();
        let _ = store.try_update_pane(&key, time, &RecordContext::none(time), add).unwrap();
        let mut records = Vec::new();
        let mut keep = |entry: ChangelogEntry<'_>| {
            records.extend(frame(
                u8::from(entry.value.is_none()),
                entry.timestamp,
                entry.key,
                entry.value.unwrap_or_default(),
            ));
            Ok(())
        };
        store.drain_changelog(&mut keep).unwrap();
        frames.push(records);
    }
    let all = frames.concat();
    frames.push(all);
    frames
}

fn open_panes(engine: Box<dyn Engine>) -> Result<WindowStore<Key, i64>, StateError> {
    let combine: Combine<Key, i64> = Arc::new(|_, one, other| one.wrapping_add(*other));
    Ok(WindowStore::new(window_options(), engine, raw(), numbers())?.in_panes(5, combine))
}

fn session_keys() -> Vec<Vec<u8>> {
    let key = |(start, end): (i64, i64)| [b"k", &end.to_be_bytes()[..], &start.to_be_bytes()].concat();
    [(0, 10), (5, 10), (20, 20), (150, 250), (900, 1300), (20, 20)].map(key).into()
}
