//! One case, from build to the last input item. Comes in: a case. Goes out: a verdict.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use kstreams::testing::{DriverConfig, ProducedRecord, TopologyTestDriver};
use kstreams::topology::Topology;
use kstreams::types::{Header, Headers};
use serde_json::{Value, json};

use crate::base64;
use crate::case::{Case, Input};
use crate::compare::{self, Difference, Failure, Level, Observed};
use crate::functions::Text;
use crate::report::{Outcome, Verdict};
use crate::stores::stores;
use crate::topology::{self, Seen};

/// How cases are run.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    /// Stores are on RocksDB.
    pub(crate) on_disk: bool,
    /// Hopping windows are in panes, where they can be; changelogs are not compared.
    pub(crate) in_panes: bool,
}

/// Runs a case and compares. `None`: it has nothing that could be in panes.
pub(crate) fn verdict(case: &Case, mode: Mode) -> Option<Verdict> {
    if mode.in_panes && topology::in_panes(case).is_empty() {
        return None;
    }
    Some(Verdict { id: case.id.clone(), level: case.level, outcome: outcome(case, mode) })
}

fn outcome(case: &Case, mode: Mode) -> Outcome {
    let error = case.error();
    if let Some(why) = error.as_ref().and_then(|error| compare::skips(error, true)) {
        return Outcome::Skipped(why);
    }
    let unsupported = topology::unsupported(case.steps());
    if !unsupported.is_empty() {
        return Outcome::Unsupported(unsupported);
    }
    let observed = match catch_unwind(AssertUnwindSafe(|| observe(case, mode))) {
        Ok(observed) => observed,
        Err(panic) => return Outcome::Differs(panicked(&*panic)),
    };
    let refused = observed.error.as_ref().is_some_and(|failure| failure.phase == "build");
    if let Some(why) = error.as_ref().and_then(|error| compare::skips(error, refused)) {
        return Outcome::Skipped(why);
    }
    compare::first_difference(case, &observed, !mode.in_panes).map_or(Outcome::Equal, Outcome::Differs)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Difference {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
    Difference {
        level: Level::A,
        place: "panic".to_owned(),
        ours: text.to_owned(),
        theirs: "no panic".to_owned(),
        at: None,
    }
}

fn observe(case: &Case, mode: Mode) -> Observed {
    let seen = Seen::default();
    let panes = if mode.in_panes { topology::in_panes(case) } else { BTreeSet::new() };
    let topology = match topology::build(&case.config, case.steps(), &seen, panes) {
        Ok(topology) => topology,
        Err(error) => {
            let error = Some(Failure { phase: "build", index: None, message: error.to_string() });
            return Observed { error, ..Observed::default() };
        }
    };
    let mut observed = Observed { describe: Some(topology.describe().to_string()), ..Observed::default() };
    let directory =
        mode.on_disk.then(|| tempfile::tempdir().expect("a folder for temporary files can be made"));
    let directory = directory.as_ref().map(tempfile::TempDir::path);
    observed.error = drive(case, topology, directory, &seen, &mut observed).err();
    observed.seen = seen.entries();
    observed
}

/// Runs the topology; its stores are on disk if there is a `directory`.
fn drive(
    case: &Case,
    topology: Topology,
    directory: Option<&Path>,
    seen: &Seen,
    observed: &mut Observed,
) -> Result<(), Failure> {
    let failed = |phase, index| {
        move |error: &dyn std::fmt::Display| Failure { phase, index, message: error.to_string() }
    };
    let mut config = DriverConfig {
        application_id: case.config.application_id.clone(),
        wall_clock: case.config.wall_clock_start,
        statestore_cache_max_bytes: case.config.cache_max_bytes,
        ..DriverConfig::default()
    };
    if let Some(directory) = directory {
        on_disk(&mut config, directory);
        // Kafka Streams' cache shows expired rows while it has room for them: ours has as much.
        config.tier_max_bytes = case.config.cache_max_bytes.max(1);
    }
    let driver =
        TopologyTestDriver::with_config(topology, config).map_err(|error| failed("start", None)(&error))?;
    let mut result = Ok(());
    for (index, item) in case.input.iter().enumerate() {
        seen.at(index);
        result = feed(&driver, item)
            .and_then(|()| if directory.is_some() { driver.flush_stores() } else { Ok(()) })
            .map_err(|error| failed("input", Some(index))(&error));
        if result.is_err() {
            break;
        }
    }
    let failed_at = result.as_ref().err().and_then(|failure| failure.index);
    let prefix = format!("{}-", case.config.application_id);
    for topic in driver.produced_topics() {
        let internal = topic.starts_with(&prefix);
        let records = driver.produced(&topic);
        // Case files have nothing of the item that failed.
        let records = records.iter().filter(|record| failed_at.is_none_or(|index| record.item < index));
        let records: Vec<Value> = records.map(|record| written(record, internal)).collect();
        let topics = if internal { &mut observed.internal } else { &mut observed.outputs };
        if !records.is_empty() {
            topics.insert(topic.to_string(), records);
        }
    }
    result?;
    observed.stores = stores(&driver);
    observed.dropped = driver.dropped();
    Ok(())
}

#[cfg(feature = "rocksdb")]
fn on_disk(config: &mut DriverConfig, directory: &Path) {
    config.engines = std::sync::Arc::new(streams_state::engine::RocksDbProvider::new(8 << 20));
    config.directory = directory.to_owned();
}

#[cfg(not(feature = "rocksdb"))]
fn on_disk(_config: &mut DriverConfig, _directory: &Path) {}

fn feed(driver: &TopologyTestDriver, item: &Input) -> kstreams::error::NodeResult {
    match item {
        Input::Advance { advance } => {
            driver.try_advance_wall_clock(Duration::from_millis(advance.unsigned_abs()))
        }
        Input::Record { topic, key, value, ts, headers } => {
            let bytes = |text: &Text| text.as_ref().map(|text| text.as_bytes().to_vec());
            let headers: Headers =
                headers.iter().map(|(key, value)| Header { key: key.clone(), value: bytes(value) }).collect();
            driver.pipe_raw(topic, bytes(key).as_deref(), bytes(value).as_deref(), *ts, headers)
        }
    }
}

/// A record as the case files write it: bytes in internal topics, text in all others.
fn written(record: &ProducedRecord, internal: bool) -> Value {
    let part = |bytes: &Option<Vec<u8>>| match bytes {
        None => Value::Null,
        Some(bytes) if internal => Value::String(base64::encode(bytes)),
        Some(bytes) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
    };
    let mut written = json!({
        "key": part(&record.key),
        "value": part(&record.value),
        "timestamp": record.timestamp,
        "at": record.item,
    });
    if !record.headers.is_empty() {
        written["headers"] = record.headers.iter().map(header).collect();
    }
    written
}

/// A header as the case files write it.
pub(crate) fn header(header: &Header) -> Value {
    let value = header.value.as_ref().map(|bytes| match bytes.iter().all(|byte| (32..127).contains(byte)) {
        true => String::from_utf8_lossy(bytes).into_owned(),
        false => format!("base64:{}", base64::encode(bytes)),
    });
    json!([header.key, value])
}
