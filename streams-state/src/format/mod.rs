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
//! | values of rows | [`value_and_timestamp`], [`headers`], [`value_timestamp_headers`], [`aggregation_with_headers`], [`changelog_value`] |
//! | windows and sessions | [`window_key`], [`session_key`], [`range_bounds`], [`segment_interval`] |
//! | versioned tables | [`versioned_row`], [`segment_interval`] |
//! | suppress, stream-table joins with grace | [`buffer_value`], [`record_context`], [`grace_buffer_key`] |
//! | outer joins | [`timestamped_key_and_join_side`], [`left_or_right_value`], [`list`] |
//! | table repartition | [`change`] |
//! | foreign-key joins | [`subscription_wrapper`], [`subscription_response`], [`combined_key`], [`murmur3`] |
//! | suppress, stream-table joins with grace | [`buffer_value`], [`record_context`], [`grace_buffer_key`] |
//! | records to be tried again, ours alone | [`retry_row`] |
//! | interactive queries | [`position`] |

// The cursor and the error that decoders share; varints.
mod reader;
mod varint;
// Values of rows, and what the changelog keeps of them.
pub mod aggregation_with_headers;
pub mod changelog_value;
pub mod headers;
pub mod value_and_timestamp;
pub mod value_timestamp_headers;
// Window stores: rows, topics, time-ordered rows.
pub mod window_key;
// Sessions: store key, and the two forms of stores that are read by time.
pub mod session_key;
// Where rows of windows and sessions lie; how time is cut into segments.
pub mod range_bounds;
pub mod segment_interval;
// Old versions of a row.
pub mod versioned_row;
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
// What suppress buffers and grace buffers keep: where a record came from, and its values.
pub mod buffer_value;
pub mod record_context;
// A stream that waits for its table.
pub mod grace_buffer_key;
// A record that failed and is to be tried again.
pub mod retry_row;
// How far a store has come.
pub mod position;

pub use reader::FormatError;
