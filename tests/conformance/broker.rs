//! The real broker: named by `CONFORMANCE_BOOTSTRAP`, or started by `scripts/kafka` for this run and ended after it.

use crate::harness::{Case, Outcome};

#[cfg(not(feature = "rdkafka"))]
pub(crate) fn run(cases: &[Case]) -> Outcome {
    Outcome::Skipped { cases: cases.len(), reason: "built without feature `rdkafka`".to_owned() }
}

#[cfg(feature = "rdkafka")]
pub(crate) use real::run;

#[cfg(feature = "rdkafka")]
mod real {
    use std::collections::BTreeMap;
    use std::net::TcpListener;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::time::{SystemTime, UNIX_EPOCH};

    use kstreams::client::rdkafka::RdKafka;

    use super::{Case, Outcome};
    use crate::harness;
    use crate::support::Names;

    /// Runs the cases on a real broker.
    pub(crate) fn run(cases: &[Case]) -> Outcome {
        let skipped = |reason| Outcome::Skipped { cases: cases.len(), reason };
        if let Ok(address) = std::env::var("CONFORMANCE_BOOTSTRAP") {
            return run_at(cases, &address);
        }
        match Broker::start() {
            Ok(broker) => run_at(cases, &broker.address),
            Err(reason) => skipped(reason),
        }
    }

    fn run_at(cases: &[Case], address: &str) -> Outcome {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
        let kafka = RdKafka::new(address, BTreeMap::new());
        harness::run(cases, "broker", |case| {
            let names = Names::new(case.name, &run, None, Arc::new(kafka.clone()));
            (case.run)(&kafka, &names);
        })
    }

    /// A broker of this run; ends when it is dropped.
    struct Broker {
        address: String,
        folder: PathBuf,
    }

    impl Broker {
        fn start() -> Result<Self, String> {
            let folder = std::env::temp_dir().join(format!("kstreams-conformance-{}", std::process::id()));
            let port = free_port().ok_or("no free port")?.to_string();
            let output = script(&["up", "--port", &port], &folder)
                .stderr(Stdio::piped())
                .output()
                .map_err(|error| format!("cannot run scripts/kafka: {error}"))?;
            if output.status.success() {
                let address = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                return Ok(Self { address, folder });
            }
            let words = String::from_utf8_lossy(&output.stderr);
            Err(words.lines().last().unwrap_or("scripts/kafka failed and said nothing").to_owned())
        }
    }

    impl Drop for Broker {
        fn drop(&mut self) {
            let ended = script(&["down", "--wipe"], &self.folder).status();
            if !ended.is_ok_and(|status| status.success()) {
                println!("the broker in {} did not end", self.folder.display());
            }
        }
    }

    fn script(arguments: &[&str], folder: &Path) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka"));
        command.args(arguments).arg("--dir").arg(folder).stdin(Stdio::null());
        command
    }

    /// A port that is free together with the next one, which the broker's controller takes.
    fn free_port() -> Option<u16> {
        (0..100).find_map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
            TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok().map(|_| port)
        })
    }
}
