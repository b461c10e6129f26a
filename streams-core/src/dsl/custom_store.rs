//! Stores of a user's own making: Kafka Streams' `StoreBuilder` of a custom `StateStore`.

use std::sync::Arc;

use streams_state::error::StateError;
use streams_state::store::StateStore;

use super::stores::{GraphStore, StoreBuilder, Stores, store_spec};
use crate::processor::StoreInstance;
use crate::topology::{OpenStore, StoreKind};

impl Stores {
    /// A store of any type that is a [`StateStore`]: `make` is called once for each task, with the engine that the store
    /// may keep its data in. The changelog topic is compacted; what the store hands over in
    /// [`drain_changelog`](StateStore::drain_changelog) goes there, and comes back through
    /// [`restore`](StateStore::restore). Processors get it as [`store_as`](crate::processor::ProcessorContext::store_as).
    ///
    /// A store without a cache and without an engine, like this one, leaves out the methods about them. Offsets are the store's to keep: [`offset`](StateStore::offset) says from where it must be restored, `None` from the
    /// start. A store in memory gives what [`committed`](StateStore::committed) told it last, and `None` when it is made.
    ///
    /// ```
    /// use streams_core::dsl::{Stores, StreamsBuilder};
    /// use streams_core::error::BoxError;
    /// use streams_core::processor::{Processor, ProcessorContext};
    /// use streams_core::record::Record;
    /// use streams_core::testing::TopologyTestDriver;
    /// use streams_core::topic::Topic;
    /// use streams_core::types::{Headers, Timestamp};
    /// use streams_state::error::StateError;
    /// use streams_state::store::{ChangelogEntry, StateStore};
    ///
    /// /// One number, in memory.
    /// struct Total {
    ///     name: String,
    ///     sum: i64,
    ///     changed: bool,
    ///     offset: Option<i64>,
    /// }
    ///
    /// impl StateStore for Total {
    ///     fn name(&self) -> &str {
    ///         &self.name
    ///     }
    ///     fn drain_changelog(
    ///         &mut self,
    ///         sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ///     ) -> Result<(), StateError> {
    ///         if std::mem::take(&mut self.changed) {
    ///             let value = self.sum.to_be_bytes();
    ///             let (key, value) = (b"sum".as_slice(), Some(value.as_slice()));
    ///             sink(ChangelogEntry { key, value, timestamp: -1, headers: &Headers::EMPTY })?;
    ///         }
    ///         Ok(())
    ///     }
    ///     fn restore(&mut self, _: &[u8], value: Option<&[u8]>, _: Timestamp) -> Result<(), StateError> {
    ///         let bytes = value.and_then(|value| value.try_into().ok());
    ///         self.sum = bytes.map_or(0, i64::from_be_bytes);
    ///         Ok(())
    ///     }
    ///     fn committed(&mut self, offset: Option<i64>) {
    ///         self.offset = offset.or(self.offset);
    ///     }
    ///     fn offset(&self) -> Option<i64> {
    ///         self.offset
    ///     }
    ///     fn memory_bytes(&self) -> u64 {
    ///         size_of::<Self>() as u64
    ///     }
    ///     fn wipe(&mut self) -> Result<(), StateError> {
    ///         (self.sum, self.changed, self.offset) = (0, false, None);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// const IN: Topic<String, i64> = Topic::new("in");
    /// const OUT: Topic<String, i64> = Topic::new("out");
    ///
    /// struct Add;
    ///
    /// impl Processor<String, i64, String, i64> for Add {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, i64>,
    ///         record: Record<String, i64>,
    ///     ) -> Result<(), BoxError> {
    ///         let total = context.store_as::<Total>("total")?;
    ///         total.borrow_mut().sum += record.value;
    ///         total.borrow_mut().changed = true;
    ///         let value = total.borrow().sum;
    ///         Ok(context.forward(Record { value, ..record })?)
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.add_state_store(Stores::custom("total", |open| {
    ///     Ok(Total { name: open.name.to_string(), sum: 0, changed: false, offset: None })
    /// }));
    /// builder.stream(&IN).process(|| Add, &["total"]).to(&OUT);
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// for value in [1, 2, 3] {
    ///     driver.input(&IN).pipe("a", value);
    /// }
    /// let totals: Vec<i64> = driver.output(&OUT).read_all().into_iter().map(|(_, total)| total).collect();
    /// assert_eq!(totals, [1, 3, 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn custom<S, F>(name: &str, make: F) -> StoreBuilder
    where
        S: StateStore + 'static,
        F: Fn(OpenStore) -> Result<S, StateError> + Send + Sync + 'static,
    {
        let factory = Arc::new(move |open: OpenStore| Ok(StoreInstance::new(make(open)?)));
        let spec = store_spec(name.into(), StoreKind::KeyValue, factory);
        StoreBuilder(GraphStore { spec, identity: Arc::new(()), default_place: false })
    }
}
