//! `StreamJoined`: serdes and stores of a stream-stream join.

use std::collections::BTreeMap;
use std::sync::Arc;

use streams_state::serdes::{Auto, Serde, SerdeRef};

use super::Data;
use super::window_store_supplier::WindowStoreSupplier;

/// How a stream-stream join keeps its records. Its name is that of the operator, given with `.named(..)`.
///
/// ```
/// use streams_core::dsl::StreamJoined;
/// let joined: StreamJoined<String, i64, f64> = StreamJoined::new().store_name("payments").in_memory();
/// ```
pub struct StreamJoined<K, L, R> {
    pub(crate) keys: SerdeRef<K>,
    pub(crate) left: SerdeRef<L>,
    pub(crate) right: SerdeRef<R>,
    /// The user chose the serdes; else those that travel with the streams go before them.
    own_serdes: bool,
    pub(crate) store_name: Option<String>,
    pub(crate) this_supplier: Option<WindowStoreSupplier>,
    pub(crate) other_supplier: Option<WindowStoreSupplier>,
    pub(crate) in_memory: Option<bool>,
    pub(crate) logging: bool,
    pub(crate) changelog_config: BTreeMap<String, String>,
}

impl<K: Data, L: Data, R: Data> Default for StreamJoined<K, L, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, L, R> StreamJoined<K, L, R> {
    /// No options.
    pub fn new() -> Self
    where
        K: Data,
        L: Data,
        R: Data,
    {
        Self { own_serdes: false, ..Self::serdes(Auto, Auto, Auto) }
    }

    /// These serdes for keys, left and right values: of the stores and of repartition topics, should some be needed.
    pub fn serdes(keys: impl Serde<K>, left: impl Serde<L>, right: impl Serde<R>) -> Self {
        Self {
            keys: Arc::new(keys),
            left: Arc::new(left),
            right: Arc::new(right),
            own_serdes: true,
            store_name: None,
            this_supplier: None,
            other_supplier: None,
            in_memory: None,
            logging: true,
            changelog_config: BTreeMap::new(),
        }
    }

    /// Base name of the stores: `<name>-this-join-store`, `<name>-other-join-store` and so on. Without it the names hold the
    /// counter of the builder, and change when operators are added above.
    pub fn store_name(mut self, name: impl Into<String>) -> Self {
        self.store_name = Some(name.into());
        self
    }

    /// The store of the left stream's records; what it says goes before what is said here. The store of records that wait for
    /// a partner is named after it, and is in memory if it is, unless `in_memory` or `persistent` are said here.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use streams_core::dsl::{JoinWindows, StreamJoined, StreamsBuilder, WindowRetention, WindowStoreSupplier};
    /// use streams_core::testing::TopologyTestDriver;
    /// use streams_core::topic::Topic;
    ///
    /// const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// const PAYMENTS: Topic<String, i64> = Topic::new("payments");
    /// const OPEN: Topic<String, i64> = Topic::new("open");
    ///
    /// let builder = StreamsBuilder::new();
    /// let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(60));
    /// let orders = WindowStoreSupplier::new("unpaid", WindowRetention::of_join(&windows)).in_memory();
    /// let joined = StreamJoined::new().this_store_supplier(orders).store_name("open");
    /// let open = |_: &String, cents: &i64, paid: Option<&i64>| cents - paid.unwrap_or(&0);
    /// builder.stream(&ORDERS).left_join_stream_with(builder.stream(&PAYMENTS), windows, open, joined).to(&OPEN);
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input(&ORDERS).pipe_at("o1", 500, 1_000);
    /// let names: Vec<String> = driver.store_names().iter().map(|name| name.to_string()).collect();
    /// assert_eq!(names, ["unpaid", "open-outer-other-join-store", "unpaid-left-shared-join-store"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn this_store_supplier(mut self, supplier: WindowStoreSupplier) -> Self {
        self.this_supplier = Some(supplier);
        self
    }

    /// The store of the right stream's records, as [`this_store_supplier`](Self::this_store_supplier). A self join with
    /// `single.store.self.join` does not make it.
    pub fn other_store_supplier(mut self, supplier: WindowStoreSupplier) -> Self {
        self.other_supplier = Some(supplier);
        self
    }

    /// Keeps the records in memory only, restored from the changelogs at each start. For stores without a supplier, and for
    /// records that wait for a partner.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = Some(true);
        self
    }

    /// Keeps the records on disk, if the application has an engine for it. The default, unless
    /// `dsl.store.suppliers.class` says otherwise.
    pub fn persistent(mut self) -> Self {
        self.in_memory = Some(false);
        self
    }

    /// Whether changelog topics back the stores that have no supplier. Default: on. Without them records that wait for a
    /// partner are lost with the machine.
    pub fn logging(mut self, logging: bool) -> Self {
        self.logging = logging;
        self
    }

    /// Sets a property of the changelog topics of stores without a supplier.
    pub fn changelog_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.changelog_config.insert(key.into(), value.into());
        self
    }

    /// The user's serdes, else those that travel with the streams, else the default ones.
    pub(crate) fn with_serdes_of(
        mut self,
        keys: Option<SerdeRef<K>>,
        left: Option<SerdeRef<L>>,
        right: Option<SerdeRef<R>>,
    ) -> Self {
        if !self.own_serdes {
            self.keys = keys.unwrap_or(self.keys);
            self.left = left.unwrap_or(self.left);
            self.right = right.unwrap_or(self.right);
        }
        self
    }
}
