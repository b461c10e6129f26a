//! A running application on one screen: state, lag, threads and their tasks, rates between two looks.
//!
//! The screen is plain text that is drawn anew, with `console`, which is here for progress bars anyway: there is nothing to type, scroll or
//! click, so a terminal framework would bring forty packages for a clear-screen.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};
use serde::Deserialize;

use crate::Error;
use crate::http::Client;
use crate::options::Http;
use crate::print::{line, table};

/// What `/status` says, as far as it is shown.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    application_id: String,
    state: String,
    error: Option<String>,
    threads: Vec<Thread>,
    restore: Restore,
    records: Records,
    memory: Memory,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Thread {
    name: String,
    state: String,
    tasks: Vec<Task>,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Task {
    id: String,
    partitions: Vec<String>,
    restoring: bool,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Restore {
    tasks: u64,
    records_left: u64,
    records_per_second: u64,
    seconds_left: u64,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Records {
    processed: u64,
    produced: u64,
    dropped: u64,
    lag: i64,
    commits: u64,
    rewinds: u64,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    max_bytes: u64,
    state_bytes: u64,
    engine_bytes: u64,
    process_bytes: u64,
}

/// A look at an application.
pub struct Look {
    /// What it said, as it said it.
    pub text: String,
    /// The same, read.
    pub status: Status,
}

/// Looks at applications.
pub struct Watch(Client);

impl Watch {
    /// The application at `url`.
    ///
    /// # Errors
    /// The URL is none, or a certificate file cannot be used.
    pub fn new(url: &str, http: &Http) -> Result<Self, Error> {
        Ok(Self(Client::new(url, http)?))
    }

    /// How it is now.
    ///
    /// # Errors
    /// Nobody answers, or somebody else does.
    pub fn look(&self) -> Result<Look, Error> {
        let text = self.0.get("/status")?;
        let wrong =
            |error| format!("{}/status says something else than an application: {error}", self.0.address());
        let status = serde_json::from_str(&text).map_err(wrong)?;
        Ok(Look { text, status })
    }
}

/// The screen: what is now, and rates since the look `before`, which was so long ago.
#[must_use]
pub fn screen(now: &Status, before: Option<(&Status, Duration)>) -> String {
    let mut text = String::new();
    let rate = |count: fn(&Records) -> u64| {
        let (before, since) = before?;
        let grown = count(&now.records).checked_sub(count(&before.records))?;
        Some(grown as f64 / since.as_secs_f64().max(0.001))
    };
    let per_second = |count| rate(count).map_or("-".to_owned(), |rate| format!("{rate:.0}/s"));
    let (records, memory, restore) = (&now.records, &now.memory, &now.restore);
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{}  {}  lag {}",
        line(&now.application_id),
        now.state,
        HumanCount(records.lag.max(0) as u64)
    );
    if let Some(error) = &now.error {
        let _ = writeln!(text, "error: {}", line(error));
    }
    let _ = writeln!(
        text,
        "records: {} processed {}, {} produced {}, {} dropped; {} commits, {} rewinds",
        HumanCount(records.processed),
        per_second(|records| records.processed),
        HumanCount(records.produced),
        per_second(|records| records.produced),
        HumanCount(records.dropped),
        HumanCount(records.commits),
        HumanCount(records.rewinds)
    );
    let _ = writeln!(
        text,
        "memory: stores {}, engines {}, process {}, of {} for stores and clients",
        BinaryBytes(memory.state_bytes),
        BinaryBytes(memory.engine_bytes),
        BinaryBytes(memory.process_bytes),
        BinaryBytes(memory.max_bytes)
    );
    if restore.tasks > 0 {
        let (left, speed) = (HumanCount(restore.records_left), HumanCount(restore.records_per_second));
        let (tasks, seconds) = (restore.tasks, restore.seconds_left);
        let _ = writeln!(text, "restore: {tasks} tasks, {left} records left, {speed}/s, about {seconds} s");
    }
    let mut table = table(&["thread", "state", "task", "reads"], &[]);
    for thread in &now.threads {
        if thread.tasks.is_empty() {
            table.add_row([line(&thread.name), thread.state.clone(), "-".to_owned(), "-".to_owned()]);
        }
        for task in &thread.tasks {
            let id = if task.restoring { format!("{} (restores)", task.id) } else { task.id.clone() };
            table.add_row([line(&thread.name), thread.state.clone(), id, line(&task.partitions.join(" "))]);
        }
    }
    let _ = writeln!(text, "{table}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_screen_has_state_lag_rates_and_every_task() {
        let before = status(r#"{"records": {"processed": 1000, "produced": 10}}"#);
        let now = status(
            r#"{"application_id": "shop", "state": "RUNNING", "error": null, "unknown": [1],
                "threads": [{"name": "shop-1", "state": "RUNNING", "tasks": [
                    {"id": "0_0", "partitions": ["orders-0", "prices-0"], "restoring": false},
                    {"id": "1_0", "partitions": ["shop-x-repartition-0"], "restoring": true}]},
                  {"name": "shop-2", "state": "DEAD", "tasks": []}],
                "restore": {"tasks": 1, "records_left": 900, "records_per_second": 300, "seconds_left": 3},
                "records": {"processed": 5000, "produced": 10, "dropped": 2, "lag": 12345, "commits": 4, "rewinds": 0},
                "memory": {"max_bytes": 268435456, "state_bytes": 1048576, "engine_bytes": 0, "process_bytes": 1}}"#,
        );
        let text = screen(&now, Some((&before, Duration::from_secs(2))));
        for part in [
            "shop  RUNNING  lag 12,345",
            "5,000 processed 2000/s, 10 produced 0/s, 2 dropped",
            "stores 1.00 MiB",
            "of 256.00 MiB",
            "restore: 1 tasks, 900 records left, 300/s, about 3 s",
            "0_0",
            "orders-0 prices-0",
            "1_0 (restores)",
            "shop-2",
            "DEAD",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(screen(&now, None).contains("5,000 processed -,"), "no rate from one look");
        let restarted = screen(&before, Some((&now, Duration::from_secs(2))));
        assert!(restarted.contains("1,000 processed -,"), "no rate over a restart: {restarted}");
    }

    #[test]
    fn what_an_application_says_cannot_move_the_cursor() {
        let now = status(r#"{"application_id": "a\u001b[2Jb", "error": "x\ny"}"#);
        let text = screen(&now, None);
        assert!(text.contains("a [2Jb") && text.contains("error: x y"), "{text}");
    }
}
