//! Hopping windows in panes beside the same windows as rows: the same records make the same windows, held back and let go in the
//! same order, with the same old values, over engines with and without memory, and after crashes.

use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use streams_state::serdes::Auto;
use streams_state::store::{CachedStore, StateStore, WindowOptions, WindowStore};
use streams_state::types::{RecordContext, Timestamp};

use crate::engines::{self, Opener};

/// Numbers of the records in a window: each must be there once.
type Value = Vec<i64>;
type Windows = WindowStore<String, Value>;

/// Records are at most this late, so that only windows that are long closed expire.
const LATE_MAX: i64 = 100;

#[derive(Debug, Clone)]
enum Op {
    /// Key, and how much later than the latest record.
    Record(u8, i64),
    Fetch(u8),
    Scan {
        from: i64,
        len: i64,
        backward: bool,
    },
    /// Lets go of what the caches hold, in order.
    Release,
    Commit,
    CommitAndFlush,
    /// Both stores are opened again; `true`: from an empty directory.
    Crash(bool),
}

#[derive(Debug, Clone)]
struct Options {
    size: i64,
    advance: i64,
    grace: i64,
    caching: bool,
    old_values: bool,
    persistent: bool,
    ordered_by_time: bool,
    tier_max_bytes: u64,
    segment_interval: i64,
}

