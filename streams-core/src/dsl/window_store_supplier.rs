//! `WindowStoreSupplier`: a window store that the user chooses for one side of a stream-stream join.

use std::sync::Arc;

use super::window_retention::WindowRetention;

/// The window store of one side of a stream-stream join: its name, how long it keeps the records, and where. Kafka Streams'
/// `WindowBytesStoreSupplier`; for [`StreamJoined::this_store_supplier`](super::StreamJoined::this_store_supplier).
///
/// The store is persistent unless it says otherwise. It has a changelog topic of its name that is compacted, whatever
/// [`StreamJoined::logging`](super::StreamJoined::logging) and `changelog_config` say: as in Kafka Streams these are for
/// the stores that the join makes itself.
///
/// ```
/// use std::time::Duration;
/// use streams_core::dsl::{JoinWindows, StreamJoined, WindowRetention, WindowStoreSupplier};
///
/// let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(60));
/// let rows = WindowRetention::of_join(&windows).segment_interval(Duration::from_secs(10));
/// let joined: StreamJoined<String, i64, f64> = StreamJoined::new()
///     .this_store_supplier(WindowStoreSupplier::new("orders-to-pay", rows))
///     .other_store_supplier(WindowStoreSupplier::new("payments", rows).in_memory());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowStoreSupplier {
    pub(super) name: Arc<str>,
    pub(super) rows: WindowRetention,
    pub(super) place: StorePlace,
}

/// Where a window store keeps its rows, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StorePlace {
    Disk,
    DiskWithHeaders,
    Memory,
}

impl WindowStoreSupplier {
    /// A store of this name, which is also that of its changelog topic: Kafka Streams' `Stores.persistentWindowStore` (and
    /// `persistentTimestampedWindowStore`, as the time of a joined record is where its window starts).
    ///
    /// A join is refused at build if `rows` do not retain duplicates, or if their retention or window size is not that of its
    /// windows; [`WindowRetention::of_join`] has both right.
    pub fn new(name: impl Into<Arc<str>>, rows: WindowRetention) -> Self {
        Self { name: name.into(), rows, place: StorePlace::Disk }
    }

    /// Keeps the records in memory only, with their headers; they are restored from the changelog at each start: Kafka Streams'
    /// `Stores.inMemoryWindowStore`.
    pub fn in_memory(mut self) -> Self {
        self.place = StorePlace::Memory;
        self
    }

    /// Keeps the records on disk, if the application has an engine for it. The default.
    pub fn persistent(mut self) -> Self {
        self.place = StorePlace::Disk;
        self
    }

    /// Keeps the records on disk together with their headers (KIP-1271), whatever `dsl.store.format` says: Kafka Streams'
    /// `Stores.persistentTimestampedWindowStoreWithHeaders`.
    pub fn with_headers(mut self) -> Self {
        self.place = StorePlace::DiskWithHeaders;
        self
    }
}
