//! Random schedules over every kind of store: changes, commits and flushes, with everything between that may go wrong. The
//! process dies, the transaction aborts, another member takes the task and gives it back, the machine loses its power (and the
//! disk the last applies), the engine fails in the middle of anything, its data are damaged, the restore is cut off.
//! After each, and in the end, the store must show what its committed changelog gives to a new store that reads all of it:
//! the invariant that state on disk is nothing but a shortcut through the changelog.
#![allow(clippy::unwrap_used)]

mod disk;
mod kinds;

use std::cell::Cell;
use std::io::Write;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use streams_state::engine::InMemoryEngine;
use streams_state::error::{Cure, StateError};
use streams_state::store::{ChangelogEntry, ChangelogRecord};
use streams_state::types::{Headers, Timestamp};

use disk::{Disk, Failure};
use kinds::{Kind, Subject};

/// Schedules of each kind of store.
const SCHEDULES: u32 = 1000;

/// A change of the store: key, value, and how far time moves before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) key: u8,
    pub(crate) value: u8,
    pub(crate) step: u8,
}

#[derive(Debug, Clone)]
enum Event {
    Changes(Vec<Change>),
    Commit,
    CommitAndFlush,
    /// The transaction aborts: the store is closed and opened again over what the engine has.
    Abort,
    /// The process dies; what was not made durable by an apply is gone.
    Kill,
    /// The machine dies, and its disk has lost so many of the last applies.
    PowerLoss(u8),
    /// The engine fails after so many more calls.
    EngineFails(u8, Failure),
    /// Another member has the task, changes it, and gives it back; `true`: the store stayed open here meanwhile.
    Away(Vec<Change>, bool),
    /// Everything on disk is deleted.
    DirectoryLost,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0..24_u8, any::<u8>(), 0..30_u8).prop_map(|(key, value, step)| Change { key, value, step });
    proptest::collection::vec(change, 1..10)
}

fn event() -> impl Strategy<Value = Event> {
    let failure = prop_oneof![Just(Failure::Refused), Just(Failure::Unclear), Just(Failure::Damaged)];
    prop_oneof![
        10 => changes().prop_map(Event::Changes),
        3 => Just(Event::Commit),
        4 => Just(Event::CommitAndFlush),
        1 => Just(Event::Abort),
        1 => Just(Event::Kill),
        1 => (0..4_u8).prop_map(Event::PowerLoss),
        2 => (0..12_u8, failure).prop_map(|(calls, failure)| Event::EngineFails(calls, failure)),
        1 => (changes(), any::<bool>()).prop_map(|(changes, open)| Event::Away(changes, open)),
        1 => Just(Event::DirectoryLost),
    ]
}

/// A record of the changelog.
#[derive(Clone)]
struct Logged {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp: Timestamp,
    headers: Headers,
}

struct Run {
    kind: Kind,
    tier_max_bytes: u64,
    disk: Disk,
    /// `None`: the next event opens it.
    store: Option<Box<dyn Subject>>,
    changelog: Vec<Logged>,
    clock: Timestamp,
}

/// Records that are restored between two flushes.
const RESTORE_BATCH: usize = 16;

impl Run {
    fn make(&self, engine: Box<dyn streams_state::engine::Engine>) -> Result<Box<dyn Subject>, StateError> {
        self.kind.open(engine, self.tier_max_bytes)
    }

    /// Opens the store over what the disk has, and restores the rest.
    fn open(&mut self) -> Result<(), StateError> {
        let mut store = self.make(self.disk.engine())?;
        self.catch_up(&mut *store, true)?;
        self.store = Some(store);
        Ok(())
    }

    fn catch_up(&self, store: &mut dyn Subject, flush: bool) -> Result<(), StateError> {
        let from = store.state().offset().unwrap_or(0) as usize;
        assert!(from <= self.changelog.len(), "offset {from} of {}", self.changelog.len());
        for (batch, records) in self.changelog[from..].chunks(RESTORE_BATCH).enumerate() {
            let first = from + batch * RESTORE_BATCH;
            for (offset, record) in (first as i64..).zip(records) {
                store.state().restore_record(&ChangelogRecord {
                    key: &record.key,
                    value: record.value.as_deref(),
                    timestamp: record.timestamp,
                    headers: &record.headers,
                    offset,
                })?;
            }
            store.state().committed(Some((first + records.len()) as i64));
            if flush {
                store.state().flush()?;
            }
        }
        Ok(())
    }

    /// Applies the changes and gives what they log.
    fn change(store: &mut dyn Subject, changes: &[Change], clock: &mut Timestamp) -> Result<(), StateError> {
        for change in changes {
            *clock += i64::from(change.step);
            store.change(*change, *clock)?;
        }
        Ok(())
    }

