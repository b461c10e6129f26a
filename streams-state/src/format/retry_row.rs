//! A record that failed and waits to be tried again: where it came from, how often it was tried, and its bytes. Ours alone: Kafka
//! Streams tries nothing again.
//!
//! ```text
//! | record context ... | tries i32 | key sized | value sized | source kept u8 | source key sized | source value sized |
//! sized: | length i32, -1 null | bytes ... |
//! ```
//!
//! The source record stands there only if it was kept (1).

use super::FormatError;
use super::reader::Reader;
use super::record_context::{ProcessorRecordContext, read_sized, write_sized};

const LAYOUT: &str = "record to be tried again";

/// A record that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetryRow<'a> {
    /// Where it came from, with its own timestamp and headers.
    pub context: ProcessorRecordContext,
    /// How often it was tried again so far.
    pub tries: i32,
    /// Its key, as the operator that failed takes it; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Key and value of the source record, if they were kept.
    pub source: Option<(Option<&'a [u8]>, Option<&'a [u8]>)>,
}

impl<'a> RetryRow<'a> {
    /// Appends the row.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.context.encode(out);
        out.extend_from_slice(&self.tries.to_be_bytes());
        write_sized(self.key, out);
        write_sized(self.value, out);
        out.push(u8::from(self.source.is_some()));
        if let Some((key, value)) = self.source {
            write_sized(key, out);
            write_sized(value, out);
        }
    }

    /// Reads a row; nothing may stand behind it.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(LAYOUT, bytes);
        let context = ProcessorRecordContext::read(&mut reader)?;
        let tries = reader.i32("tries")?;
        reader.not_negative("tries", tries)?;
        let key = read_sized(&mut reader, "key")?;
        let value = read_sized(&mut reader, "value")?;
        let source = match reader.u8("source kept")? {
            0 => None,
            1 => Some((read_sized(&mut reader, "source key")?, read_sized(&mut reader, "source value")?)),
            other => return Err(reader.error(format!("source kept is {other}, neither 0 nor 1"))),
        };
        match reader.left() {
            0 => Ok(Self { context, tries, key, value, source }),
            left => Err(reader.error(format!("{left} bytes behind the end"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Headers;

    #[test]
    fn every_row_is_read_as_it_was_written_and_no_part_of_it_is() {
        let mut headers = Headers::EMPTY;
        headers.add("trace", Some(vec![7]));
        let context =
            ProcessorRecordContext { topic: "orders".into(), partition: 2, offset: 9, timestamp: 5, headers };
        let sources = [None, Some((None, None)), Some((Some(&b"sk"[..]), Some(&b"sv"[..])))];
        for (source, key) in sources.into_iter().zip([None, Some(&b""[..]), Some(&b"k"[..])]) {
            let row = RetryRow { context: context.clone(), tries: 3, key, value: Some(b"v"), source };
            let mut bytes = Vec::new();
            row.encode(&mut bytes);
            assert_eq!(RetryRow::decode(&bytes).unwrap(), row);
            for end in 0..bytes.len() {
                assert!(RetryRow::decode(&bytes[..end]).is_err(), "{end}");
            }
            bytes.push(0);
            let problem = RetryRow::decode(&bytes).unwrap_err().problem;
            assert_eq!(problem, "1 bytes behind the end");
        }
    }
}
