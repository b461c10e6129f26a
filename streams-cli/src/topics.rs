//! Topics of an application: what it wants against what is there, as tables or JSON.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use streams_core::topics::{Action, DeclaredTopic, Standing, TopicAction, TopicsPlan};
use streams_core::topology::{TopicNeeds, TopologySnapshot};

use crate::Error;
use crate::print::{line, print_json, table};

/// What the user declares of topics: a JSON file of `{"orders": {"partitions": 6, "config": {"retention.ms": "86400000"}}}`.
///
/// # Errors
/// It cannot be read, or says something else.
pub fn read_declared(path: Option<&Path>) -> Result<BTreeMap<String, DeclaredTopic>, Error> {
    let Some(path) = path else { return Ok(BTreeMap::new()) };
    let at = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("declared topics cannot be read from {at}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| {
        format!(
            "{at} declares no topics: {error}; it should look like {{\"orders\": {{\"partitions\": 6, \
             \"replication_factor\": 3, \"config\": {{\"retention.ms\": \"86400000\"}}}}}}"
        )
        .into()
    })
}

/// What a topology needs of topics.
///
/// # Errors
/// The file was written by an older version, which does not say.
pub fn needs(source: &str, topology: TopologySnapshot) -> Result<TopicNeeds, Error> {
    let older = || {
        format!(
            "{source} was written by an older version and does not say which topics are needed: write it again"
        )
    };
    Ok(topology.topics.ok_or_else(older)?)
}

/// Writes how it stands with topics.
///
/// # Errors
/// `out` cannot be written.
pub fn print_topics_plan(plan: &TopicsPlan, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(plan, out);
    }
    let mut table = table(&["topic", "role", "partitions", "is"], &[2]);
    for topic in &plan.topics {
        let wanted = &topic.wanted;
        let partitions = wanted.partitions.map_or("any".to_owned(), |count| count.to_string());
        let is = match &topic.standing {
            Standing::Missing => "MISSING".to_owned(),
            Standing::Equal => "equal".to_owned(),
            Standing::Differs(all) => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                format!("DIFFERS: {}", all.join("; "))
            }
        };
        table.add_row([line(&wanted.name), wanted.role.as_str().to_owned(), partitions, line(&is)]);
    }
    writeln!(out, "topics of {}:\n{table}", plan.application_id)?;
    if let Some(why) = &plan.unplanned {
        writeln!(out, "internal topics cannot be planned: {why}")?;
    }
    Ok(())
}

/// Writes what was done to topics.
///
/// # Errors
/// `out` cannot be written.
pub fn print_actions(done: &[TopicAction], json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(done, out);
    }
    if done.is_empty() {
        return Ok(writeln!(out, "nothing to do: all topics are as they are wanted")?);
    }
    for action in done {
        let name = line(&action.topic);
        match &action.action {
            Action::Created(wanted) => {
                let partitions =
                    wanted.partitions.map_or("as many partitions as brokers give".to_owned(), |count| {
                        format!("{count} partitions")
                    });
                let config: Vec<String> =
                    wanted.config.iter().map(|(key, value)| format!(", {key}={value}")).collect();
                writeln!(out, "created {name}: {partitions}{}", config.concat())?;
            }
            Action::Altered(difference) => {
                let found = difference.found.as_deref().unwrap_or("unset");
                writeln!(out, "altered {name}: {} from {found} to {}", difference.aspect, difference.wanted)?;
            }
            Action::Left { difference, why } => {
                let what = difference.as_ref().map_or("it is missing".to_owned(), ToString::to_string);
                writeln!(out, "left {name}: {what}; {why}")?;
            }
        }
    }
    Ok(())
}
