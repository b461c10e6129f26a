//! Before step 1, many records at once: changelog records of a window store -> rows of its engine, as bytes.

use super::WindowOptions;
use super::layout;
use super::panes::OTHER_FORM;
use crate::engine::{Run, RunWriter};
use crate::error::StateError;
use crate::format::window_key::WindowKey;
use crate::serdes::SerdeError;
use crate::store::ChangelogRecord;
use crate::store::bulk_restore::BulkRows;
use crate::store::timestamped_row::copy_row;
use crate::types::Timestamp;

/// Rows of a window store. Time goes on as in the store: what was expired when its record was written is skipped.
pub(super) struct WindowRows {
    options: WindowOptions,
    stream_time: Timestamp,
    sequence: u32,
}

impl WindowRows {
    /// `state`: stream time and sequence of the engine.
    pub(super) fn new(options: &WindowOptions, state: (Timestamp, u32)) -> Self {
        Self { options: options.clone(), stream_time: state.0, sequence: state.1 }
    }
}

impl BulkRows for WindowRows {
    fn add(&mut self, record: &ChangelogRecord<'_>, run: &mut Run) -> Result<(), SerdeError> {
        let at = WindowKey::decode(record.key).map_err(|error| SerdeError::new(error.to_string()))?;
        let duplicates = self.options.retain_duplicates;
        let sequence = at.sequence as u32;
        if duplicates {
            self.sequence = sequence;
        } else if sequence != 0 {
            return Err(SerdeError::new(OTHER_FORM));
        }
        self.stream_time = self.stream_time.max(at.start);
        if at.start < self.options.horizon(self.stream_time) || (record.value.is_none() && duplicates) {
            return Ok(());
        }
        let segment = self.options.segment_id(at.start);
        if self.options.ordered_by_time {
            let present = record.value.is_some();
            let key = |out: &mut Vec<u8>| layout::time_key(segment, at.start, at.key, sequence, out);
            run.push_with(key, |_| Ok::<bool, SerdeError>(present))?;
        }
        run.push_with(
            |out| {
                layout::key_prefix(segment, at.key, out);
                layout::row_suffix(at.start, sequence, out);
            },
            |out| copy_row(record, out),
        )
    }

    fn expire(&self) -> bool {
        true
    }

    /// The start of a window is not after the timestamp of a record in it. Processors that put rows of their own may take the end of
    /// a window for its start: so a window's size is added. What lies still further ahead of its record is lost as soon as the broker
    /// deletes by age, too.
    fn newest(&mut self, record: &ChangelogRecord<'_>) -> Option<Timestamp> {
        let at = WindowKey::decode(record.key).ok()?;
        self.stream_time = self.stream_time.max(at.start);
        Some(self.options.horizon(self.stream_time).saturating_sub(self.options.window_size))
    }

    fn complete(&mut self, run: &mut Run, _engine: &dyn RunWriter) -> Result<(), StateError> {
        let oldest = self.stream_time.saturating_sub(self.options.retention);
        let live = layout::segment_prefix(self.options.segment_id(oldest));
        run.retain(|key| key >= &live[..]);
        let state = layout::encode_state(self.stream_time, self.sequence);
        run.push_first(layout::STATE_KEY, Some(&state));
        Ok(())
    }
}
