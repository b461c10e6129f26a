//! The bytes in front of each record that belongs to a registry. The layout is Confluent's:
//!
//! ```text
//! Avro, JSON Schema:  0 | u32 schema id, big-endian | data
//! Protobuf:           0 | u32 schema id, big-endian | message index | data
//!
//! message index: where the message stands in the .proto file, from the outside in: [1, 0] is the first message inside of the
//! second. Written as the number of its parts and the parts, each a zigzag varint; [0] is the one byte 0.
//! ```
//!
//! The framing can catch bytes of other serdes; what it lets through is checked against the schema.

use crate::error::SchemaError;
use crate::schema::SchemaId;

const MAGIC: u8 = 0;
/// Messages inside of messages that are believed.
#[cfg(feature = "protobuf")]
const DEPTH_MAX: i64 = 64;

/// Appends the frame.
pub fn write_frame(id: SchemaId, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

/// The schema id and the data behind the frame.
pub fn read_frame(bytes: &[u8]) -> Result<(SchemaId, &[u8]), SchemaError> {
    match bytes {
        [MAGIC, a, b, c, d, data @ ..] => Ok((SchemaId::from_be_bytes([*a, *b, *c, *d]), data)),
        [] => Err(SchemaError::NotFramed { found: "no bytes at all".to_owned() }),
        [MAGIC, ..] => Err(SchemaError::NotFramed { found: format!("{} bytes only", bytes.len()) }),
        [first, ..] => Err(SchemaError::NotFramed { found: format!("the first byte is {first}, not 0") }),
    }
}

/// Appends a message index.
#[cfg(feature = "protobuf")]
pub fn write_message_index(index: &[i32], out: &mut Vec<u8>) {
    if index == [0] {
        out.push(0);
        return;
    }
    prost::encoding::encode_varint(zigzag(index.len() as i64), out);
    for part in index {
        prost::encoding::encode_varint(zigzag(i64::from(*part)), out);
    }
}

/// The message index at the front of `data`, and what follows it.
#[cfg(feature = "protobuf")]
pub fn read_message_index(data: &[u8]) -> Option<(Vec<i32>, &[u8])> {
    let mut rest = data;
    let mut next = || prost::encoding::decode_varint(&mut rest).ok().map(unzigzag);
    let count = next()?;
    if count == 0 {
        return Some((vec![0], rest));
    }
    if !(1..=DEPTH_MAX).contains(&count) {
        return None;
    }
    let parts: Option<Vec<i32>> = (0..count)
        .map(|_| next().and_then(|part| i32::try_from(part).ok()).filter(|part| *part >= 0))
        .collect();
    Some((parts?, rest))
}

#[cfg(feature = "protobuf")]
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

#[cfg(feature = "protobuf")]
fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
