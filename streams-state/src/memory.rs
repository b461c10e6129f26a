//! One number for the memory of a process (`memory.max.bytes`), and how it is shared out. Counts only; those who hold memory act.
//!
//! ```text
//! memory.max.bytes ┬─ 1/2  tiers of all stores, shared by demand; less where 5/8 are not enough for engines, too   MemoryBudget, MemoryShare
//!                  ├─ 1/16 block cache and memtables of the engines; 16 MiB at least, if that is not above 1/4
//!                  ├─ 1/32 records fetched and not yet processed; 8 MiB at least, if that is not above 1/16
//!                  ├─ 1/16 records produced and not yet acknowledged
//!                  └─ the rest: runs on their way to an engine, batches in work, what the allocator keeps
//!
//! while stores are restored: 1/4 rows on their way to engines; what is fetched for them takes half as much again
//! ```
//!
//! Tiers report what they use after each batch. While all together need more than their part, each gives back clean rows in
//! proportion to its size; what is not yet in an engine counts apart, and when it is much, those who have most of it are flushed
//! first. So a store in use gets the room of a quiet one, and no record waits for a lock.
//!
//! A row in a tier spares a read of the engine, a block in the engines' cache only a part of one: so engines get what keeps their
//! indexes and filters in memory, and tiers what is left. A small budget leaves them less, because what a process needs beside all
//! this does not get smaller with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Least block cache that lets an engine keep its indexes and filters, if the budget has room for it.
const ENGINE_MIN_BYTES: u64 = 16 << 20;

/// Fetched records that keep a thread from waiting for brokers, if the budget has room for them: 2 MiB for each of four partitions.
const FETCHED_MIN_BYTES: u64 = 8 << 20;

/// What each part of a process may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Tiers of all stores.
    pub tiers: u64,
    /// Block cache and memtables of all engines.
    pub engines: u64,
    /// Records that were fetched and are not yet processed.
    pub fetched: u64,
    /// Records that were produced and are not yet acknowledged.
    pub produced: u64,
    /// Rows on their way from changelogs to engines, while tiers of their stores are empty.
    pub restoring: u64,
}

impl MemoryPlan {
    /// Shares out `total` bytes.
    pub fn of(total: u64) -> Self {
        let engines = (total / 16).max(ENGINE_MIN_BYTES.min(total / 4));
        Self {
            tiers: (total / 2).min(total / 8 * 5 - engines),
            engines,
            fetched: (total / 32).max(FETCHED_MIN_BYTES.min(total / 16)),
            produced: total / 16,
            restoring: total / 4,
        }
    }
}

/// The memory that the tiers of a process share.
#[derive(Debug)]
pub struct MemoryBudget {
    tiers_max: u64,
    used: AtomicU64,
    unflushed: AtomicU64,
    holders: AtomicU64,
}

impl MemoryBudget {
    /// A budget of `tiers_max` bytes.
    pub fn new(tiers_max: u64) -> Arc<Self> {
        Arc::new(Self {
            tiers_max,
            used: AtomicU64::new(0),
            unflushed: AtomicU64::new(0),
            holders: AtomicU64::new(0),
        })
    }

    /// Bytes that all tiers together may use.
    pub fn tiers_max(&self) -> u64 {
        self.tiers_max
    }

    /// Bytes that all tiers together use, as they reported.
    fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// A share, which uses nothing yet.
    pub fn share(self: &Arc<Self>) -> MemoryShare {
        self.holders.fetch_add(1, Relaxed);
        MemoryShare { budget: self.clone(), used: 0, unflushed: 0 }
    }

    /// How much there may be that no engine has yet, in bytes as engines get them: in memory rows take about twice that.
    fn unflushed_max(&self) -> u64 {
        self.tiers_max / 4
    }
}

/// What one holder, a task, uses of a [`MemoryBudget`]. Dropped, it uses nothing.
#[derive(Debug)]
pub struct MemoryShare {
    budget: Arc<MemoryBudget>,
    used: u64,
    unflushed: u64,
}

impl MemoryShare {
    /// The holder uses `used` bytes, `unflushed` of them for what its engines do not have yet.
    pub fn report(&mut self, used: u64, unflushed: u64) {
        replace(&self.budget.used, &mut self.used, used);
        replace(&self.budget.unflushed, &mut self.unflushed, unflushed);
    }

    /// Bytes that the holder should get down to; `None` while there is room. A little below its part, so that it is not asked again
    /// at once.
    pub fn target(&self) -> Option<u64> {
        let (used, max) = (self.budget.used(), self.budget.tiers_max);
        let part = |bytes: u64| (u128::from(bytes) * u128::from(max) / u128::from(used.max(1))) as u64;
        (used > max).then(|| part(self.used) / 32 * 31)
    }

    /// Whether the holder should give its engines what they do not have: there is too much of it, and it has its part of that.
    pub fn should_flush(&self) -> bool {
        let unflushed = self.budget.unflushed.load(Relaxed);
        let holders = self.budget.holders.load(Relaxed).max(1);
        unflushed > self.budget.unflushed_max() && self.unflushed >= unflushed / holders
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.report(0, 0);
        self.budget.holders.fetch_sub(1, Relaxed);
    }
}

/// `of_mine` within `sum` becomes `now`.
fn replace(sum: &AtomicU64, of_mine: &mut u64, now: u64) {
    sum.fetch_add(now, Relaxed);
    sum.fetch_sub(std::mem::replace(of_mine, now), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_leave_a_quarter_of_the_whole() {
        for total in [0, 4_000, 1 << 20, 64 << 20, 128 << 20, 256 << 20, 8 << 30] {
            let plan = MemoryPlan::of(total);
            assert!(plan.tiers + plan.engines + plan.fetched + plan.produced <= total / 4 * 3, "{plan:?}");
        }
        let mebibytes = |total: u64| {
            let plan = MemoryPlan::of(total << 20);
            [plan.tiers, plan.engines, plan.fetched].map(|bytes| bytes >> 20)
        };
        assert_eq!(mebibytes(64), [24, 16, 4], "little for tiers, and what engines need");
        assert_eq!(mebibytes(96), [44, 16, 6]);
        assert_eq!(mebibytes(128), [64, 16, 8], "what four partitions need to be fetched without a wait");
        assert_eq!(mebibytes(256), [128, 16, 8], "what engines do not need, tiers have");
        assert_eq!(mebibytes(1024), [512, 64, 32]);
    }

    #[test]
    fn holders_give_back_in_proportion_and_only_when_it_is_too_much() {
        let budget = MemoryBudget::new(1000);
        let (mut large, mut small) = (budget.share(), budget.share());
        large.report(700, 0);
        small.report(300, 0);
        assert_eq!((large.target(), small.target()), (None, None));
        large.report(1700, 0);
        assert_eq!((large.target(), small.target()), (Some(806), Some(124)));
        drop(large);
        assert_eq!((budget.used(), small.target()), (300, None));
    }

    #[test]
    fn who_has_most_that_is_not_in_an_engine_is_flushed_first() {
        let budget = MemoryBudget::new(1000);
        let (mut large, mut small) = (budget.share(), budget.share());
        large.report(200, 200);
        small.report(40, 40);
        assert!(!large.should_flush());
        small.report(60, 60);
        assert!(large.should_flush() && !small.should_flush());
        large.report(200, 0);
        assert!(!small.should_flush());
    }
}
