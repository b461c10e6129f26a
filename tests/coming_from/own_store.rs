//! A store of one's own.

use kstreams::StateError;
use kstreams::error::BoxError;
use kstreams::prelude::*;
use kstreams::store::{ChangelogEntry, StateStore, Unflushed};

use super::{OUT, PAYMENTS};

/// One number, in memory.
struct Total {
    name: String,
    sum: i64,
    changed: bool,
    offset: Option<i64>,
}

impl StateStore for Total {
    fn name(&self) -> &str {
        &self.name
    }
    fn drain_changelog(
        &mut self,
        sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        if std::mem::take(&mut self.changed) {
            let value = self.sum.to_be_bytes();
            let (key, value) = (b"sum".as_slice(), Some(value.as_slice()));
            sink(ChangelogEntry { key, value, timestamp: -1, headers: &Headers::EMPTY })?;
        }
        Ok(())
    }
    fn restore(&mut self, _: &[u8], value: Option<&[u8]>, _: Timestamp) -> Result<(), StateError> {
        let bytes = value.and_then(|value| value.try_into().ok());
        self.sum = bytes.map_or(0, i64::from_be_bytes);
        Ok(())
    }
    fn committed(&mut self, offset: Option<i64>) {
        self.offset = offset.or(self.offset);
    }
    fn offset(&self) -> Option<i64> {
        self.offset
    }
    fn write_cached(&mut self) -> Result<(), StateError> {
        Ok(())
    }
    fn flush(&mut self) -> Result<(), StateError> {
        Ok(())
    }
    fn unflushed(&self) -> Unflushed {
        Unflushed::default()
    }
    fn cached_bytes(&self) -> u64 {
        0
    }
    fn memory_bytes(&self) -> u64 {
        size_of::<Self>() as u64
    }
    fn engine_bytes(&self) -> u64 {
        0
    }
    fn wipe(&mut self) -> Result<(), StateError> {
        (self.sum, self.changed, self.offset) = (0, false, None);
        Ok(())
    }
}

struct Add;

impl Processor<String, i64, String, i64> for Add {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let total = context.store_as::<Total>("total")?;
        total.borrow_mut().sum += record.value;
        total.borrow_mut().changed = true;
        let sum = total.borrow().sum;
        Ok(context.forward(record.with_value(sum))?)
    }
}

#[test]
fn a_store_of_ones_own() {
    let builder = StreamsBuilder::new();
    let total = |name: String| Total { name, sum: 0, changed: false, offset: None };
    builder.add_state_store(Stores::custom("total", move |open| Ok(total(open.name.to_string()))));
    builder.stream(&PAYMENTS).process(|| Add, &["total"]).to(&OUT);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&PAYMENTS).pipe("ada", 1);
    driver.input(&PAYMENTS).pipe("bob", 2);
    assert_eq!(driver.output(&OUT).read_all()[1], ("bob".to_owned(), 3));
}
