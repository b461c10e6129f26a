//! What `suppress` holds back, for how long, and what happens when its buffer is full.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use streams_state::types::{Timestamp, Windowed};

use super::windows::millis;
use crate::operators::{BufferLimits, WhenFull};

/// A buffer whose limits cut short the wait: see [`BufferConfig::emit_early_when_full`].
#[derive(Clone, Copy, Debug)]
pub struct EmitEarly;

/// A buffer that keeps its word: nothing leaves it early.
#[derive(Clone, Copy, Debug)]
pub struct Strict;

/// How large the buffer of a `suppress` may get, and what happens then.
///
/// ```
/// use streams_core::dsl::BufferConfig;
///
/// let small = BufferConfig::max_records(1_000);                                  // emits early when full
/// let exact = BufferConfig::max_bytes(64 << 20).shut_down_when_full();
/// let large = BufferConfig::max_bytes(64 << 20).spill_to_disk_when_full();       // 64 MiB of memory, the rest on disk
/// let all = BufferConfig::unbounded().logging(false);
/// ```
#[derive(Clone, Debug)]
pub struct BufferConfig<P = EmitEarly> {
    pub(crate) limits: BufferLimits,
    /// Bytes of memory; the rest is on disk.
    pub(crate) spill: Option<u64>,
    pub(crate) logging: bool,
    pub(crate) changelog_config: BTreeMap<String, String>,
    policy: PhantomData<P>,
}

impl BufferConfig {
    /// At most this many keys; when full, the oldest are emitted early.
    pub fn max_records(records: u64) -> Self {
        Self::of(BufferLimits { records, bytes: u64::MAX, when_full: WhenFull::EmitEarly })
    }

    /// At most this many bytes; when full, the oldest keys are emitted early.
    pub fn max_bytes(bytes: u64) -> Self {
        Self::of(BufferLimits { records: u64::MAX, bytes, when_full: WhenFull::EmitEarly })
    }

    /// As much as comes, in memory.
    pub fn unbounded() -> BufferConfig<Strict> {
        BufferConfig::of(BufferLimits { records: u64::MAX, bytes: u64::MAX, when_full: WhenFull::ShutDown })
    }
}

impl<P> BufferConfig<P> {
    fn of(limits: BufferLimits) -> Self {
        Self { limits, spill: None, logging: true, changelog_config: BTreeMap::new(), policy: PhantomData }
    }

    fn with_policy<Q>(self, limits: BufferLimits, spill: Option<u64>) -> BufferConfig<Q> {
        let Self { logging, changelog_config, .. } = self;
        BufferConfig { limits, spill, logging, changelog_config, policy: PhantomData }
    }

    /// Also at most this many keys.
    pub fn with_max_records(mut self, records: u64) -> Self {
        self.limits.records = records;
        self
    }

    /// Also at most this many bytes, counted as Kafka Streams does.
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// As much as comes, in memory.
    pub fn with_no_bound(self) -> BufferConfig<Strict> {
        let limits = BufferLimits { records: u64::MAX, bytes: u64::MAX, when_full: WhenFull::ShutDown };
        self.with_policy(limits, None)
    }

    /// When full, the oldest keys are emitted before their time.
    pub fn emit_early_when_full(self) -> BufferConfig<EmitEarly> {
        let limits = BufferLimits { when_full: WhenFull::EmitEarly, ..self.limits };
        self.with_policy(limits, None)
    }

    /// When full, the application fails. Nothing is ever emitted early.
    pub fn shut_down_when_full(self) -> BufferConfig<Strict> {
        let limits = BufferLimits { when_full: WhenFull::ShutDown, ..self.limits };
        self.with_policy(limits, None)
    }

    /// When `max_bytes` of memory are full, the rest goes to disk: nothing is emitted early and nothing fails. A limit of
    /// records is lifted. Needs an engine on disk; without one all stays in memory. Kafka Streams has nothing like it.
    pub fn spill_to_disk_when_full(self) -> BufferConfig<Strict> {
        let spill = Some(self.limits.bytes);
        let limits = BufferLimits { records: u64::MAX, bytes: u64::MAX, when_full: WhenFull::ShutDown };
        self.with_policy(limits, spill)
    }

    /// Whether a changelog topic backs the buffer. Default: on. Without it what waits is lost with a restart.
    pub fn logging(mut self, logging: bool) -> Self {
        self.logging = logging;
        self
    }

    /// Sets a property of the changelog topic.
    pub fn changelog_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.changelog_config.insert(key.into(), value.into());
        self
    }
}

/// Which updates of a table `suppress` holds back: all but the last of each key within some time.
pub struct Suppressed<K> {
    pub(crate) wait: Wait<K>,
    pub(crate) limits: BufferLimits,
    pub(crate) spill: Option<u64>,
    pub(crate) logging: bool,
    pub(crate) changelog_config: BTreeMap<String, String>,
}

/// How long updates wait.
pub(crate) enum Wait<K> {
    /// This many ms after the first update of the key.
    Limit(Timestamp),
    /// Until the window of the key closes; how to find its end.
    WindowClose(fn(&K) -> Timestamp),
}

impl<K> Suppressed<K> {
    fn new<P>(wait: Wait<K>, buffer: BufferConfig<P>) -> Self {
        let BufferConfig { limits, spill, logging, changelog_config, .. } = buffer;
        Self { wait, limits, spill, logging, changelog_config }
    }

    /// Holds the updates of a key back until `time` (event time) has passed since the first of them, or until the buffer is full
    /// and emits early.
    ///
    /// ```
    /// use std::time::Duration;
    /// use streams_core::dsl::{BufferConfig, Suppressed};
    /// let rarely: Suppressed<String> = Suppressed::until_time_limit(Duration::from_secs(10), BufferConfig::max_records(1_000));
    /// ```
    pub fn until_time_limit<P>(time: Duration, buffer: BufferConfig<P>) -> Self {
        Self::new(Wait::Limit(millis(time)), buffer)
    }
}

impl<K> Suppressed<Windowed<K>> {
    /// Holds the updates of a window back until it closes: its end and the grace have passed. So there is exactly one result for
    /// each key and window. The table must come of a windowed aggregation, whose grace decides; `build` refuses others.
    ///
    /// ```
    /// use streams_core::dsl::{BufferConfig, Suppressed};
    /// use streams_core::types::Windowed;
    /// let finals: Suppressed<Windowed<String>> = Suppressed::until_window_closes(BufferConfig::unbounded());
    /// ```
    pub fn until_window_closes(buffer: BufferConfig<Strict>) -> Self {
        Self::new(Wait::WindowClose(|windowed| windowed.window.end), buffer)
    }
}
