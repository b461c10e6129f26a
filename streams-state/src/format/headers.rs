//! Record headers inside the rows of header-aware stores (KIP-1271, `dsl.store.format` = `HEADERS`).
//!
//! ```text
//! | count varint | count x ( length varint | key UTF-8 ... | length varint, -1 null | value ... ) |
//! ```
//!
//! No headers are no bytes at all. In a row the blob stands behind its length, a varint ([`encode_sized`]).

use super::FormatError;
use super::reader::Reader;
use super::varint;
use crate::types::{Header, Headers};

const LAYOUT: &str = "headers of a row";

/// Appends the bare blob.
pub fn encode(headers: &Headers, out: &mut Vec<u8>) {
    if headers.is_empty() {
        return;
    }
    // Lengths and counts of a Kafka record are i32.
    varint::write(headers.iter().len() as i32, out);
    for header in headers.iter() {
        varint::write(header.key.len() as i32, out);
        out.extend_from_slice(header.key.as_bytes());
        match &header.value {
            Some(value) => {
                varint::write(value.len() as i32, out);
                out.extend_from_slice(value);
            }
            None => varint::write(-1, out),
        }
    }
}

/// Reads a bare blob. A key that is not UTF-8 gets replacement characters, as in Java.
pub fn decode(bytes: &[u8]) -> Result<Headers, FormatError> {
    if bytes.is_empty() {
        return Ok(Headers::EMPTY);
    }
    let mut reader = Reader::new(LAYOUT, bytes);
    let count = reader.varint("count")?;
    let count = reader.not_negative("count", count)?;
    // A header takes two bytes at least, so a false count cannot ask for much.
    let mut headers = Vec::with_capacity(count.min(reader.left() / 2));
    for _ in 0..count {
        let length = reader.varint("length of a key")?;
        let length = reader.not_negative("length of a key", length)?;
        let key = String::from_utf8_lossy(reader.take("key", length)?).into_owned();
        let value = match reader.varint("length of a value")? {
            -1 => None,
            length => {
                let length = reader.not_negative("length of a value", length)?;
                Some(reader.take("value", length)?.to_vec())
            }
        };
        headers.push(Header { key, value });
    }
    Ok(headers.into_iter().collect())
}

/// Appends length and blob: what rows of header-aware stores start with.
pub fn encode_sized(headers: &Headers, out: &mut Vec<u8>) {
    let mut blob = Vec::new();
    encode(headers, &mut blob);
    varint::write(blob.len() as i32, out);
    out.extend_from_slice(&blob);
}

/// Reads length and blob from the start of a row; gives the headers and the rest of the row.
pub(super) fn decode_sized<'a>(
    layout: &'static str,
    row: &'a [u8],
) -> Result<(Headers, Reader<'a>), FormatError> {
    let mut reader = Reader::new(layout, row);
    let length = reader.varint("length of the headers")?;
    let length = reader.not_negative("length of the headers", length)?;
    Ok((decode(reader.take("headers", length)?)?, reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut headers = Headers::EMPTY;
        let mut out = Vec::new();
        encode_sized(&headers, &mut out);
        assert_eq!(out, [0]);
        headers.add("k", Some(vec![7]));
        headers.add("", None);
        out.clear();
        encode_sized(&headers, &mut out);
        assert_eq!(out, [14, 4, 2, b'k', 2, 7, 0, 1]);
        assert_eq!(decode(&out[1..]).unwrap(), headers);
        let problem = |bytes| decode(bytes).unwrap_err().problem;
        assert_eq!(problem(&[1]), "count is -1, below 0");
        assert_eq!(problem(&[2, 4, b'k']), "key needs 2 bytes, 1 are left");
        assert_eq!(problem(&[2, 0, 3]), "length of a value is -2, below 0");
    }
}
