//! Topologies, from a file or from a running application: described, and compared.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use streams_core::topology::{PlanDiff, Severity, TopologySnapshot};

use crate::Error;
use crate::http::Client;
use crate::options::{DescribeFormat, Http};
use crate::print::print_json;

/// Reads a topology: `source` is the URL of a running application, or a JSON file that `Topology::snapshot().to_json()` or
/// `GET /topology/json` wrote.
///
/// # Errors
/// It cannot be read, or is something else.
pub fn read_topology(source: &str, http: &Http) -> Result<TopologySnapshot, Error> {
    let text = match source.contains("://") {
        true => Client::new(source, http)?.get("/topology/json")?,
        false => std::fs::read_to_string(Path::new(source))
            .map_err(|error| format!("the topology cannot be read from {source}: {error}"))?,
    };
    TopologySnapshot::from_json(&text).map_err(|error| format!("{source}: {error}").into())
}

/// Writes a topology in this form.
///
/// # Errors
/// It is a file of an older version, which has no nodes; `out` cannot be written.
pub fn print_topology(
    source: &str,
    topology: &TopologySnapshot,
    format: DescribeFormat,
    out: &mut dyn Write,
) -> Result<(), Error> {
    if format == DescribeFormat::Json {
        return Ok(writeln!(out, "{}", topology.to_json())?);
    }
    let Some(description) = &topology.description else {
        return Err(format!(
            "{source} was written by an older version and has no nodes: write it again, or ask for --format json"
        )
        .into());
    };
    let text = match format {
        DescribeFormat::Text | DescribeFormat::Json => description.to_string(),
        DescribeFormat::Mermaid => description.to_mermaid(),
        DescribeFormat::Dot => description.to_dot(),
    };
    Ok(out.write_all(text.as_bytes())?)
}

/// A comparison as JSON.
#[derive(Serialize)]
struct Diff<'a> {
    compatible: bool,
    loses_state: bool,
    changes: Vec<Change<'a>>,
}

#[derive(Serialize)]
struct Change<'a> {
    severity: &'static str,
    subject: &'a str,
    message: &'a str,
}

/// Writes what changes, and what that means.
///
/// # Errors
/// `out` cannot be written.
pub fn print_diff(diff: &PlanDiff, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if !json {
        write!(out, "{diff}")?;
        let verdict = match (diff.is_compatible(), diff.loses_state()) {
            (true, _) => "the new version goes on where the old one stops, with everything that it left",
            (false, true) => "the new version LOSES state or records of the old one",
            (false, false) => "the new version cannot start beside what the old one left",
        };
        return Ok(writeln!(out, "{verdict}")?);
    }
    let changes = diff.changes.iter().map(|change| Change {
        severity: match change.severity {
            Severity::Loss => "loss",
            Severity::Break => "break",
            Severity::Restore => "restore",
            Severity::Harmless => "harmless",
        },
        subject: &change.subject,
        message: &change.message,
    });
    let (compatible, loses_state) = (diff.is_compatible(), diff.loses_state());
    print_json(&Diff { compatible, loses_state, changes: changes.collect() }, out)
}
