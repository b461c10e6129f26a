//! Case files: one JSON object a line, plain or gzip. Comes in: paths. Goes out: cases, in file order.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

/// A topology, its input, and what Kafka Streams did with it.
#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) level: u32,
    pub(crate) config: Config,
    topology: Steps,
    pub(crate) describe: Option<String>,
    pub(crate) input: Vec<Input>,
    pub(crate) expected: Value,
}

#[derive(Deserialize)]
struct Steps {
    steps: Vec<Step>,
}

/// Settings of the application and of the driver.
#[derive(Deserialize)]
pub(crate) struct Config {
    #[serde(rename = "application.id")]
    pub(crate) application_id: String,
    #[serde(rename = "topology.optimization")]
    pub(crate) optimization: String,
    #[serde(rename = "dsl.store.suppliers")]
    pub(crate) store_suppliers: String,
    #[serde(rename = "statestore.cache.max.bytes")]
    pub(crate) cache_max_bytes: u64,
    #[serde(rename = "wallclock.start")]
    pub(crate) wall_clock_start: i64,
    #[serde(rename = "ensure.explicit.internal.resource.naming", default)]
    pub(crate) explicit_naming: bool,
}

/// One DSL call: its operator and fields.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Step(Value);

/// An input record, or a step of the wall clock.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Input {
    Advance {
        advance: i64,
    },
    Record {
        topic: String,
        key: Option<String>,
        value: Option<String>,
        ts: i64,
        #[serde(default)]
        headers: Vec<(String, Option<String>)>,
    },
}

/// The error that Kafka Streams ended with.
#[derive(Deserialize)]
pub(crate) struct ExpectedError {
    pub(crate) phase: String,
    pub(crate) index: Option<usize>,
    pub(crate) class: String,
    pub(crate) root: String,
    #[serde(default)]
    pub(crate) message: String,
}

impl Case {
    /// The DSL calls, in order.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.topology.steps
    }

    /// The error that Kafka Streams ended with, if it did.
    pub(crate) fn error(&self) -> Option<ExpectedError> {
        self.expected.get("error").map(|error| {
            ExpectedError::deserialize(error).unwrap_or_else(|what| panic!("{}: error: {what}", self.id))
        })
    }
}

impl Step {
    /// The operator.
    pub(crate) fn op(&self) -> &str {
        self.text("op")
    }

    /// A text field that must be there.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.find(field).unwrap_or_else(|| panic!("step without `{field}`: {}", self.0))
    }

    /// A text field.
    pub(crate) fn find(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(Value::as_str)
    }

    /// Whether `text` stands anywhere in it.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.0.to_string().contains(text)
    }

    /// A list of texts.
    pub(crate) fn texts(&self, field: &str) -> Vec<&str> {
        self.0.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A flag.
    pub(crate) fn flag(&self, field: &str) -> Option<bool> {
        self.0.get(field).and_then(Value::as_bool)
    }

    /// A number.
    pub(crate) fn number(&self, field: &str) -> Option<i64> {
        self.0.get(field).and_then(Value::as_i64)
    }

    /// A nested object, read with the same words.
    pub(crate) fn part(&self, field: &str) -> Option<Step> {
        self.0.get(field).cloned().map(Step)
    }

    /// A list of nested objects.
    pub(crate) fn parts(&self, field: &str) -> Vec<Step> {
        self.0.get(field).and_then(Value::as_array).into_iter().flatten().cloned().map(Step).collect()
    }
}

/// The case files in `path` (a file, or a folder with `*.jsonl` and `*.jsonl.gz`), by name.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = path.read_dir().map_err(|error| format!("cannot list {}: {error}", path.display()))?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|p| is_case_file(p)).collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("no *.jsonl or *.jsonl.gz file in {}", path.display()));
    }
    Ok(files)
}

fn is_case_file(path: &Path) -> bool {
    path.to_str().is_some_and(|name| name.ends_with(".jsonl") || name.ends_with(".jsonl.gz"))
}

/// All cases of one file.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>, String> {
    let broken = |what: String| format!("{}: {what}", path.display());
    let file = File::open(path).map_err(|error| broken(error.to_string()))?;
    let text: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "gz") {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let mut cases = Vec::new();
    for (number, line) in BufReader::new(text).lines().enumerate() {
        let line = line.map_err(|error| broken(error.to_string()))?;
        if !line.trim().is_empty() {
            let case = serde_json::from_str(&line)
                .map_err(|error| broken(format!("line {}: not a case: {error}", number + 1)))?;
            cases.push(case);
        }
    }
    Ok(cases)
}