fn op() -> impl Strategy<Value = Op> {
    // Late for none, some, or all of their windows.
    let later = prop_oneof![8 => 0..6_i64, 8 => -40..0_i64, 1 => -LATE_MAX..0_i64, 1 => 20..300_i64];
    prop_oneof![
        20 => (0..4_u8, later).prop_map(|(key, later)| Op::Record(key, later)),
        3 => (0..4_u8).prop_map(Op::Fetch),
        2 => (-20..300_i64, 0..200_i64, any::<bool>())
            .prop_map(|(from, len, backward)| Op::Scan { from, len, backward }),
        3 => Just(Op::Release),
        2 => Just(Op::Commit),
        3 => Just(Op::CommitAndFlush),
        1 => any::<bool>().prop_map(Op::Crash),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let windows = (1..40_i64).prop_flat_map(|size| (Just(size), 1..=size, prop_oneof![0..4_i64, 0..20_i64]));
    let form = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let tier = prop_oneof![Just(0), Just(2500), Just(1 << 20)];
    (windows, form, tier, prop_oneof![Just(7), Just(30), Just(1000)]).prop_map(
        |((size, advance, grace), form, tier_max_bytes, segment_interval)| {
            let (caching, old_values, persistent, ordered_by_time) = form;
            Options {
                size,
                advance,
                grace,
                caching,
                old_values,
                persistent,
                ordered_by_time,
                tier_max_bytes,
                segment_interval,
            }
        },
    )
}

fn key(number: u8) -> String {
    format!("{}{number}", "k".repeat(usize::from(number) * 8))
}

/// A store, its engine and its changelog.
struct Kept {
    opener: Opener,
    store: Windows,
    /// Key, value, timestamp.
    changelog: Vec<(Vec<u8>, Option<Vec<u8>>, Timestamp)>,
    in_panes: bool,
}

impl Kept {
    fn new(options: &Options, mut opener: Opener, in_panes: bool) -> Self {
        let store = open(options, &mut opener, in_panes);
        Self { opener, store, changelog: Vec::new(), in_panes }
    }

    fn commit(&mut self) {
        let changelog = &mut self.changelog;
        let drained = self.store.drain_changelog(&mut |entry| {
            changelog.push((entry.key.to_vec(), entry.value.map(<[u8]>::to_vec), entry.timestamp));
            Ok(())
        });
        drained.unwrap();
        self.store.committed(Some(self.changelog.len() as i64));
    }

    fn crash(&mut self, options: &Options, wiped: bool) {
        // An engine on disk is opened once at a time.
        self.store = open(options, &mut engines::in_memory(), self.in_panes);
        self.store = open(options, &mut self.opener, self.in_panes);
        if wiped {
            self.store.wipe().unwrap();
        }
        let from = self.store.offset().unwrap_or(0) as usize;
        for (key, value, timestamp) in &self.changelog[from..] {
            self.store.restore(key, value.as_deref(), *timestamp).unwrap();
        }
        self.store.committed(Some(self.changelog.len() as i64));
    }

    fn scan(&mut self, from: i64, to: i64, backward: bool) -> Vec<(String, i64, Value, Timestamp)> {
        let mut found = Vec::new();
        let mut visit = |key: String, start: i64, value: &Value, timestamp: Timestamp| {
            found.push((key, start, value.clone(), timestamp));
            ControlFlow::Continue(())
        };
        match backward {
            true => self.store.fetch_all_backward(from, to, &mut visit).unwrap(),
            false => self.store.fetch_all(from, to, &mut visit).unwrap(),
        }
        found
    }
}

fn open(options: &Options, opener: &mut Opener, in_panes: bool) -> Windows {
    let retention = options.size + options.grace + LATE_MAX + 1;
    let made = WindowOptions {
        caching: options.caching,
        persistent: options.persistent,
        ordered_by_time: options.ordered_by_time,
        tier_max_bytes: options.tier_max_bytes,
        segment_interval: options.segment_interval,
        expired_max_bytes: 0,
        ..WindowOptions::new("s", retention, options.size)
    };
    let mut store = Windows::new(made, opener(), Arc::new(Auto), Arc::new(Auto)).unwrap();
    if in_panes {
        store = store.in_panes(
            options.advance,
            Arc::new(|_: &String, mut one: Value, two: &Value| {
                one.extend(two);
                one.sort_unstable();
                one
            }),
        );
    }
    if options.old_values {
        store.send_old_values();
    }
    store
}

struct Both {
    options: Options,
    rows: Kept,
    panes: Kept,
    records: i64,
    latest: i64,
    /// What the operator knows: nothing after a crash.
    stream_time: i64,
}

impl Both {
    fn new(options: Options, opener: fn() -> Opener) -> Self {
        let (rows, panes) = (Kept::new(&options, opener(), false), Kept::new(&options, opener(), true));
        Self { options, rows, panes, records: 0, latest: 0, stream_time: -1 }
    }

    /// The first start that surely is shown.
    fn shown_from(&self) -> i64 {
        self.rows.store.stream_time() - self.rows.store.options().retention + 1
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Record(key, later) => self.record(crate::panes::key(*key), *later),
            Op::Fetch(key) => self.fetch(&crate::panes::key(*key)),
            Op::Scan { from, len, backward } => {
                let from = (self.latest - 200 + from).max(self.shown_from());
                let rows = self.rows.scan(from, from + len, *backward);
                assert_eq!(self.panes.scan(from, from + len, *backward), rows);
            }
            Op::Release => self.release(),
            Op::Commit => self.commit(),
            Op::CommitAndFlush => {
                self.commit();
                self.rows.store.flush().unwrap();
                self.panes.store.flush().unwrap();
            }
            Op::Crash(wiped) => {
                self.stream_time = -1;
                self.rows.crash(&self.options, *wiped);
                self.panes.crash(&self.options, *wiped);
            }
        }
        assert_eq!(self.panes.store.stream_time(), self.rows.store.stream_time());
    }

    fn record(&mut self, key: String, later: i64) {
        let Options { size, advance, grace, .. } = self.options;
        let time = (self.latest + later).max(0);
        self.latest = self.latest.max(time);
        self.stream_time = self.stream_time.max(time);
        self.records += 1;
        let number = self.records;
        let context = RecordContext { offset: number, ..RecordContext::none(time) };
        let first = (time - size + advance).max(0) / advance * advance;
        let all: Vec<i64> = (first..=time).step_by(advance as usize).collect();
        let open: Vec<i64> =
            all.iter().copied().filter(|start| start + size > self.stream_time - grace).collect();
        let add = |row: &mut Option<(Value, Timestamp)>| {
            let (numbers, timestamp) = row.get_or_insert((Vec::new(), time));
            numbers.push(number);
            numbers.sort_unstable();
            *timestamp = time.max(*timestamp);
            Ok::<(), ()>(())
        };
        for start in &open {
            self.rows.store.try_update(&key, *start, &context, add).unwrap().unwrap().unwrap();
        }
        let Some((first, last)) = open.first().zip(open.last()) else { return };
        let panes = &mut self.panes.store;
        if open.len() == all.len() {
            panes.try_update_pane(&key, time, &context, add).unwrap().unwrap().unwrap();
        } else {
            for start in &open {
                panes.try_update_window(&key, *start, &context, add).unwrap().unwrap().unwrap();
            }
        }
        let mut found = Vec::new();
        panes
            .fetch_windows(&key, *first, *last, &mut |start, value, time| found.push((start, value, time)))
            .unwrap();
        let row = |start: &i64| {
            let (value, time) = self.rows.store.fetch(&key, *start).unwrap().unwrap();
            (*start, value.clone(), time)
        };
        assert_eq!(found, open.iter().map(row).collect::<Vec<_>>());
    }

    fn fetch(&mut self, key: &String) {
        for start in self.shown_from().max(0)..=self.latest + 1 {
            let row = self.rows.store.fetch(key, start).unwrap();
            assert_eq!(self.panes.store.fetch(key, start).unwrap(), row, "{start}");
        }
    }

    /// Both hold back the same windows, and let them go in the same order.
    fn release(&mut self) {
        if !self.options.caching {
            return;
        }
        loop {
            let (row, window) =
                (self.rows.store.pop_cached().unwrap(), self.panes.store.pop_cached().unwrap());
            let Some(row) = row else { break assert!(window.is_none()) };
            let window = window.unwrap();
            assert_eq!(window.key, row.key);
            assert_eq!((window.change, window.timestamp), (row.change, row.timestamp));
            assert_eq!(window.context, row.context);
        }
        assert_eq!(self.panes.store.take_refused(), self.rows.store.take_refused());
    }

    fn commit(&mut self) {
        match self.records % 2 {
            0 => self.release(),
            _ => {
                self.rows.store.write_cached().unwrap();
                self.panes.store.write_cached().unwrap();
            }
        }
        self.rows.commit();
        self.panes.commit();
    }
}

