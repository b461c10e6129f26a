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
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::{SystemTime, UNIX_EPOCH};

    use kstreams::client::rdkafka::RdKafka;

    use super::{Case, Outcome};
    use crate::harness;
    use crate::start::Broker;
    use crate::support::Names;

    /// Runs the cases on a real broker.
    pub(crate) fn run(cases: &[Case]) -> Outcome {
        let skipped = |reason| Outcome::Skipped { cases: cases.len(), reason };
        if let Ok(address) = std::env::var("CONFORMANCE_BOOTSTRAP") {
            return run_at(cases, &address, None);
        }
        match Broker::start(None) {
            Ok(broker) => run_at(cases, &broker.address, Some(broker.folder.join("data"))),
            Err(reason) => skipped(reason),
        }
    }

    fn run_at(cases: &[Case], address: &str, log_folder: Option<PathBuf>) -> Outcome {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
        let kafka = RdKafka::new(address, BTreeMap::new());
        harness::run(cases, "broker", |case| {
            let names = Names::new(case.name, &run, None, Arc::new(kafka.clone()));
            let names = names.with_log_folder(log_folder.clone());
            (case.run)(&kafka, &names);
        })
    }
}
