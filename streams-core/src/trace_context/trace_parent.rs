//! The header `traceparent`, strictly as the recommendation has it (3.2):
//!
//! ```text
//! 00 - 4bf92f3577b34da6a3ce929d0e0e4736 - 00f067aa0ba902b7 - 01
//! version      trace id, 16 bytes         span id, 8 bytes   flags; 1: recorded
//! ```
//! Digits are hexadecimal, in lower case. A version above 00 may have more behind the flags, after another `-`; ff is none.

use std::fmt;

use super::{SpanId, TraceId};

/// Length of version 00, and the least of all others.
const LENGTH: usize = 55;
/// The flag of a span that its caller recorded. The others are not defined in version 00, and written as zeros.
const SAMPLED: u8 = 0x01;

/// To which span of which trace something belongs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether the caller recorded the span, so that those who follow should, too.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads the value of the header. `None`: it is not well formed, and to be treated as if it were not there.
    ///
    /// ```
    /// use streams_core::trace_context::TraceParent;
    ///
    /// let parent = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// assert_eq!(parent.span_id.get(), 0x00f067aa0ba902b7);
    /// // Version ff does not exist.
    /// assert_eq!(TraceParent::parse(b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), None);
    /// ```
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let version = number(parts.next()?, 2)? as u8;
        let trace_id = TraceId::new(number(parts.next()?, 32)?)?;
        let span_id = SpanId::new(number(parts.next()?, 16)? as u64)?;
        let flags = number(parts.next()?, 2)? as u8;
        let ends_well = match version {
            0 => rest.is_empty(),
            0xff => false,
            1..=0xfe => rest.is_empty() || rest.starts_with(b"-"),
        };
        ends_well.then_some(Self { trace_id, span_id, sampled: flags & SAMPLED != 0 })
    }
}

/// As version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, if self.sampled { SAMPLED } else { 0 })
    }
}

/// Exactly `digits` hexadecimal digits in lower case; at most 32.
fn number(text: &[u8], digits: usize) -> Option<u128> {
    if text.len() != digits {
        return None;
    }
    text.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}
