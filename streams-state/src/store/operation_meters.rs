//! What a store measures of its operations: how long each took, and more. For metrics; nothing here knows which.
//!
//! In: laps of a clock that is given to the store, which never has one of its own. Out: [`Measured`] numbers, when somebody takes them.
//! A store without a clock measures nothing: an operation pays a test of one field ([`Metered::operation`]), which always goes the same
//! way. An update in place, which is two operations, pays one for each, and one of a register at the end of each: its change is a closure,
//! and would be compiled twice. All that a clock costs stands in cold functions; what they add up knows no types.

use crate::types::Timestamp;

/// An operation of a store, by the name that Kafka Streams' metrics have for it. An update in place is a `Get` (or a `Fetch`) that ends
/// before the change, and a `Put` that begins after it, as in Kafka Streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreOperation {
    /// A row is looked for by its key.
    Get,
    /// A row is set.
    Put,
    /// A row is set unless it is there.
    PutIfAbsent,
    /// A row is deleted from a key-value store.
    Delete,
    /// All rows are visited.
    All,
    /// The rows of a range of keys are visited.
    Range,
    /// The rows of a prefix are visited.
    PrefixScan,
    /// Windows or sessions are looked for: one, or those of a visit.
    Fetch,
    /// A session is removed.
    Remove,
    /// Committed rows are given to the engine.
    Flush,
    /// Rows are committed.
    Commit,
    /// The store is restored.
    Restore,
}

impl StoreOperation {
    /// How many there are.
    const COUNT: usize = Self::Restore as usize + 1;
}

/// Numbers of one kind, taken together.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Measured {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest; infinite if there are none.
    pub min: f64,
    /// The greatest; infinite, below 0, if there are none.
    pub max: f64,
}

impl Default for Measured {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Measured {
    fn add(&mut self, number: f64) {
        self.count += 1;
        self.sum += number;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
    }
}

/// What a store measures with.
#[derive(Clone, Copy, Debug)]
pub struct OperationClock {
    /// Ns since any moment, never going back.
    pub ns: fn() -> u64,
    /// Whether the times of the records that are put are taken, too.
    pub record_times: bool,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// It looked for a row by its key: whether there is one, in memory or in the engine.
    Read(StoreOperation, bool),
    /// It put what came of a record of this timestamp.
    Put(StoreOperation, Timestamp),
    /// It visited rows: Kafka Streams' iterators are open as long.
    Visit(StoreOperation),
    /// It visited the rows of one key: whether there are some.
    KeyVisit(StoreOperation, bool),
    /// It did something else.
    Other(StoreOperation),
}

/// A store that measures its operations.
pub(super) trait Metered: Sized {
    fn meters(&mut self) -> &mut OperationMeters;

    /// Does `work`; `ended` says what it was, where that is measured. `work` is compiled twice, so not for functions that are generic over
    /// closures.
    #[inline]
    fn operation<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> R,
        ended: impl FnOnce(&Self, &R) -> Ended,
    ) -> R {
        match self.meters().0 {
            None => work(self),
            Some(_) => self.operation_under_clock(work, ended),
        }
    }

    #[cold]
    #[inline(never)]
    fn operation_under_clock<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> R,
        ended: impl FnOnce(&Self, &R) -> Ended,
    ) -> R {
        let began = self.meters().begin();
        let result = work(self);
        let ended = ended(self, &result);
        if let Some(began) = began {
            self.meters().ended(began, ended);
        }
        result
    }
}

/// The meters of a store. Off until somebody gives it a clock.
///
/// ```
/// use streams_state::store::{OperationClock, OperationMeters, StoreOperation};
///
/// let mut meters = OperationMeters::default();
/// assert_eq!(meters.begin(), None);
/// meters.start(OperationClock { ns: || 7, record_times: false });
/// let began = meters.begin();
/// meters.end(StoreOperation::Get, began);
/// assert_eq!(meters.take(StoreOperation::Get).count, 1);
/// assert_eq!(meters.take(StoreOperation::Get).count, 0);
/// ```
#[derive(Default, Debug)]
pub struct OperationMeters(Option<Box<Running>>);

