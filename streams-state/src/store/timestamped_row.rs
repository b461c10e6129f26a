//! Rows of stores with timestamps on their way into an engine, as [`ValueAndTimestamp`] draws them: of a typed row, or of a record of the
//! changelog as it is. `false` is a deletion.

use super::ChangelogRecord;
use crate::format::value_and_timestamp::ValueAndTimestamp;
use crate::serdes::{Serde, SerdeError};
use crate::types::Timestamp;

/// Appends `row`.
pub(super) fn write_row<V: 'static>(
    values: &dyn Serde<V>,
    row: Option<&(V, Timestamp)>,
    out: &mut Vec<u8>,
) -> Result<bool, SerdeError> {
    let Some((value, timestamp)) = row else { return Ok(false) };
    ValueAndTimestamp { timestamp: *timestamp, value: &[] }.encode(out);
    values.serialize(value, out)
}

/// Appends the row that `record` says.
pub(super) fn copy_row(record: &ChangelogRecord<'_>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
    let Some(value) = record.value else { return Ok(false) };
    ValueAndTimestamp { timestamp: record.timestamp, value }.encode(out);
    Ok(true)
}