fn check(options: Options, ops: &[Op], opener: fn() -> Opener) {
    let mut both = Both::new(options, opener);
    ops.iter().for_each(|op| both.step(op));
    for op in [Op::Release, Op::CommitAndFlush, Op::Fetch(1), Op::Crash(false), Op::Crash(true), Op::Fetch(2)]
    {
        both.step(&op);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn panes_make_the_same_windows(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::kept_map);
    }

    #[test]
    fn panes_make_the_same_windows_in_memory(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::in_memory);
    }
}

#[cfg(feature = "rocksdb")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn panes_make_the_same_windows_over_rocksdb(options in options(), ops in proptest::collection::vec(op(), 1..120)) {
        check(options, &ops, engines::rocksdb);
    }
}

fn windows_of(size: i64, advance: Option<i64>, opener: &mut Opener) -> Windows {
    let options = WindowOptions { tier_max_bytes: 0, ..WindowOptions::new("s", 100, size) };
    let store = Windows::new(options, opener(), Arc::new(Auto), Arc::new(Auto)).unwrap();
    match advance {
        Some(advance) => store.in_panes(advance, Arc::new(|_: &String, one, _: &Value| one)),
        None => store,
    }
}

/// Whoever changes the windows of a store, or keeps them in panes from now on, must not read nonsense.
#[test]
fn rows_of_other_windows_are_refused() {
    let context = RecordContext::none(5);
    let forms = [None, Some(5), Some(2)];
    for written in forms {
        let mut opener = engines::kept_map();
        let mut store = windows_of(10, written, &mut opener);
        match written {
            Some(_) => {
                let set = |row: &mut Option<_>| {
                    *row = Some((vec![1], 5));
                    Ok::<_, ()>(())
                };
                store.try_update_pane(&key(1), 5, &context, set).unwrap().unwrap().unwrap();
            }
            None => assert!(store.put(&key(1), 5, Some(vec![1]), 5, &context).unwrap()),
        }
        let mut logged = Vec::new();
        let mut take = |entry: streams_state::store::ChangelogEntry<'_>| {
            logged.push((entry.key.to_vec(), entry.value.map(<[u8]>::to_vec)));
            Ok(())
        };
        store.drain_changelog(&mut take).unwrap();
        store.committed(Some(1));
        store.flush().unwrap();
        drop(store);
        for read in forms {
            let read_rows = windows_of(10, read, &mut opener).fetch(&key(1), 5).map(|row| row.map(|_| ()));
            let (entry, value) = &logged[0];
            let restored =
                windows_of(10, read, &mut engines::in_memory()).restore(entry, value.as_deref(), 5);
            if read == written {
                read_rows.unwrap();
                restored.unwrap();
            } else {
                let expected = "store `s`: it has rows of another form";
                assert!(read_rows.unwrap_err().to_string().contains(expected));
                assert!(restored.unwrap_err().to_string().contains(expected));
            }
        }
    }
}

/// A processor that writes the store of a windowed table would mix windows with panes.
#[test]
fn only_records_go_into_panes() {
    let (mut opener, context) = (engines::kept_map(), RecordContext::none(5));
    let mut panes = windows_of(10, Some(5), &mut opener);
    let refused = [
        panes.put(&key(1), 5, Some(vec![1]), 5, &context).unwrap_err(),
        panes.update(&key(1), 5, &context, |_| ()).unwrap_err(),
        windows_of(10, None, &mut opener)
            .try_update_pane(&key(1), 5, &context, |_| Ok::<(), ()>(()))
            .unwrap_err(),
    ];
    let sentences = refused.map(|error| error.to_string());
    assert!(
        sentences[..2].iter().all(|text| text.contains("keeps panes, which only its aggregation can write"))
    );
    assert!(sentences[2].contains("keeps no panes"), "{sentences:?}");
}
