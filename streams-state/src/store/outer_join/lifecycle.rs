//! Steps 5 to 8 of an outer join's store seen from the task: changelog out, commit, flush to the engine, restore.

use super::*;
use crate::engine::Statistics;
use crate::format::FormatError;

impl<K: 'static, L: 'static, R: 'static> StateStore for OuterJoinStore<K, L, R> {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn drain_changelog(
        &mut self,
        sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        self.progress.check_broken()?;
        self.log.drain(sink)
    }

    fn committed(&mut self, offset: Option<i64>) {
        self.progress.committed(offset);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, _timestamp: Timestamp) -> Result<(), StateError> {
        self.progress.restored();
        let mut row_key = vec![ROW];
        row_key.extend_from_slice(key);
        TimestampedKeyAndJoinSide::decode(key).map_err(|error| self.progress.serde_error(error))?;
        match value {
            Some(list) => {
                let checked: Result<Vec<()>, FormatError> = list::decode_each(list, None, |_| Ok(()));
                checked.map_err(|error| self.progress.serde_error(error))?;
                self.rows.put(&row_key, list.to_vec());
            }
            None => self.rows.remove(&row_key),
        }
        self.settle()
    }

    fn offset(&self) -> Option<i64> {
        self.progress.offset()
    }

    fn unflushed(&self) -> Unflushed {
        Unflushed { records: self.progress.unflushed(), bytes: self.rows.unflushed_bytes() }
    }

    fn start_flush(&mut self) -> Result<(), StateError> {
        self.progress.check_flush(!self.log.is_empty())?;
        if self.progress.behind() {
            self.rows.flush(&[], self.progress.offset(), &mut |_, _| Ok(()))?;
        }
        self.progress.flushed();
        self.settle()
    }

    fn memory_bytes(&self) -> u64 {
        self.rows.memory_bytes()
    }

    fn engine_bytes(&self) -> u64 {
        self.rows.engine().size_bytes()
    }

    fn engine_property(&self, name: &str) -> Option<u64> {
        self.rows.engine().property(name)
    }

    fn engine_statistics(&self) -> Option<Statistics> {
        self.rows.engine().statistics()
    }

    fn num_keys(&self) -> Option<u64> {
        self.rows.count()
    }

    fn operation_meters(&mut self) -> Option<&mut OperationMeters> {
        Some(&mut self.meters)
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.rows.wipe()?;
        self.log.clear();
        self.progress.wiped();
        Ok(())
    }
}
