//! Example applications of kstreams: one module per example, each with a `topology()` that reads like the same
//! program in Kafka Streams. The binaries of the same names run them, on the embedded log or on Kafka.

// Programs for a terminal print.
#![allow(clippy::print_stdout, clippy::print_stderr)]

// The examples.
pub mod order_enrichment;
pub mod page_views;
pub mod word_count;
// What the benchmark and the fault harness run.
pub mod workloads;
// What the binaries share: options, feeding, tailing, the live view.
pub mod demo;
pub mod process;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
