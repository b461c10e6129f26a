//! Dead letters one by one, their bytes readable: as JSON if they are, as text, else in hex. Nothing of it can move the cursor of a
//! terminal: who wrote the record is not who looks at it.

use serde::Serialize;
use streams_core::client::ClientSupplier;
use streams_state::types::Timestamp;

use super::Filter;
use super::letters::{Letter, Letters};
use super::marks::Marks;
use crate::Error;
use crate::cluster::Cluster;

/// Bytes as one can read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bytes {
    /// There are none.
    Null,
    /// A JSON object or array.
    Json(serde_json::Value),
    /// Text.
    Text(String),
    /// Anything else.
    Hex(String),
}

impl Bytes {
    /// What `bytes` look like; `hex`: not to be guessed.
    pub fn of(bytes: Option<&[u8]>, hex: bool) -> Self {
        let Some(bytes) = bytes else { return Self::Null };
        let in_hex = || Self::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        if hex {
            return in_hex();
        }
        if let Ok(value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) =
            serde_json::from_slice(bytes)
        {
            return Self::Json(value);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if text.chars().all(|letter| !letter.is_control() || letter.is_ascii_whitespace()) => {
                Self::Text(text.to_owned())
            }
            Ok(_) | Err(_) => in_hex(),
        }
    }
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownHeader {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: Bytes,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownLetter {
    /// Partition of the dead-letter topic.
    pub partition: i32,
    /// Offset there.
    pub offset: i64,
    /// Timestamp, ms.
    pub timestamp: Timestamp,
    /// Whether it was put back.
    pub replayed: bool,
    /// Key.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
    /// Headers, in order.
    pub headers: Vec<ShownHeader>,
}

/// The first `limit` letters of `topic` that `filter` takes.
///
/// # Errors
/// There is no such topic, or the cluster does not answer.
pub fn show(
    supplier: &dyn ClientSupplier,
    topic: &str,
    filter: &Filter,
    limit: usize,
    hex: bool,
) -> Result<Vec<ShownLetter>, Error> {
    let mut cluster = Cluster::connect(supplier)?;
    let letters = Letters::open(&mut cluster, topic)?;
    let marks = Marks::read(&mut cluster, &letters.topic)?;
    let mut shown = Vec::new();
    letters.each(&mut cluster, |letter| {
        if shown.len() < limit && filter.takes(&letter) {
            shown.push(readable(&letter, marks.has(letter.partition, letter.offset), hex));
        }
        Ok(shown.len() < limit)
    })?;
    Ok(shown)
}

fn readable(letter: &Letter, replayed: bool, hex: bool) -> ShownLetter {
    // What the headers say is text; a user's own may be anything.
    let header = |header: &streams_state::types::Header| ShownHeader {
        key: header.key.clone(),
        value: Bytes::of(header.value.as_deref(), false),
    };
    ShownLetter {
        partition: letter.partition,
        offset: letter.offset,
        timestamp: letter.timestamp,
        replayed,
        key: Bytes::of(letter.key.as_deref(), hex),
        value: Bytes::of(letter.value.as_deref(), hex),
        headers: letter.headers.iter().map(header).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        assert_eq!(Bytes::of(None, true), Bytes::Null);
        assert_eq!(Bytes::of(Some(b"{\"a\":1}"), false), Bytes::Json(serde_json::json!({ "a": 1 })));
        assert_eq!(Bytes::of(Some(b"{\"a\":"), false), Bytes::Text("{\"a\":".to_owned()));
        assert_eq!(Bytes::of(Some(b"42"), false), Bytes::Text("42".to_owned()));
        assert_eq!(Bytes::of(Some(b"\x1b[2J"), false), Bytes::Hex("1b5b324a".to_owned()));
        assert_eq!(Bytes::of(Some(&[0, 0, 0, 7]), false), Bytes::Hex("00000007".to_owned()));
        assert_eq!(Bytes::of(Some(b"text"), true), Bytes::Hex("74657874".to_owned()));
    }
}
