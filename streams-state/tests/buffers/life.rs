//! The life of a store: changelog, commits, flushes, crashes, beside the model that goes through the same.

use streams_state::engine::Engine;
use streams_state::store::{ChangelogRecord, StateStore};
use streams_state::types::{Headers, Timestamp};

use crate::Event;
use crate::engines::Opener;

/// A record of the changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub timestamp: Timestamp,
    pub headers: Headers,
}

/// What a model does beside its operations.
pub(crate) trait Model: Clone + Default {
    /// What the store should have logged since the last call; at a commit if `commit`.
    fn take_logged(&mut self, commit: bool) -> Vec<Logged>;

    /// Applies a record of the changelog.
    fn restore(&mut self, record: &Logged);

    /// What was logged, in an order that can be compared.
    fn arrange(logged: Vec<Logged>) -> Vec<Logged> {
        logged
    }
}

type Make<S> = Box<dyn Fn(Box<dyn Engine>) -> S>;

pub(crate) struct Life<S, M> {
    store: Option<S>,
    pub model: M,
    make: Make<S>,
    opener: Opener,
    logging: bool,
    durable: bool,
    /// Bytes that the store may use after a flush.
    memory: Option<u64>,
    /// Something was done since the last commit.
    pub uncommitted: bool,
    pending: Vec<Logged>,
    changelog: Vec<Logged>,
    flushed: (M, Option<i64>),
}

impl<S: StateStore, M: Model> Life<S, M> {
    pub(crate) fn new(make: Make<S>, opener: Opener, logging: bool, memory: Option<u64>) -> Self {
        let mut life = Self {
            store: None,
            model: M::default(),
            make,
            opener,
            logging,
            durable: true,
            memory,
            uncommitted: false,
            pending: Vec::new(),
            changelog: Vec::new(),
            flushed: (M::default(), None),
        };
        life.open();
        life
    }

    pub(crate) fn store(&mut self) -> &mut S {
        self.store.as_mut().unwrap()
    }

    fn open(&mut self) {
        self.store = None;
        let engine = (self.opener)();
        self.durable = engine.is_durable();
        self.store = Some((self.make)(engine));
    }

    fn drain(&mut self, commit: bool) {
        let mut drained = Vec::new();
        let sink = &mut |entry: streams_state::store::ChangelogEntry<'_>| {
            drained.push(Logged {
                key: entry.key.to_vec(),
                value: entry.value.map(<[u8]>::to_vec),
                timestamp: entry.timestamp,
                headers: entry.headers.clone(),
            });
            Ok(())
        };
        self.store().drain_changelog(sink).unwrap();
        let expected = self.model.take_logged(commit);
        if self.logging {
            assert_eq!(M::arrange(drained.clone()), expected);
        } else {
            assert_eq!(drained, []);
        }
        self.pending.append(&mut drained);
    }

    fn commit(&mut self) {
        self.store().prepare_commit().unwrap();
        self.drain(true);
        self.changelog.append(&mut self.pending);
        let offset = self.logging.then_some(self.changelog.len() as i64);
        self.store().committed(offset);
        self.uncommitted = false;
    }

    fn flush(&mut self) {
        let result = self.store().flush();
        assert_eq!(result.is_err(), self.uncommitted);
        if result.is_ok() {
            assert_eq!(self.store().unflushed(), Default::default());
            if self.durable {
                self.flushed = (self.model.clone(), self.store().offset());
                // A page is read whatever the limit is.
                let max = self.memory.map_or(u64::MAX, |memory| memory * 3 / 2 + 4_000);
                assert!(self.store().memory_bytes() <= max, "{} bytes", self.store().memory_bytes());
            }
        }
    }

    fn restore(&mut self, offset: Option<i64>) {
        self.pending.clear();
        self.uncommitted = false;
        if !self.logging {
            return;
        }
        let from = offset.unwrap_or(0) as usize;
        for (offset, record) in self.changelog.clone().into_iter().enumerate().skip(from) {
            let restored = ChangelogRecord {
                key: &record.key,
                value: record.value.as_deref(),
                timestamp: record.timestamp,
                headers: &record.headers,
                offset: offset as i64,
            };
            self.store().restore_record(&restored).unwrap();
            self.model.restore(&record);
        }
        let reached = Some(self.changelog.len() as i64);
        self.store().committed(reached);
    }

    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Drain => self.drain(false),
            Event::Commit => self.commit(),
            Event::Flush => self.flush(),
            Event::CommitAndFlush => {
                self.commit();
                self.flush();
            }
            Event::Crash => {
                self.open();
                let (model, offset) = self.flushed.clone();
                assert_eq!(self.store().offset(), offset);
                self.model = model;
                self.restore(offset);
            }
            Event::Wipe => {
                self.store().wipe().unwrap();
                assert_eq!(self.store().offset(), None);
                self.flushed = (M::default(), None);
                self.model = M::default();
                self.restore(None);
            }
        }
    }
}
