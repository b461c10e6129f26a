//! The headers of a dead letter: what they are called, written in [`handler`](crate::handler), read by tools.
//!
//! `__streams.errors.*` are Kafka Streams' (KIP-1034): what failed, and at which record. `__kstreams.*` are ours: the record of which
//! all began, however often it was put back since, and how often it was tried again. All values are text.
//!
//! | header | value |
//! |---|---|
//! | `__streams.errors.exception` | the stage, as `ProcessingError`; Kafka Streams: the class of the exception |
//! | `__streams.errors.message`, `.stacktrace` | what failed; where, and what came of what |
//! | `__streams.errors.topic`, `.partition`, `.offset` | the source record that failed |
//! | `__kstreams.original.topic`, `.partition`, `.offset`, `.timestamp` | the same of its first failure: a record that was put back has another offset |
//! | `__kstreams.retries` | tries after the first: those of [`with_retries`](crate::dsl::KStream::with_retries), and each replay |
//! | `__kstreams.source.lost` | `true`: key and value of the source record were not kept, those of the letter mean nothing |

use streams_state::types::{Headers, Timestamp};

/// All that Kafka Streams' headers begin with.
const ERRORS: &str = "__streams.errors.";
/// The stage that failed.
pub const EXCEPTION: &str = "__streams.errors.exception";
/// What failed.
pub const MESSAGE: &str = "__streams.errors.message";
/// Where it failed, and what came of what.
pub const STACKTRACE: &str = "__streams.errors.stacktrace";
/// Topic of the source record.
pub const TOPIC: &str = "__streams.errors.topic";
/// Its partition.
pub const PARTITION: &str = "__streams.errors.partition";
/// Its offset.
pub const OFFSET: &str = "__streams.errors.offset";
/// Topic of the record of which all began.
pub const ORIGINAL_TOPIC: &str = "__kstreams.original.topic";
/// Its partition.
pub const ORIGINAL_PARTITION: &str = "__kstreams.original.partition";
/// Its offset.
pub const ORIGINAL_OFFSET: &str = "__kstreams.original.offset";
/// Its timestamp, ms since the epoch.
pub const ORIGINAL_TIMESTAMP: &str = "__kstreams.original.timestamp";
/// Tries after the first.
pub const RETRIES: &str = "__kstreams.retries";
/// Key and value of the source record were not kept.
pub const SOURCE_LOST: &str = "__kstreams.source.lost";

/// What the headers of a dead letter say. What is missing or no number is `None`: others write dead letters, too.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Failure {
    /// The stage, or the class of an exception.
    pub exception: Option<String>,
    /// What failed.
    pub message: Option<String>,
    /// Topic, partition and offset of the source record; `None` if it came of a punctuation.
    pub source: Option<(String, i32, i64)>,
    /// The same of the record of which all began.
    pub original: Option<(String, i32, i64)>,
    /// Timestamp of that record.
    pub original_timestamp: Option<Timestamp>,
    /// Tries after the first.
    pub retries: u32,
    /// Key and value of the source record were not kept.
    pub source_lost: bool,
}

impl Failure {
    /// Reads the headers.
    pub fn of(headers: &Headers) -> Self {
        let place = |topic, partition, offset| {
            let partition = number(headers, partition).and_then(|number| i32::try_from(number).ok());
            let offset = number(headers, offset);
            Some((text(headers, topic)?, partition.filter(|at| *at >= 0)?, offset.filter(|at| *at >= 0)?))
        };
        let source = place(TOPIC, PARTITION, OFFSET);
        Self {
            exception: text(headers, EXCEPTION),
            message: text(headers, MESSAGE),
            original: place(ORIGINAL_TOPIC, ORIGINAL_PARTITION, ORIGINAL_OFFSET).or_else(|| source.clone()),
            source,
            original_timestamp: number(headers, ORIGINAL_TIMESTAMP),
            retries: retries(headers),
            source_lost: headers.last(SOURCE_LOST).is_some(),
        }
    }
}

/// How often the record was tried again: 0 if its headers do not say.
pub fn retries(headers: &Headers) -> u32 {
    number(headers, RETRIES).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// One more try.
pub fn count_retry(headers: &mut Headers) {
    let tries = retries(headers).saturating_add(1);
    headers.remove(RETRIES);
    headers.add(RETRIES, Some(tries.to_string().into_bytes()));
}

/// The headers with which a dead letter goes back to its topic: those that the record had, where it began, and one more try.
pub fn replayed(letter: &Headers) -> Headers {
    let kept = |key: &str| !key.starts_with(ERRORS) && key != SOURCE_LOST;
    let mut headers: Headers = letter.iter().filter(|header| kept(&header.key)).cloned().collect();
    count_retry(&mut headers);
    headers
}

fn text(headers: &Headers, key: &str) -> Option<String> {
    let value = headers.last(key)?.value.as_deref()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn number(headers: &Headers, key: &str) -> Option<i64> {
    text(headers, key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::EMPTY;
        rows.iter().for_each(|(key, value)| headers.add(*key, Some(value.as_bytes().to_vec())));
        headers
    }

    #[test]
    fn what_goes_back_has_the_headers_it_came_with_and_one_more_try() {
        let letter = headers(&[
            ("trace", "t1"),
            (TOPIC, "orders"),
            (MESSAGE, "no"),
            (ORIGINAL_OFFSET, "4"),
            (RETRIES, "2"),
            (SOURCE_LOST, "true"),
        ]);
        let expected = headers(&[("trace", "t1"), (ORIGINAL_OFFSET, "4"), (RETRIES, "3")]);
        assert_eq!(replayed(&letter), expected);
        assert_eq!(retries(&replayed(&Headers::EMPTY)), 1);
    }

    /// Dead letters of Kafka Streams have no headers of ours, and those of punctuations name no record.
    #[test]
    fn reads_what_others_wrote() {
        let java = headers(&[(TOPIC, "orders"), (PARTITION, "2"), (OFFSET, "9"), (EXCEPTION, "java.lang.X")]);
        let failure = Failure::of(&java);
        assert_eq!(failure.source, Some(("orders".to_owned(), 2, 9)));
        assert_eq!((&failure.original, failure.retries), (&failure.source, 0));
        let timer = headers(&[(PARTITION, "-1"), (OFFSET, "-1"), (RETRIES, "many")]);
        assert_eq!(Failure::of(&timer), Failure::default());
    }
}
