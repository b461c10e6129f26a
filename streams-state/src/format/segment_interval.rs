//! How much time one segment of a store holds, from the store's retention. Expiry drops whole segments.

use crate::types::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;

/// Length of a segment of a window or session store that keeps rows for `retention` ms: half of it, a minute at
/// least.
#[must_use]
pub fn window_segment_interval(retention: i64) -> Timestamp {
    (retention / 2).max(MINUTE)
}

/// Length of a segment of a versioned store whose old versions stay for `history_retention` ms.
#[must_use]
pub fn versioned_segment_interval(history_retention: i64) -> Timestamp {
    let (parts, at_least) = match history_retention {
        ..=60_000 => (3, 2 * SECOND),
        60_001..=300_000 => (5, 20 * SECOND),
        300_001..=3_600_000 => (12, MINUTE),
        _ => (24, 5 * MINUTE),
    };
    (history_retention / parts).max(at_least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_retention() {
        assert_eq!(window_segment_interval(1), 60_000);
        assert_eq!(window_segment_interval(240_000), 120_000);
        assert_eq!(versioned_segment_interval(0), 2_000);
        assert_eq!(versioned_segment_interval(60_000), 20_000);
        assert_eq!(versioned_segment_interval(60_001), 20_000);
        assert_eq!(versioned_segment_interval(86_400_000), 3_600_000);
    }
}
