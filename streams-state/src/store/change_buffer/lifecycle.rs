//! Steps 5 to 8 of a change buffer seen from the task: changelog at the commit, flush to the engine, restore.

use std::collections::BTreeMap;

use super::super::ChangelogEntry;
use super::*;

impl<K: 'static, V: 'static> StateStore for ChangeBuffer<K, V> {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn prepare_commit(&mut self) -> Result<(), StateError> {
        let mut headers = Headers::EMPTY;
        headers.add(VERSION_HEADER, Some(vec![VERSION]));
        for key in self.dirty.take() {
            self.progress.updated();
            match self.index.get(key.as_slice()) {
                Some(time) => {
                    encode_row_key(*time, key.as_slice(), &mut self.row_key);
                    let row = self.rows.get(&self.row_key)?;
                    self.log.push_bytes(key.as_slice(), row, NO_TIMESTAMP);
                    self.log.last_headers(&headers);
                }
                None => self.log.push_bytes(key.as_slice(), None, NO_TIMESTAMP),
            }
        }
        Ok(())
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

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) -> Result<(), StateError> {
        self.restore_record(&ChangelogRecord { key, value, timestamp, headers: &Headers::EMPTY, offset: -1 })
    }

    fn restore_record(&mut self, record: &ChangelogRecord<'_>) -> Result<(), StateError> {
        self.progress.restored();
        match record.value {
            Some(bytes) => self.restore_value(record, bytes)?,
            None => self.restore_tombstone(record.key)?,
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
        self.progress.check_flush(!self.dirty.is_empty() || !self.log.is_empty())?;
        if self.progress.behind() {
            let extras = self.extras();
            let index = &mut self.index;
            self.rows.flush(&extras, self.progress.offset(), &mut |row_key, _| {
                index.remove(row_key.get(9..).unwrap_or_default());
                Ok(())
            })?;
        }
        self.progress.flushed();
        self.settle()
    }

    fn memory_bytes(&self) -> u64 {
        let index = self.index.len() + self.dirty.len();
        self.rows.memory_bytes() + index as u64 * (size_of::<(KeyBytes, Timestamp)>() as u64 + 8)
    }

    fn engine_bytes(&self) -> u64 {
        self.rows.engine().size_bytes()
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.rows.wipe()?;
        self.index.clear();
        self.sources.clear();
        self.dirty.clear();
        self.log.clear();
        (self.records, self.bytes) = (0, 0);
        self.progress.wiped();
        Ok(())
    }
}

impl<K: 'static, V: 'static> ChangeBuffer<K, V> {
    fn restore_value(&mut self, record: &ChangelogRecord<'_>, bytes: &[u8]) -> Result<(), StateError> {
        // The prior value of versions 0 and 1 is that of the row that is there.
        let mut previous = None;
        if let Some(time) = self.locate(record.key)? {
            encode_row_key(time, record.key, &mut self.row_key);
            if let Some(row) = self.rows.get(&self.row_key)? {
                let row = BufferValue::decode_changelog(row);
                previous = row.map_err(|error| self.progress.serde_error(error))?.1.prior.map(<[u8]>::to_vec);
            }
        }
        let context = || ProcessorRecordContext {
            topic: "".into(),
            partition: -1,
            offset: record.offset,
            timestamp: record.timestamp,
            headers: record.headers.clone(),
        };
        let decoded = BufferValue::decode_any_changelog(record.headers, bytes, context, previous.as_deref());
        let (time, value) = decoded.map_err(|error| self.progress.serde_error(error))?;
        // What the record says is all, its place in the buffer, too: a key that went out and came again within one commit
        // has no tombstone in between (Kafka Streams leaves it at its old place then, and emits it too early).
        self.restore_tombstone(record.key)?;
        let mut row = Vec::new();
        value.encode_changelog(time, &mut row);
        encode_row_key(time, record.key, &mut self.row_key);
        self.bytes = self.bytes.saturating_add(row_size(record.key, &value));
        self.records = self.records.saturating_add(1);
        self.rows.put(&self.row_key, row);
        self.index.insert(KeyBytes::new(record.key), time);
        Ok(())
    }

    fn restore_tombstone(&mut self, key: &[u8]) -> Result<(), StateError> {
        let Some(time) = self.locate(key)? else { return Ok(()) };
        encode_row_key(time, key, &mut self.row_key);
        if let Some(row) = self.rows.get(&self.row_key)? {
            let row = BufferValue::decode_changelog(row);
            self.bytes = self
                .bytes
                .saturating_sub(row_size(key, &row.map_err(|error| self.progress.serde_error(error))?.1));
            self.records = self.records.saturating_sub(1);
        }
        self.rows.remove(&self.row_key);
        self.index.remove(key);
        Ok(())
    }

    /// What a run has beside the rows: the counts, and the index of the rows that changed.
    fn extras(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut index = BTreeMap::new();
        self.rows.for_each_change(&mut |row_key, present| {
            let key = row_key.get(9..).unwrap_or_default();
            let mut index_key = Vec::with_capacity(key.len() + 1);
            index_key.push(INDEX);
            index_key.extend_from_slice(key);
            let time = present.then(|| row_time(row_key).to_be_bytes().to_vec());
            // A key that was taken out and came again at another time is there.
            let entry = index.entry(index_key).or_insert_with(|| time.clone());
            if time.is_some() {
                *entry = time;
            }
        });
        let mut counts = self.records.to_be_bytes().to_vec();
        counts.extend_from_slice(&self.bytes.to_be_bytes());
        let mut extras = vec![(COUNTS.to_vec(), Some(counts))];
        extras.extend(index);
        extras
    }

    pub(super) fn read_counts(&mut self) -> Result<(), StateError> {
        let mut counts = Vec::new();
        self.rows.engine().get(COUNTS, &mut counts)?;
        if let Some((records, bytes)) = counts.split_first_chunk()
            && let Some(bytes) = bytes.first_chunk()
        {
            self.records = u64::from_be_bytes(*records);
            self.bytes = u64::from_be_bytes(*bytes);
        }
        Ok(())
    }
}
