//! Whether the stores in a directory hold what their changelogs say.
//!
//! In: engines, opened for reading, and the changelogs, read committed. Each changelog is replayed up to the stored offset into a scratch
//! directory by the store's own code, keys and values left as bytes, and the rows are compared. The rest of the changelog is read, too:
//! compaction removes records for the sake of later ones, so that a key that changed after the offset cannot be judged. Nor can a row
//! whose records the broker has deleted by age.

use std::collections::HashSet;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::Serialize;
use streams_core::client::{ClientSupplier, RecordSink, Slot};
use streams_core::record::RawRecord;
use streams_state::engine::{Engine, EngineProvider, Layout};
use streams_state::error::StateError;
use streams_state::store::replay::{RowOwner, owner_of_record, owner_of_row, replayed};
use streams_state::store::{ChangelogRecord, StateStore};
use streams_state::types::TopicPartition;

use crate::cluster::Cluster;
use crate::{Error, Found, FoundTask};

/// Records between two flushes of the scratch store.
const FLUSH_RECORDS: u64 = 100_000;
/// Memory of the scratch store between two flushes.
const TIER_BYTES: u64 = 64 << 20;

/// The verdicts on an application's stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Where the state is.
    pub directory: String,
    /// Whose it is.
    pub application_id: String,
    /// Each store of each task.
    pub stores: Vec<StoreVerdict>,
}

/// The verdict on one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreVerdict {
    /// The task.
    pub task: String,
    /// The store.
    pub store: String,
    /// What came out.
    pub verdict: Verdict,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// All rows are those of the changelog.
    Equal {
        /// How many.
        rows: u64,
        /// Rows that could not be judged: they changed after the stored offset, are in a segment that expired, or their records were
        /// deleted from the changelog.
        skipped: u64,
    },
    /// Some are not.
    Differs(Difference),
    /// Nothing was compared, for this reason.
    NotCompared(String),
}

/// How a store differs from its changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Rows compared.
    pub rows: u64,
    /// Rows that are missing, too many or other ones.
    pub differing: u64,
    /// The key of the first of them, printable.
    pub first_key: String,
    /// What is the matter with it.
    pub first: String,
}

/// Compares all stores of `found`.
///
/// # Errors
/// A directory cannot be opened for reading, or the cluster does not answer.
pub fn verify(
    found: &Found,
    engines: &dyn EngineProvider,
    supplier: &dyn ClientSupplier,
) -> Result<Verification, Error> {
    let mut changelogs = Cluster::connect(supplier)?;
    let mut stores = Vec::new();
    for task in &found.tasks {
        for (store, engine) in engines.read(&task.directory)? {
            let verdict = verify_store(task, &*engine, engines, &mut changelogs)
                .map_err(|error| format!("task {}, store `{store}`: {error}", task.name))?;
            stores.push(StoreVerdict { task: task.name.clone(), store, verdict });
        }
    }
    let directory = found.directory.display().to_string();
    Ok(Verification { directory, application_id: found.application_id.clone(), stores })
}

fn verify_store(
    task: &FoundTask,
    engine: &dyn Engine,
    engines: &dyn EngineProvider,
    changelogs: &mut Cluster,
) -> Result<Verdict, Error> {
    let not_compared = |why: String| Ok(Verdict::NotCompared(why));
    let Some(partition) = task.partition else {
        return not_compared("global stores are not copies of their topics".to_owned());
    };
    let Some(offset) = engine.offset()? else {
        return not_compared("nothing was written yet".to_owned());
    };
    let identity = engine.identity()?;
    let Some((identity, layout)) = identity.and_then(|identity| Some((identity.clone(), identity.layout?)))
    else {
        return not_compared("the rows do not say how they are laid out".to_owned());
    };
    let Some(topic) = identity.changelog.clone() else {
        return not_compared("the store has no changelog".to_owned());
    };
    if !topic.ends_with("-changelog") {
        return not_compared(format!("it is restored from `{topic}`, whose values may be written otherwise"));
    }
    if identity.headers {
        return not_compared("rows may carry headers".to_owned());
    }
    if changelogs.existing(&[topic.clone()].into())?.is_empty() {
        return not_compared(format!("the topic `{topic}` does not exist"));
    }
    let changelog = TopicPartition::new(topic, partition);
    let bounds = changelogs.bounds(std::slice::from_ref(&changelog))?;
    let (start, end) = bounds.first().copied().unwrap_or_default();
    if end < offset {
        return not_compared(format!(
            "the store reaches offset {offset}, {changelog} ends at {end}: was it deleted and made anew?"
        ));
    }
    let scratch = tempfile::tempdir()?;
    let open = || -> Result<Box<dyn Engine>, Error> {
        Ok(engines.open(scratch.path(), &["replayed"])?.pop().ok_or("no scratch store was opened")?)
    };
    let Some(store) = replayed(&layout, "replayed", open()?, TIER_BYTES)? else {
        return not_compared("what waits in a buffer is laid out by its history".to_owned());
    };
    let mut replay = Replay { store, layout, offset, later: HashSet::new(), unflushed: 0, failed: None };
    changelogs.read(&changelog, (start, end), &mut replay, |replay| match replay.failed.take() {
        Some(error) => Err(format!("{changelog}: {error}").into()),
        None => Ok(true),
    })?;
    let Replay { mut store, layout, later, .. } = replay;
    store.committed(Some(offset));
    store.flush()?;
    drop(store);
    compare(&layout, engine, scratch.path(), engines, &Gone { later, cut: start > 0 })
}

