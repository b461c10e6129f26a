//! Tables that bring their own form of store: Kafka Streams' `Materialized.as(supplier)`.

use std::time::Duration;

use streams_state::types::Timestamp;

use super::graph::Graph;
use super::materialized::{Materialized, StoreOptions};
use super::store_forms::lru_factory;
use super::window_retention::WindowRetention;
use super::windows::millis;
use crate::processor::StoreInstance;

/// The form of store that a user gave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Supplied {
    /// In memory, with a bound of rows.
    Lru(usize),
    Window(WindowRetention),
    /// Retention in ms.
    Session(Timestamp),
    /// On disk, with room for headers.
    Headers,
}

impl<K: 'static, V: Clone + 'static> Materialized<K, V> {
    /// The table keeps `max_rows` rows in memory, those that were used last: Kafka Streams'
    /// `Materialized.as(Stores.lruMap(..))`. A row that goes is deleted in the changelog, but not downstream: what comes
    /// for its key later finds no old value. For tables without windows.
    ///
    /// ```
    /// use streams_core::dsl::{Materialized, StreamsBuilder};
    /// use streams_core::testing::TopologyTestDriver;
    /// use streams_core::topic::{Store, Topic};
    ///
    /// const CLICKS: Topic<String, i64> = Topic::new("clicks");
    /// const RECENT: Store<String, i64> = Store::new("recent");
    ///
    /// let builder = StreamsBuilder::new();
    /// let kept = Materialized::from(&RECENT).lru_map(2).caching(false);
    /// builder.stream(&CLICKS).group_by_key().count_with(kept);
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// for user in ["a", "b", "c", "a"] {
    ///     driver.input(&CLICKS).pipe(user, 1);
    /// }
    /// assert_eq!(driver.store(&RECENT).all(), [("a".to_owned(), 1), ("c".to_owned(), 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lru_map(mut self, max_rows: usize) -> Self {
        self.options.supplied = Some(Supplied::Lru(max_rows));
        self.form =
            Some(Box::new(move |keys, values| lru_factory(keys, values, max_rows, true, StoreInstance::new)));
        self.in_memory()
    }
}

impl<K, V> Materialized<K, V> {
    /// The rows of a table of time windows are kept as `rows` say, and the changelog as long as
    /// [`retention`](Self::retention) and the windows do: Kafka Streams' `Materialized.as(windowStoreSupplier)`. The size
    /// of the windows is that of the table.
    ///
    /// ```
    /// use std::time::Duration;
    /// use streams_core::dsl::{Materialized, WindowRetention};
    /// use streams_core::topic::Store;
    ///
    /// const PER_MINUTE: Store<String, i64> = Store::new("per-minute");
    /// let minute = Duration::from_secs(60);
    /// let kept = Materialized::from(&PER_MINUTE).window_store(WindowRetention::new(10 * minute, minute)).in_memory();
    /// ```
    pub fn window_store(mut self, rows: WindowRetention) -> Self {
        self.options.supplied = Some(Supplied::Window(rows));
        self
    }

    /// The sessions of a table are kept for `retention` after their end, and the changelog as long as
    /// [`retention`](Self::retention) and the gap say: Kafka Streams' `Materialized.as(sessionStoreSupplier)`.
    pub fn session_store(mut self, retention: Duration) -> Self {
        self.options.supplied = Some(Supplied::Session(millis(retention)));
        self
    }

    /// The table is kept on disk in the form that has room for headers (KIP-1271), whatever `dsl.store.format` says: Kafka
    /// Streams' `Materialized.as(persistentTimestampedKeyValueStoreWithHeaders(..))`. As there the rows of tables have no
    /// headers yet; changelog records of deletions have those of the record in work. For tables without windows.
    pub fn with_headers(mut self) -> Self {
        self.options.supplied = Some(Supplied::Headers);
        self.persistent()
    }
}

impl StoreOptions {
    /// How the rows of a table of windows of `size` are kept, for `retention` where the user says nothing else; writes down
    /// what does not fit.
    pub(crate) fn rows_of_windows(
        &self,
        graph: &mut Graph,
        retention: Timestamp,
        size: Timestamp,
    ) -> WindowRetention {
        match self.supplied {
            None => WindowRetention::of_millis(retention, size),
            Some(Supplied::Window(rows)) => {
                graph.faults.extend(rows.fault_of_table(self.name_or_none()));
                rows.for_window_size(size)
            }
            Some(Supplied::Lru(_) | Supplied::Session(_) | Supplied::Headers) => {
                self.misfit(graph, "a table of time windows", "`window_store`");
                WindowRetention::of_millis(retention, size)
            }
        }
    }

    /// How long the sessions of a table are kept, in ms: `retention` where the user says nothing else; writes down what does
    /// not fit.
    pub(crate) fn retention_of_sessions(&self, graph: &mut Graph, retention: Timestamp) -> Timestamp {
        match self.supplied {
            None => retention,
            Some(Supplied::Session(retention)) => retention,
            Some(Supplied::Lru(_) | Supplied::Window(_) | Supplied::Headers) => {
                self.misfit(graph, "a table of sessions", "`session_store`");
                retention
            }
        }
    }

    /// Writes down a form that does not fit a table without windows.
    pub(crate) fn check_unwindowed(&self, graph: &mut Graph) {
        match self.supplied {
            None | Some(Supplied::Headers | Supplied::Lru(_)) => {}
            Some(Supplied::Window(_) | Supplied::Session(_)) => {
                self.misfit(graph, "a table without windows", "`lru_map` or `versioned`");
            }
        }
    }

    fn misfit(&self, graph: &mut Graph, table: &str, fits: &str) {
        let name = self.name_or_none();
        graph.faults.push(format!(
            "store `{name}`: this form of store does not fit {table}; use {fits}, or leave it out"
        ));
    }
}