    fn commit(store: &mut dyn Subject, changelog: &mut Vec<Logged>) -> Result<(), StateError> {
        let state = store.state();
        state.write_cached()?;
        state.prepare_commit()?;
        let mut logged = Vec::new();
        state.drain_changelog(&mut |entry: ChangelogEntry<'_>| {
            let (key, value) = (entry.key.to_vec(), entry.value.map(<[u8]>::to_vec));
            logged.push(Logged { key, value, timestamp: entry.timestamp, headers: entry.headers.clone() });
            Ok(())
        })?;
        changelog.append(&mut logged);
        state.committed(Some(changelog.len() as i64));
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), StateError> {
        let Self { store, changelog, clock, .. } = self;
        let open = store.as_deref_mut().unwrap();
        match event {
            Event::Changes(changes) => return Self::change(open, changes, clock),
            Event::Commit => return Self::commit(open, changelog),
            Event::CommitAndFlush => {
                Self::commit(open, changelog)?;
                return open.state().flush();
            }
            Event::EngineFails(calls, failure) => {
                self.disk.fail_after(*calls, *failure);
                return Ok(());
            }
            Event::Abort => *store = None,
            Event::Kill => {
                *store = None;
                self.disk.lose(0);
            }
            Event::PowerLoss(applies) => {
                *store = None;
                self.disk.lose(usize::from(*applies));
            }
            Event::DirectoryLost => {
                *store = None;
                self.disk.delete();
            }
            Event::Away(changes, stays) => return self.away(changes, *stays),
        }
        self.open()
    }

    fn away(&mut self, changes: &[Change], stays: bool) -> Result<(), StateError> {
        let mut ours = self.store.take();
        if stays {
            Self::commit(ours.as_deref_mut().unwrap(), &mut self.changelog)?;
        } else {
            ours = None;
        }
        let mut other = self.reference();
        Self::change(&mut *other, changes, &mut self.clock)?;
        Self::commit(&mut *other, &mut self.changelog)?;
        match ours {
            Some(mut store) => {
                self.catch_up(&mut *store, true)?;
                self.store = Some(store);
                Ok(())
            }
            None => self.open(),
        }
    }

    /// A store that knows nothing but the changelog.
    fn reference(&self) -> Box<dyn Subject> {
        let mut store = self.make(Box::new(InMemoryEngine::new())).unwrap();
        self.catch_up(&mut *store, false).unwrap();
        store
    }

    /// Does what `event` says, and whatever it takes to get over it.
    fn step(&mut self, event: &Event) {
        let mut result = self.event(event);
        for attempt in 0.. {
            let Err(error) = result else { break };
            assert!(attempt < 20, "it does not end: {error}");
            self.store = None;
            match error.cure() {
                Cure::Rebuild => self.disk.delete(),
                Cure::Stop => self.disk.lose(0),
            }
            result = self.open();
        }
        match event {
            Event::Changes(_) | Event::EngineFails(..) => {}
            Event::Commit
            | Event::CommitAndFlush
            | Event::Abort
            | Event::Kill
            | Event::PowerLoss(_)
            | Event::Away(..)
            | Event::DirectoryLost => self.compare(),
        }
    }

    /// Nothing is uncommitted: the store shows what the changelog says.
    fn compare(&mut self) {
        self.disk.heal();
        let expected = self.reference().rows().unwrap();
        let found = self.store.as_deref_mut().unwrap().rows().unwrap();
        assert_eq!(found, expected);
    }
}

/// Random schedules of one kind of store; says how many ran.
fn schedules(kind: Kind) {
    let config = ProptestConfig { cases: SCHEDULES, failure_persistence: None, ..ProptestConfig::default() };
    let tier = prop_oneof![Just(0_u64), Just(1_500), Just(1 << 20)];
    let ran = Cell::new(0);
    let mut runner = TestRunner::new(config);
    let result =
        runner.run(&(tier, proptest::collection::vec(event(), 1..60)), |(tier_max_bytes, events)| {
            ran.set(ran.get() + 1);
            let disk = Disk::default();
            let mut run =
                Run { kind, tier_max_bytes, disk, store: None, changelog: Vec::new(), clock: 1_000 };
            run.open().unwrap();
            events.iter().for_each(|event| run.step(event));
            run.step(&Event::CommitAndFlush);
            run.step(&Event::Kill);
            let drained = run.store.as_deref_mut().unwrap().drain().unwrap();
            assert_eq!(drained, run.reference().drain().unwrap());
            Ok(())
        });
    if let Err(failed) = result {
        panic!("{kind:?}: {failed}");
    }
    // Past the capture of the test's output, for the summary of `make test`.
    let words = format!("state schedules: {}\n", ran.get());
    std::io::stdout().write_all(words.as_bytes()).unwrap();
}

macro_rules! kinds {
    ($($name:ident => $kind:expr),* $(,)?) => {$(
        #[test]
        fn $name() {
            schedules($kind);
        }
    )*};
}

kinds![
    key_value => Kind::KeyValue { caching: false },
    key_value_with_cache => Kind::KeyValue { caching: true },
    window => Kind::Window { duplicates: false, ordered_by_time: false },
    window_with_duplicates => Kind::Window { duplicates: true, ordered_by_time: false },
    window_ordered_by_time => Kind::Window { duplicates: false, ordered_by_time: true },
    session => Kind::Session { time_index: false },
    session_with_index => Kind::Session { time_index: true },
    versioned => Kind::Versioned,
    change_buffer => Kind::ChangeBuffer,
    grace_buffer => Kind::GraceBuffer,
    outer_join => Kind::OuterJoin,
];
