//! Typed clients where the cluster answers as it likes, and as a model says. The suite of all that they can do runs on both Kafkas:
//! `tests/conformance/typed_*.rs`.

mod doubts;
mod lost_offsets;
mod model;
