//! The thread of a producer that waits for brokers, so that its owner can take delivery reports meanwhile and
//! keep a deadline that librdkafka does not.
//!
//! In: one job at a time. Out: its answer, with the main queue woken. It must never touch delivery reports.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;

use super::ffi::{Failure, Native, PartitionList, Queue};
use crate::client::GroupMetadata;

/// A call that waits for brokers.
pub(super) enum Job {
    /// Fence older producers.
    Init(Duration),
    /// Add offsets to the transaction.
    SendOffsets(PartitionList, GroupMetadata, Duration),
    /// Flush and commit.
    Commit,
    /// Drop and abort.
    Abort,
    /// Send now, wait for acknowledgements.
    Flush(Duration),
}

/// The thread. Dropped while it is busy, it is left to end on its own.
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    answers: Receiver<Result<(), Failure>>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
}

impl Worker {
    /// Starts the thread. `wake` is the queue that its owner waits on.
    pub(super) fn start(native: Arc<Native>, wake: Queue) -> std::io::Result<Self> {
        let (jobs, inbox) = channel::<Job>();
        let (outbox, answers) = channel();
        let thread = thread::Builder::new().name("kafka-transaction".into()).spawn(move || {
            while let Ok(job) = inbox.recv() {
                let answer = run(&native, job);
                if outbox.send(answer).is_err() {
                    break;
                }
                wake.interrupt();
            }
            drop(wake);
        })?;
        Ok(Self { jobs: Some(jobs), answers, thread: Some(thread), busy: false })
    }

    /// Starts a job. The answer of the one before must have been taken.
    pub(super) fn submit(&mut self, job: Job) {
        self.busy = true;
        if let Some(jobs) = &self.jobs {
            // Fails only if the thread is gone, which `answer` reports.
            let _ = jobs.send(job);
        }
    }

    /// The answer, if it is there.
    pub(super) fn answer(&mut self) -> Option<Result<(), Failure>> {
        let answer = match self.answers.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => {
                let mut failure = Failure::new(RDKafkaErrorCode::Fatal, "the transaction thread died");
                failure.fatal = true;
                Err(failure)
            }
        };
        self.busy = false;
        Some(answer)
    }
}

fn run(native: &Native, job: Job) -> Result<(), Failure> {
    match job {
        Job::Init(timeout) => native.init_transactions(timeout),
        Job::SendOffsets(offsets, group, timeout) => native.send_offsets(&offsets, &group, timeout),
        Job::Commit => native.commit_transaction(),
        Job::Abort => native.abort_transaction(),
        Job::Flush(timeout) => native.flush(timeout),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && !self.busy
        {
            // Idle: it sees the closed channel at once. A panic inside it was reported as an answer.
            let _ = thread.join();
        }
    }
}
