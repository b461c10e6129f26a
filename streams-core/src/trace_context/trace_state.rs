//! The header `tracestate`, strictly as the recommendation has it (3.3): what tracing systems keep, each under a key of its own.
//!
//! ```text
//! rojo=00f067aa0ba902b7,congo=t61rcWkgMzE
//! key      value        at most 32 of them, each key once
//! ```

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Members that a list may have, by the recommendation.
const MEMBERS_MAX: usize = 32;
/// Bytes that a key may have, and a value.
const PART_BYTES_MAX: usize = 256;
/// Bytes that the two halves of a key `tenant@system` may have.
const TENANT_BYTES_MAX: usize = 241;
const SYSTEM_BYTES_MAX: usize = 14;

/// What tracing systems keep beside a trace, the most recent first. Clones share.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct TraceState(Option<Arc<str>>);

impl TraceState {
    /// Nothing.
    pub const EMPTY: TraceState = TraceState(None);

    /// Reads the values of all headers of this name, in order: together they are one list. `None`: it is not well formed or too long, and
    /// is to be forgotten as a whole; `traceparent` stays valid.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut list = String::new();
        let mut keys = HashSet::new();
        for value in values {
            for member in value.split(|byte| *byte == b',').map(trim) {
                // Empty ones are allowed.
                if member.is_empty() {
                    continue;
                }
                let (key, value) = member_parts(member)?;
                if keys.len() == MEMBERS_MAX || !keys.insert(key) {
                    return None;
                }
                if !list.is_empty() {
                    list.push(',');
                }
                list.extend([key, "=", value]);
            }
        }
        Some(Self((!list.is_empty()).then(|| list.into())))
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of the header.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.as_str().split(',').filter_map(|member| member.split_once('='))
    }
}

impl fmt::Debug for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Without spaces and tabs around it.
fn trim(member: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = member.iter().position(|byte| !is_space(byte)).unwrap_or(member.len());
    let end = member.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    member.get(start..end).unwrap_or_default()
}

/// Key and value of a member, if it is well formed.
fn member_parts(member: &[u8]) -> Option<(&str, &str)> {
    let equals = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (member.get(..equals)?, member.get(equals + 1..)?);
    let well_formed = is_key(key) && is_value(value);
    let text = |bytes| std::str::from_utf8(bytes).ok();
    if well_formed { Some((text(key)?, text(value)?)) } else { None }
}

/// `simple-key` or `multi-tenant-key` of the recommendation.
fn is_key(key: &[u8]) -> bool {
    let rest_of_key = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let part = |part: &[u8], starts_with_digit: bool, bytes_max: usize| match part.split_first() {
        Some((first, rest)) => {
            let starts = first.is_ascii_lowercase() || (starts_with_digit && first.is_ascii_digit());
            starts && part.len() <= bytes_max && rest.iter().all(rest_of_key)
        }
        None => false,
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => part(key, false, PART_BYTES_MAX),
        Some(at) => {
            let (tenant, system) = (key.get(..at).unwrap_or_default(), key.get(at + 1..).unwrap_or_default());
            part(tenant, true, TENANT_BYTES_MAX) && part(system, false, SYSTEM_BYTES_MAX)
        }
    }
}

/// Printable, without comma and equals sign, and no space at the end.
fn is_value(value: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    (1..=PART_BYTES_MAX).contains(&value.len())
        && value.iter().all(printable)
        && value.last().is_some_and(|last| *last != b' ')
}
