//! Kafka Streams' byte layouts: what stands in changelogs, repartition topics, internal topics and rows.
//!
//! One layout, one file: a drawing, a struct (or two functions), `encode` that appends to a buffer and `decode`
//! that borrows from the bytes. The bytes are Kafka Streams 4.3.1's, so that an application can go over to this
//! library, and back, on the topics that it has.

// The cursor and the error that decoders share; varints.
mod reader;
#[allow(dead_code)]
mod varint;
// Outer joins of streams: key, element, list of elements.
pub mod left_or_right_value;
pub mod list;
pub mod timestamped_key_and_join_side;
// Sessions: store key, and the two forms of stores that are read by time.
pub mod session_key;
// What suppress buffers and grace buffers keep: where a record came from, and its values.
pub mod buffer_value;
pub mod record_context;

pub use reader::FormatError;
