//! The real broker: found or started, used by all cases, ended.

#[cfg(feature = "rdkafka")]
use crate::harness;
use crate::harness::{Case, Outcome};

fn skipped(cases: &[Case], reason: impl Into<String>) -> Outcome {
    Outcome::Skipped { cases: cases.len(), reason: reason.into() }
}

/// Runs the cases on a real broker.
#[cfg(not(feature = "rdkafka"))]
pub(crate) fn run(cases: &[Case]) -> Outcome {
    skipped(cases, "built without feature `rdkafka`")
}

/// Runs the cases on a real broker.
#[cfg(feature = "rdkafka")]
pub(crate) fn run(cases: &[Case]) -> Outcome {
    use std::collections::BTreeMap;

    use kstreams::client::rdkafka::RdKafka;

    use crate::support::Names;

    let broker = match Broker::find_or_start() {
        Ok(broker) => broker,
        Err(reason) => return skipped(cases, reason),
    };
    let kafka = RdKafka::new(broker.address.as_str(), BTreeMap::new());
    // Topics of earlier runs on the same broker are not in the way.
    let run = format!("b{}", std::process::id());
    harness::run(cases, "broker", |case| (case.run)(&kafka, &Names::new(case.name, &run, None)))
}

/// A broker; ended when dropped if it was started here.
#[cfg(feature = "rdkafka")]
struct Broker {
    address: String,
    started: Option<(u16, tempfile::TempDir)>,
}

#[cfg(feature = "rdkafka")]
impl Broker {
    fn script(arguments: &[&str]) -> Result<String, String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
        let output = std::process::Command::new(script)
            .args(arguments)
            .stderr(std::process::Stdio::piped())
            .output()
            .map_err(|error| format!("{script}: {error}"))?;
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().last().unwrap_or("scripts/kafka failed").to_owned();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()).ok_or(last)
    }

    /// A port that is free, and the next one too, which the controller takes.
    fn free_port() -> Result<u16, String> {
        use std::net::TcpListener;
        for _ in 0..50 {
            let first = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
            let port = first.local_addr().map_err(|error| error.to_string())?.port();
            if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
                return Ok(port);
            }
        }
        Err("no two free ports".to_owned())
    }

    fn find_or_start() -> Result<Self, String> {
        if let Ok(address) = std::env::var("CONFORMANCE_BOOTSTRAP") {
            return Ok(Self { address, started: None });
        }
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let port = Self::free_port()?;
        let address =
            Self::script(&["up", "--port", &port.to_string(), "--dir", &dir.path().to_string_lossy()])?;
        Ok(Self { address, started: Some((port, dir)) })
    }
}

#[cfg(feature = "rdkafka")]
impl Drop for Broker {
    fn drop(&mut self) {
        if let Some((port, dir)) = &self.started {
            let dir = dir.path().to_string_lossy();
            if let Err(error) = Self::script(&["down", "--port", &port.to_string(), "--dir", &dir]) {
                eprintln!("the broker was not ended: {error}");
            }
        }
    }
}