/// Takes the records of a changelog.
struct Replay {
    store: Box<dyn StateStore>,
    layout: Layout,
    /// Where the store ends.
    offset: i64,
    /// Keys that changed after that.
    later: HashSet<Vec<u8>>,
    unflushed: u64,
    failed: Option<Error>,
}

impl Replay {
    fn take(&mut self, record: &RawRecord<'_>) -> Result<(), Error> {
        let Some(key) = record.key else { return Ok(()) };
        if record.offset >= self.offset {
            self.later.insert(owner_of_record(&self.layout, key)?.to_vec());
            return Ok(());
        }
        self.store.restore_record(&ChangelogRecord {
            key,
            value: record.value,
            timestamp: record.timestamp,
            headers: &record.headers,
            offset: record.offset,
        })?;
        self.unflushed += 1;
        if self.unflushed == FLUSH_RECORDS {
            self.unflushed = 0;
            self.store.committed(Some(record.offset + 1));
            self.store.flush()?;
        }
        Ok(())
    }
}

impl RecordSink for Replay {
    fn wants(&self, _: Slot) -> bool {
        self.failed.is_none()
    }

    fn record(&mut self, _: Slot, record: RawRecord<'_>) {
        if self.failed.is_none() {
            let offset = record.offset;
            let taken = self.take(&record);
            self.failed = taken.err().map(|error| format!("record {offset}: {error}").into());
        }
    }
}

/// What the changelog cannot tell.
struct Gone {
    /// Owners of rows that changed after the stored offset.
    later: HashSet<Vec<u8>>,
    /// Its first records were deleted, by age or by hand.
    cut: bool,
}

impl Gone {
    /// Whether a row of `layout` that is not in the replayed store (`found` is false), or differs there, may be right.
    fn explains(&self, layout: &Layout, found: bool) -> bool {
        // A row of several records may have lost some of them.
        let of_several = matches!(layout, Layout::Session { .. } | Layout::Versioned { .. });
        self.cut && (!found || of_several)
    }
}

/// Compares the rows on disk with those of the scratch store.
fn compare(
    layout: &Layout,
    engine: &dyn Engine,
    scratch: &Path,
    engines: &dyn EngineProvider,
    gone: &Gone,
) -> Result<Verdict, Error> {
    let scratch = engines.open(scratch, &["replayed"])?.pop().ok_or("no scratch store was opened")?;
    // What expired is deleted now and then, here earlier, there later.
    let live = oldest_segment(layout, engine)?.max(oldest_segment(layout, &*scratch)?);
    let judge = |key: &[u8]| match owner_of_row(layout, key) {
        Some(RowOwner { key, segment }) => {
            !gone.later.contains(key) && segment.is_none_or(|segment| Some(segment) >= live)
        }
        None => false,
    };
    let mut found = Difference { rows: 0, differing: 0, first_key: String::new(), first: String::new() };
    let mut skipped = 0;
    let mut differs = |key: &[u8], what: &str| {
        if found.differing == 0 {
            let owner = owner_of_row(layout, key).map_or(key, |owner| owner.key);
            (found.first_key, found.first) = (owner.escape_ascii().to_string(), what.to_owned());
        }
        found.differing += 1;
    };
    let mut rows = 0;
    let mut other = Vec::new();
    each(engine, |key, value| {
        if !judge(key) {
            skipped += u64::from(owner_of_row(layout, key).is_some());
            return Ok(());
        }
        let found = scratch.get(key, &mut other)?;
        let equal = found && other == value;
        if !equal && gone.explains(layout, found) {
            skipped += 1;
            return Ok(());
        }
        rows += 1;
        if !found {
            differs(key, "the changelog does not have the row");
        } else if !equal {
            differs(key, "the changelog has another value or timestamp");
        }
        Ok(())
    })?;
    each(&*scratch, |key, _| {
        if judge(key) && !engine.get(key, &mut other)? {
            rows += 1;
            differs(key, "the row of the changelog is missing");
        }
        Ok(())
    })?;
    found.rows = rows;
    Ok(if found.differing == 0 { Verdict::Equal { rows, skipped } } else { Verdict::Differs(found) })
}

fn oldest_segment(layout: &Layout, engine: &dyn Engine) -> Result<Option<i64>, Error> {
    let mut oldest: Option<i64> = None;
    each(engine, |key, _| {
        let segment = owner_of_row(layout, key).and_then(|owner| owner.segment);
        oldest = match (oldest, segment) {
            (Some(oldest), Some(segment)) => Some(oldest.min(segment)),
            (oldest, segment) => oldest.or(segment),
        };
        Ok(())
    })?;
    Ok(oldest)
}

/// Visits all rows.
fn each(
    engine: &dyn Engine,
    mut see: impl FnMut(&[u8], &[u8]) -> Result<(), StateError>,
) -> Result<(), Error> {
    let mut result = Ok(());
    engine.scan(Bound::Unbounded, Bound::Unbounded, &mut |key, value| {
        result = see(key, value);
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(result?)
}
