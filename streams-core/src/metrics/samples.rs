//! The last windows of what a sensor saw: rates, averages, minima and maxima are made of them.
//!
//! As `SampledStat` of Kafka's clients: a sample takes numbers for one window, then the next one does; what is older than all windows
//! counts no more. One more sample than asked for is kept, as there, for the window that is partly past.

use super::{Batch, MetricConfig};

/// What one window saw.
#[derive(Clone, Copy, Debug)]
struct Sample {
    started: i64,
    last: i64,
    batch: Batch,
}

/// The windows, the present one last.
#[derive(Debug)]
pub(super) struct Samples {
    window_ms: i64,
    count: usize,
    samples: std::collections::VecDeque<Sample>,
}

impl Samples {
    pub(super) fn new(config: &MetricConfig) -> Self {
        let window_ms = i64::try_from(config.sample_window.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { window_ms, count: config.num_samples.max(1), samples: std::collections::VecDeque::new() }
    }

    pub(super) fn record(&mut self, batch: Batch, now: i64) {
        match self.samples.back_mut() {
            Some(sample) if now - sample.started < self.window_ms => {
                sample.last = now;
                sample.batch.merge(batch);
            }
            Some(_) | None => {
                if self.samples.len() > self.count {
                    self.samples.pop_front();
                }
                self.samples.push_back(Sample { started: now, last: now, batch });
            }
        }
    }

    /// All that the windows saw, and since when, in ms before `now`: what a rate divides by. At least all windows but one, so that the
    /// first numbers of a sensor do not make a high rate.
    pub(super) fn seen(&self, now: i64) -> (Batch, i64) {
        let age = self.window_ms.saturating_mul(self.count as i64);
        let mut seen = Batch::default();
        let mut oldest = now;
        for sample in self.samples.iter().filter(|sample| now - sample.last < age) {
            seen.merge(sample.batch);
            oldest = oldest.min(sample.started);
        }
        let elapsed = now - oldest;
        let missing = (self.count as i64 - 1 - elapsed / self.window_ms).max(0);
        let elapsed = elapsed.saturating_add(missing.saturating_mul(self.window_ms));
        (seen, if elapsed == 0 { self.window_ms } else { elapsed })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn samples(num_samples: usize) -> Samples {
        let sample_window = Duration::from_secs(1);
        Samples::new(&MetricConfig { sample_window, num_samples, ..MetricConfig::default() })
    }

    #[test]
    fn what_is_older_than_all_windows_counts_no_more() {
        let mut samples = samples(2);
        for (at, value) in [(0, 10.0), (500, 20.0), (1_000, 2.0), (1_900, 4.0)] {
            samples.record(Batch::of(value), at);
        }
        let seen = |now| {
            let (seen, elapsed) = samples.seen(now);
            (seen.count, seen.sum, elapsed)
        };
        assert_eq!(seen(1_900), (4, 36.0, 1_900));
        // The first sample's last number is two windows old.
        assert_eq!(seen(2_500), (2, 6.0, 1_500));
        assert_eq!(seen(3_900), (0, 0.0, 1_000));
    }

    #[test]
    fn the_first_numbers_make_no_high_rate() {
        let mut one = samples(1);
        one.record(Batch::of(1.0), 0);
        assert_eq!((one.seen(0).1, one.seen(10).1), (1_000, 10));
        let mut three = samples(3);
        three.record(Batch::of(1.0), 0);
        assert_eq!((three.seen(0).1, three.seen(500).1, three.seen(1_500).1), (2_000, 2_500, 2_500));
    }
}
