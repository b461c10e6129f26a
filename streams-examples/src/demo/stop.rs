//! Ctrl-C and SIGTERM: the first one asks for a clean end and sets a deadline, the second one ends at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::Failure;

/// Status of a process that was told to stop and did not wait for its close: what a shell says of Ctrl-C.
const INTERRUPTED: i32 = 130;
/// What comes behind a close that uses up its whole time: a last look at the outputs, the final table.
const AFTER_CLOSE: Duration = Duration::from_secs(1);

/// Ctrl-C and SIGTERM.
pub struct Stop(Receiver<()>);

impl Stop {
    /// From now on the first signal is told here, and the process ends at the latest `timeout` (and a second) after it; a second signal
    /// ends it at once. Both leave it to the next start to go on from what is committed, as after a crash.
    pub fn on_signals(timeout: Duration) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        let asked = AtomicBool::new(false);
        ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::SeqCst) {
                eprintln!("stopped by a second signal; the next start goes on from what is committed");
                std::process::exit(INTERRUPTED);
            }
            // Nobody listens any more: the process is about to end anyway.
            let _ = sender.send(());
            let deadline = std::thread::Builder::new().name("stop-deadline".to_owned()).spawn(move || {
                std::thread::sleep(timeout + AFTER_CLOSE);
                eprintln!(
                    "error: not closed {timeout:?} after the signal; the next start goes on from what is committed"
                );
                std::process::exit(1);
            });
            if let Err(error) = deadline {
                eprintln!("no deadline for the end, a second signal ends it: {error}");
            }
        })?;
        Ok(Self(receiver))
    }

    /// Whether a signal came, now or within `timeout`.
    #[must_use]
    pub fn requested(&self, timeout: Duration) -> bool {
        match self.0.recv_timeout(timeout) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }
}
