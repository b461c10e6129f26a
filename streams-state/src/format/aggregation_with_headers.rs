//! Value of a header-aware session store (KIP-1271). The window is in the key, so there is no timestamp.
//!
//! ```text
//! | length varint | headers blob ... | aggregate ... |
//! ```

use super::FormatError;
use super::headers;
use crate::types::Headers;

/// The aggregate of a session and the headers of the record that set it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AggregationWithHeaders<'a> {
    /// Headers.
    pub headers: Headers,
    /// The aggregate.
    pub aggregate: &'a [u8],
}

impl<'a> AggregationWithHeaders<'a> {
    /// Appends the row value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        headers::encode_sized(&self.headers, out);
        out.extend_from_slice(self.aggregate);
    }

    /// Reads a row value.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let (headers, reader) = headers::decode_sized("aggregate with headers", bytes)?;
        Ok(Self { headers, aggregate: reader.rest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_then_aggregate() {
        let row = AggregationWithHeaders { headers: Headers::EMPTY, aggregate: b"a" };
        let mut out = Vec::new();
        row.encode(&mut out);
        assert_eq!(out, [0, b'a']);
        assert_eq!(AggregationWithHeaders::decode(&out).unwrap(), row);
        assert!(AggregationWithHeaders::decode(&[]).is_err());
    }
}