#[derive(Debug)]
struct Running {
    clock: OperationClock,
    operations: [Measured; StoreOperation::COUNT],
    iterators: Measured,
    record_times: Measured,
    hit_ratios: Measured,
    hits: u64,
    misses: u64,
    /// The operation in work asked the engine.
    asked_engine: bool,
}

impl OperationMeters {
    /// Measures from now on.
    pub fn start(&mut self, clock: OperationClock) {
        self.0 = Some(Box::new(Running {
            clock,
            operations: [Measured::default(); StoreOperation::COUNT],
            iterators: Measured::default(),
            record_times: Measured::default(),
            hit_ratios: Measured::default(),
            hits: 0,
            misses: 0,
            asked_engine: false,
        }));
    }

    /// Ns of the clock as an operation begins; `None` where nothing is measured.
    #[inline]
    #[must_use]
    pub fn begin(&self) -> Option<u64> {
        self.0.as_ref().map(|running| running.now())
    }

    /// An operation that began then has ended.
    pub fn end(&mut self, operation: StoreOperation, began: Option<u64>) {
        if let Some(began) = began {
            self.ended(began, Ended::Other(operation));
        }
    }

    /// The first half of an update in place, which began then, has ended.
    #[inline]
    pub(super) fn end_read(&mut self, operation: StoreOperation, began: Option<u64>, found: bool) {
        if let Some(began) = began {
            self.read(operation, began, found);
        }
    }

    /// The second half.
    #[inline]
    pub(super) fn end_put(&mut self, operation: StoreOperation, began: Option<u64>, record: Timestamp) {
        if let Some(began) = began {
            self.put(operation, began, record);
        }
    }

    /// The tier does not know, the engine is asked. Not on the path of a row that is in memory.
    pub(super) fn asks_engine(&mut self) {
        if let Some(running) = &mut self.0 {
            running.asked_engine = true;
        }
    }

    /// The times of an operation, in ns, since they were last taken.
    pub fn take(&mut self, operation: StoreOperation) -> Measured {
        let taken = self.0.as_mut().and_then(|running| running.operations.get_mut(operation as usize));
        taken.map(std::mem::take).unwrap_or_default()
    }

    /// How long visits of many rows took, in ns, since they were last taken.
    pub fn take_iterators(&mut self) -> Measured {
        self.0.as_mut().map(|running| std::mem::take(&mut running.iterators)).unwrap_or_default()
    }

    /// The timestamps of the records whose rows were put, since they were last taken.
    pub fn take_record_times(&mut self) -> Measured {
        self.0.as_mut().map(|running| std::mem::take(&mut running.record_times)).unwrap_or_default()
    }

    /// What part of all reads found their row in memory, as it was at each that did, since it was last taken. From 0 to 1.
    pub fn take_hit_ratios(&mut self) -> Measured {
        self.0.as_mut().map(|running| std::mem::take(&mut running.hit_ratios)).unwrap_or_default()
    }

    #[cold]
    fn read(&mut self, operation: StoreOperation, began: u64, found: bool) {
        self.ended(began, Ended::Read(operation, found));
    }

    #[cold]
    fn put(&mut self, operation: StoreOperation, began: u64, record: Timestamp) {
        self.ended(began, Ended::Put(operation, record));
    }

