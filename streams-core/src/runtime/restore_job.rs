//! One changelog partition -> runs in the engine of its store, without the store: what a restore worker does, or the crank where
//! there are no workers.
//!
//! In: any consumer that may be assigned. Out: rows in the engine and the offset that they reach. A store whose rows expire has the end of its
//! changelog looked at first: it tells what has expired by then, and from which record on there is anything that has not.

use std::time::Duration;

use streams_state::engine::Run;
use streams_state::error::StateError;
use streams_state::store::BulkRestore;
use streams_state::types::{Timestamp, TopicPartition};
use tracing::Span;

use super::restore::{OFFSETS_TIMEOUT, RestoreError};
use crate::client::{Consumer, OffsetSpec, RecordSink, Slot};
use crate::record::RawRecord;

/// Offsets at the end of a changelog that are looked at first. There may be markers and aborted records among them.
const LOOK_AT: i64 = 1000;

/// What the consumer reads.
#[derive(Clone, Copy)]
enum Reading {
    /// Nothing yet.
    Nothing,
    /// The end of the changelog.
    End,
    /// What is to be restored.
    All,
}

/// A restore on its way.
pub(crate) struct RestoreJob {
    changelog: TopicPartition,
    position: i64,
    end: i64,
    restore: BulkRestore,
    reading: Reading,
    matters_from: Option<Timestamp>,
    records: u64,
    /// The restore, where it was asked for.
    span: Span,
}

impl RestoreJob {
    /// Restores `changelog` from offset `position` up to `end`, which is not included, within the span that is entered now.
    pub(crate) fn new(changelog: TopicPartition, position: i64, end: i64, restore: BulkRestore) -> Self {
        let (reading, matters_from, span) = (Reading::Nothing, None, Span::current());
        Self { changelog, position, end, restore, reading, matters_from, records: 0, span }
    }

    /// Next offset to restore, and records restored so far.
    pub(crate) fn progress(&self) -> (i64, u64) {
        (self.position, self.records)
    }

    /// Takes the room of a restore that has ended.
    pub(crate) fn reuse(&mut self, run: Run) {
        self.restore.reuse(run);
    }

    /// The consumer is another one, or read something else in between.
    pub(crate) fn assign_anew(&mut self) {
        self.reading = Reading::Nothing;
    }

    /// Reads and applies what is there, or comes within `timeout`. Returns whether all is read.
    pub(crate) fn step(
        &mut self,
        consumer: &mut dyn Consumer,
        timeout: Duration,
    ) -> Result<bool, RestoreError> {
        let span = self.span.clone();
        let _entered = span.enter();
        match self.reading {
            Reading::Nothing => {
                let looks = self.restore.rows_expire() && self.matters_from.is_none();
                if looks && self.end - self.position > 2 * LOOK_AT {
                    self.read_from(self.end - LOOK_AT, consumer)?;
                    self.reading = Reading::End;
                } else {
                    self.read_from(self.position, consumer)?;
                    self.reading = Reading::All;
                }
            }
            Reading::End => {
                consumer.poll(timeout, &mut LookAtEnd(self))?;
                if consumer.position(&self.changelog)? >= self.end {
                    self.skip_expired(consumer)?;
                    self.read_from(self.position, consumer)?;
                    self.reading = Reading::All;
                }
            }
            Reading::All => {
                let mut intake = Intake { job: self, failure: None };
                consumer.poll(timeout, &mut intake)?;
                if let Some(failure) = intake.failure {
                    return Err(RestoreError::State(failure));
                }
                self.position = consumer.position(&self.changelog)?.min(self.end).max(self.position);
            }
        }
        Ok(matches!(self.reading, Reading::All) && self.position >= self.end)
    }

    /// Writes what is left. The engine reaches the position then.
    pub(crate) fn finish(self) -> Result<Run, StateError> {
        self.restore.finish(self.position)
    }

    fn read_from(&self, offset: i64, consumer: &mut dyn Consumer) -> Result<(), RestoreError> {
        Ok(consumer.assign(&[(self.changelog.clone(), offset, 0)])?)
    }

    fn skip_expired(&mut self, consumer: &mut dyn Consumer) -> Result<(), RestoreError> {
        let Some(time) = self.matters_from else { return Ok(()) };
        let changelog = std::slice::from_ref(&self.changelog);
        let found = consumer.list_offsets(changelog, OffsetSpec::AtTime(time), OFFSETS_TIMEOUT)?;
        if let Some(offset) =
            found.first().copied().filter(|offset| (self.position..=self.end).contains(offset))
        {
            tracing::info!(changelog = %self.changelog, from = self.position, to = offset, "skipping what has expired");
            self.position = offset;
        }
        Ok(())
    }
}

/// Shows the end of the changelog.
struct LookAtEnd<'a>(&'a mut RestoreJob);

impl RecordSink for LookAtEnd<'_> {
    fn wants(&self, _slot: Slot) -> bool {
        true
    }

    fn record(&mut self, _slot: Slot, record: RawRecord<'_>) {
        if let Some(record) = record.changelog_record() {
            self.0.matters_from = self.0.restore.newest(&record).or(self.0.matters_from);
        }
    }
}

/// Applies changelog records as they come.
struct Intake<'a> {
    job: &'a mut RestoreJob,
    failure: Option<StateError>,
}

impl RecordSink for Intake<'_> {
    fn wants(&self, _slot: Slot) -> bool {
        self.failure.is_none()
    }

    fn record(&mut self, _slot: Slot, record: RawRecord<'_>) {
        // A source topic that serves as changelog has records behind its end: they are still to be processed.
        if record.offset >= self.job.end {
            return;
        }
        self.job.records += 1;
        self.job.position = record.offset + 1;
        if let Some(record) = record.changelog_record()
            && let Err(error) = self.job.restore.record(&record)
        {
            self.failure.get_or_insert(error);
        }
    }
}
