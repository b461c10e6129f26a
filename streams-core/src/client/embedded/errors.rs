//! The sentences the embedded log answers with.

use std::fmt::Display;

use crate::client::{ClientError, Fault};

pub(super) fn unknown_topic(call: &str, topic: impl Display) -> ClientError {
    ClientError::new(Fault::UnknownTopic, call, format!("`{topic}` does not exist in the embedded log"))
}

pub(super) fn invalid(call: &str, message: impl Into<String>) -> ClientError {
    ClientError::new(Fault::Invalid, call, message)
}

pub(super) fn fenced(call: &str, message: impl Into<String>) -> ClientError {
    ClientError::new(Fault::ProducerFenced, call, message)
}

pub(super) fn not_in_group(call: &str, message: impl Into<String>) -> ClientError {
    ClientError::new(Fault::NotInGroup, call, message)
}

pub(super) fn bad_record(call: &str, message: impl Into<String>) -> ClientError {
    ClientError::new(Fault::BadRecord, call, message)
}