    #[cold]
    fn ended(&mut self, began: u64, ended: Ended) {
        let Some(running) = &mut self.0 else { return };
        let ns = running.now().saturating_sub(began) as f64;
        let in_memory = !std::mem::take(&mut running.asked_engine);
        let operation = match ended {
            Ended::Other(operation) => operation,
            Ended::Read(operation, found) => {
                running.looked(found && in_memory);
                operation
            }
            Ended::Put(operation, record) => {
                if running.clock.record_times {
                    running.record_times.add(record as f64);
                }
                operation
            }
            Ended::Visit(operation) => {
                running.iterators.add(ns);
                operation
            }
            Ended::KeyVisit(operation, found) => {
                running.iterators.add(ns);
                running.looked(found && in_memory);
                operation
            }
        };
        if let Some(taken) = running.operations.get_mut(operation as usize) {
            taken.add(ns);
        }
    }
}

impl Running {
    #[cold]
    fn now(&self) -> u64 {
        (self.clock.ns)()
    }

    /// A read was a hit or a miss.
    fn looked(&mut self, hit: bool) {
        if hit {
            self.hits += 1;
            self.hit_ratios.add(self.hits as f64 / (self.hits + self.misses) as f64);
        } else {
            self.misses += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> OperationMeters {
        let mut meters = OperationMeters::default();
        meters.start(OperationClock { ns: || 100, record_times: true });
        meters
    }

    /// A store of nothing.
    struct Empty(OperationMeters);

    impl Metered for Empty {
        fn meters(&mut self) -> &mut OperationMeters {
            &mut self.0
        }
    }

    #[test]
    fn a_store_without_a_clock_measures_nothing() {
        let mut store = Empty(OperationMeters::default());
        assert_eq!(store.operation(|_| 7, |_, _| panic!("nobody asks what it was")), 7);
        store.0.asks_engine();
        assert_eq!((store.0.begin(), store.0.take(StoreOperation::Get)), (None, Measured::default()));
        assert_eq!(store.0.take_hit_ratios(), Measured::default());
        store.0 = running();
        assert_eq!(store.operation(|_| 7, |_, seven| Ended::Read(StoreOperation::Get, *seven == 7)), 7);
        assert_eq!((store.0.take(StoreOperation::Get).count, store.0.take_hit_ratios().max), (1, 1.0));
    }

    #[test]
    fn times_go_to_their_operation_until_they_are_taken() {
        let mut meters = running();
        meters.end(StoreOperation::Commit, Some(90));
        meters.end(StoreOperation::Commit, Some(60));
        meters.ended(95, Ended::Visit(StoreOperation::Range));
        meters.ended(99, Ended::Put(StoreOperation::Put, 12));
        let numbers = |count, sum, min, max| Measured { count, sum, min, max };
        assert_eq!(meters.take(StoreOperation::Commit), numbers(2, 50.0, 10.0, 40.0));
        assert_eq!(meters.take(StoreOperation::Commit), Measured::default());
        assert_eq!(meters.take(StoreOperation::Range), meters.take_iterators());
        assert_eq!(meters.take(StoreOperation::Put), numbers(1, 1.0, 1.0, 1.0));
        assert_eq!(meters.take_record_times(), numbers(1, 12.0, 12.0, 12.0));
        assert_eq!(meters.take(StoreOperation::Restore), Measured::default());
    }

    #[test]
    fn a_hit_is_what_was_found_without_the_engine() {
        let mut meters = running();
        meters.ended(0, Ended::Read(StoreOperation::Get, true));
        meters.ended(0, Ended::Read(StoreOperation::Get, false));
        meters.asks_engine();
        meters.ended(0, Ended::KeyVisit(StoreOperation::Fetch, true));
        meters.ended(0, Ended::Read(StoreOperation::Get, true));
        // Of a put that had to ask: no read.
        meters.asks_engine();
        meters.ended(0, Ended::Put(StoreOperation::Put, 0));
        meters.ended(0, Ended::Read(StoreOperation::Get, true));
        let ratios = meters.take_hit_ratios();
        assert_eq!((ratios.count, ratios.min, ratios.max), (3, 0.5, 1.0));
        assert_eq!(ratios.sum, 1.0 + 2.0 / 4.0 + 3.0 / 5.0);
    }
}
