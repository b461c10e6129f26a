//! Which dead letters: by the record that failed, by time, by what failed.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use streams_state::types::Timestamp;

use super::Letter;

/// All letters that meet every condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Topics of the records that failed; empty: all.
    pub source_topics: Vec<String>,
    /// Partition of the record that failed.
    pub source_partition: Option<i32>,
    /// Offsets of the records that failed.
    pub source_offsets: Option<Range<i64>>,
    /// Timestamps from this one on, ms.
    pub since: Option<Timestamp>,
    /// Timestamps before this one, ms.
    pub until: Option<Timestamp>,
    /// The exception, whole or its last part: `ProcessingError`, `NullPointerException`.
    pub exception: Option<String>,
    /// A part of the message.
    pub message: Option<String>,
}

impl Filter {
    /// Whether `letter` is one of them.
    pub fn takes(&self, letter: &Letter) -> bool {
        let failure = &letter.failure;
        let source = failure.source.as_ref();
        let topic = source.map(|(topic, _, _)| topic);
        let has = |wanted: &String, text: &Option<String>, how: fn(&str, &str) -> bool| {
            text.as_deref().is_some_and(|text| how(text, wanted))
        };
        (self.source_topics.is_empty() || topic.is_some_and(|topic| self.source_topics.contains(topic)))
            && self.source_partition.is_none_or(|wanted| source.is_some_and(|(_, at, _)| *at == wanted))
            && self
                .source_offsets
                .as_ref()
                .is_none_or(|wanted| source.is_some_and(|(_, _, at)| wanted.contains(at)))
            && self.since.is_none_or(|since| letter.timestamp >= since)
            && self.until.is_none_or(|until| letter.timestamp < until)
            && self.exception.as_ref().is_none_or(|wanted| has(wanted, &failure.exception, is_class))
            && self
                .message
                .as_ref()
                .is_none_or(|wanted| has(wanted, &failure.message, |text, part| text.contains(part)))
    }
}

/// Whether `class` is `wanted`, with its package or without.
fn is_class(class: &str, wanted: &str) -> bool {
    class == wanted || class.rsplit(['.', '$']).next() == Some(wanted)
}

/// Offsets `7`, `7..20` (without 20), `7..`, `..20`.
///
/// # Errors
/// `text` is none of them.
pub fn parse_offsets(text: &str) -> Result<Range<i64>, String> {
    let wrong = || format!("`{text}` is no range of offsets: 7, 7..20 (without 20), 7.. or ..20");
    let number = |part: &str, missing: i64| match part {
        "" => Ok(missing),
        part => part.parse::<i64>().ok().filter(|number| *number >= 0).ok_or_else(wrong),
    };
    let range = match text.split_once("..") {
        Some((from, to)) if !(from.is_empty() && to.is_empty()) => number(from, 0)?..number(to, i64::MAX)?,
        Some(_) => return Err(wrong()),
        None if text.is_empty() => return Err(wrong()),
        None => number(text, 0).map(|one| one..one.saturating_add(1))?,
    };
    if range.is_empty() { Err(wrong()) } else { Ok(range) }
}

/// A time: `2026-11-21T10:00:00Z`, `2026-11-21`, ms since the epoch, or how long before `now`: `90m`, `2h`.
///
/// # Errors
/// `text` is none of them.
pub fn parse_time(text: &str, now: SystemTime) -> Result<Timestamp, String> {
    if let Ok(ms) = text.parse::<Timestamp>() {
        return Ok(ms);
    }
    let day = |text: &str| humantime::parse_rfc3339_weak(&format!("{text}T00:00:00"));
    let at = humantime::parse_rfc3339_weak(text).or_else(|_| day(text)).ok();
    let ago = || now.checked_sub(humantime::parse_duration(text).ok()?);
    let since_epoch = at.or_else(ago).and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let ms = since_epoch.map(|since: Duration| since.as_millis()).and_then(|ms| Timestamp::try_from(ms).ok());
    ms.ok_or_else(|| {
        format!("`{text}` is no time: 2026-11-21T10:00:00Z, 2026-11-21, ms since the epoch, or `2h` (ago)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges_and_times() {
        assert_eq!(parse_offsets("7").unwrap(), 7..8);
        assert_eq!(parse_offsets("7..20").unwrap(), 7..20);
        assert_eq!(parse_offsets("..20").unwrap(), 0..20);
        assert_eq!(parse_offsets("7..").unwrap(), 7..i64::MAX);
        for wrong in ["", "..", "a", "-1", "5..5", "9..3", "1..x"] {
            assert!(parse_offsets(wrong).unwrap_err().contains("no range of offsets"), "{wrong}");
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        assert_eq!(parse_time("1234", now).unwrap(), 1234);
        assert_eq!(parse_time("2h", now).unwrap(), 2_800_000);
        assert_eq!(parse_time("1970-01-02", now).unwrap(), 86_400_000);
        assert_eq!(parse_time("1970-01-01T00:00:05Z", now).unwrap(), 5000);
        assert!(parse_time("yesterday", now).unwrap_err().contains("no time"));
    }

    #[test]
    fn classes_with_and_without_package() {
        assert!(is_class("ProcessingError", "ProcessingError"));
        assert!(is_class("java.lang.NullPointerException", "NullPointerException"));
        assert!(!is_class("java.lang.NullPointerException", "PointerException"));
    }
}
