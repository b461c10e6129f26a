//! The text beside a committed offset: partition time, and what operators keep for a restart.
//!
//! Layout (Base64, big-endian): `u8 version = 2 | i64 partition time | entries`; no entries, no bytes; else
//! `i32 count | (i32 length | store name | i64 value)*`. Version 1 ends after the time. Text that cannot be read means
//! "unknown": never an error.

use streams_state::types::{NO_TIMESTAMP, Timestamp};

use crate::processor::ProcessorMetadata;

const VERSION: u8 = 2;

/// What Kafka Streams keeps beside a committed offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetMetadata {
    /// Largest timestamp processed of the partition; -1 is unknown.
    pub partition_time: Timestamp,
    /// Kept by operators for a restart, by store name.
    pub processor: ProcessorMetadata,
}

impl OffsetMetadata {
    /// The text of a committed offset.
    pub fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.partition_time.to_be_bytes());
        let entries = self.processor.entries();
        if !entries.is_empty() {
            bytes.extend_from_slice(&(entries.len() as i32).to_be_bytes());
        }
        for (store, value) in entries {
            bytes.extend_from_slice(&(store.len() as i32).to_be_bytes());
            bytes.extend_from_slice(store.as_bytes());
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        encode_base64(&bytes)
    }

    /// Reads the text of a committed offset, of this or an older version. What cannot be read is unknown.
    pub fn decode(text: &str) -> Self {
        let unknown = Self { partition_time: NO_TIMESTAMP, processor: ProcessorMetadata::default() };
        if text.is_empty() {
            return unknown;
        }
        let Some(bytes) = decode_base64(text) else {
            tracing::warn!(metadata = text, "the metadata of a committed offset is not Base64; ignored");
            return unknown;
        };
        let mut reader = Reader(&bytes);
        let version = reader.array::<1>().map(|[version]| version);
        if !matches!(version, Some(1 | VERSION)) {
            tracing::warn!(
                metadata = text,
                "the metadata of a committed offset has an unknown version; ignored"
            );
            return unknown;
        }
        let Some(partition_time) = reader.array().map(i64::from_be_bytes) else {
            return unknown;
        };
        let entries = if version == Some(VERSION) { reader.entries() } else { None };
        let processor = ProcessorMetadata::restored(entries.unwrap_or_default());
        Self { partition_time, processor }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// All entries, or `None` if there are none or they are cut off.
    fn entries(&mut self) -> Option<Vec<(String, i64)>> {
        let count = usize::try_from(i32::from_be_bytes(self.array()?)).unwrap_or(0);
        // An entry takes twelve bytes at least, so a false count cannot ask for much.
        let mut entries = Vec::with_capacity(count.min(self.0.len() / 12));
        for _ in 0..count {
            let length = usize::try_from(i32::from_be_bytes(self.array()?)).ok()?;
            let store = std::str::from_utf8(self.take(length)?).ok()?.to_owned();
            entries.push((store, i64::from_be_bytes(self.array()?)));
        }
        Some(entries)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= chunk.len() { char::from(ALPHABET[value]) } else { '=' });
        }
    }
    text
}

/// Reads Base64, padded or not, as Java's decoder does; `None` if it is not Base64.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = match text.len() % 4 {
        0 => text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text),
        _ => text,
    };
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for byte in chunk {
            bits = bits << 6 | ALPHABET.iter().position(|digit| digit == byte)? as u32;
        }
        let [_, decoded @ ..] = (bits << (6 * (4 - chunk.len()))).to_be_bytes();
        bytes.extend_from_slice(decoded.get(..chunk.len() - 1)?);
    }
    Some(bytes)
}
