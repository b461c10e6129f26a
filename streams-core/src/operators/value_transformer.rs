//! What users implement for `KTable::transform_values`.

use streams_state::types::Timestamp;

use crate::error::BoxError;
use crate::processor::{ProcessingContext, Punctuation};

/// Makes a value of a table's row, with stores and schedules if it likes. It sends nothing by itself.
///
/// One instance per task for the table, and one more for each operator below that looks rows up in a table without
/// a store: it must give the same answer for the same row, as far as its stores let it.
pub trait ValueTransformerWithKey<K, V, VOut> {
    /// Once, before the first record: take stores, make schedules.
    fn init(&mut self, _context: &mut ProcessingContext<'_>) -> Result<(), BoxError> {
        Ok(())
    }

    /// The new value of the row `key`. `value` is `None` where the row was deleted (or, when a row is looked up, is
    /// missing); an answer of `None` deletes the row. An error goes to the processing exception handler.
    fn transform(
        &mut self,
        context: &mut ProcessingContext<'_>,
        key: &K,
        value: Option<&V>,
    ) -> Result<Option<VOut>, BoxError>;

    /// A schedule of this transformer is due at `timestamp`.
    fn punctuate(
        &mut self,
        _context: &mut ProcessingContext<'_>,
        _punctuation: Punctuation,
        _timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    /// Once, before the task goes away.
    fn close(&mut self) {}
}
