//! A running application that is closed when it goes out of scope.

use std::ops::Deref;
use std::time::Duration;

use kstreams::prelude::*;
use kstreams::runtime::CloseOptions;

use super::Failure;

/// Longest wait for threads of an application that is left because of an error.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What [`App::start`](super::App::start) gives. Who leaves early, by an error, waits here until the threads have closed: a process that
/// ends while they work takes RocksDB down under them, and is aborted by it.
pub struct Started {
    streams: KafkaStreams,
    closed: bool,
}

impl Started {
    pub(super) fn new(streams: KafkaStreams) -> Self {
        Self { streams, closed: false }
    }

    pub(super) fn close(mut self, options: CloseOptions) -> Result<(), Failure> {
        self.closed = true;
        Ok(self.streams.close_with(options)?)
    }
}

impl Deref for Started {
    type Target = KafkaStreams;

    fn deref(&self) -> &KafkaStreams {
        &self.streams
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.closed {
            // The error on the way is the one to tell of.
            let _ = self.streams.close(CLOSE_TIMEOUT);
        }
    }
}
