//! Kafka Streams' byte layouts: what stands in changelogs, repartition topics, internal topics and rows.
//!
//! One layout, one file: a drawing, a struct (or two functions), `encode` that appends to a buffer and `decode`
//! that borrows from the bytes. The bytes are Kafka Streams 4.3.1's, so that an application can go over to this
//! library, and back, on the topics that it has. Their judge is the golden data (`tests/golden`, `keys.json`).
//!
//! Rules of every file:
//! - Numbers are big-endian and fixed in size where nothing else is said; `varint` is Kafka's zigzag varint.
//! - `encode` only appends. Keys and values are bytes here; who knows the types is a [`Serde`](crate::serdes).
//! - `decode` is fed bytes that others wrote: it never panics, never allocates more than the input justifies,
//!   and says what was wrong ([`FormatError`]). What Java reads leniently is read leniently, and said so.
//!
//! | where | layouts |
//! |---|---|
//! | sessions | [`session_key`] |
//! | suppress, stream-table joins with grace | [`buffer_value`], [`record_context`] |
//! | window stores | [`window_key`] |
//! | outer joins | [`timestamped_key_and_join_side`], [`left_or_right_value`], [`list`] |
//! | table repartition | [`change`] |
//! | foreign-key joins | [`subscription_wrapper`], [`subscription_response`], [`combined_key`], [`murmur3`] |

// The cursor and the error that decoders share; varints.
mod reader;
mod varint;
// Window stores: rows, topics, time-ordered rows.
pub mod window_key;
// Outer joins of streams: key, element, list of elements.
pub mod left_or_right_value;
pub mod list;
pub mod timestamped_key_and_join_side;
// Updates of a table on their way through a repartition topic.
pub mod change;
// Foreign-key joins: the two wire formats, the store key, and the hash that tells stale answers.
pub mod combined_key;
pub mod murmur3;
pub mod subscription_response;
pub mod subscription_wrapper;
// Sessions: store key, and the two forms of stores that are read by time.
pub mod session_key;
// What suppress buffers and grace buffers keep: where a record came from, and its values.
pub mod buffer_value;
pub mod record_context;

pub use reader::FormatError;
