//! Creating the topics of an example, and finding out how many partitions they have.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams::client::{ClientSupplier, Fault, NewTopic};

use super::Failure;

const TIMEOUT: Duration = Duration::from_secs(15);

/// Creates the topics of `names` that do not exist yet, with `partitions` each.
pub(super) fn create(clients: &dyn ClientSupplier, names: &[&str], partitions: i32) -> Result<(), Failure> {
    let topics: Vec<NewTopic> = names
        .iter()
        .map(|name| NewTopic {
            name: (*name).to_owned(),
            partitions,
            replication_factor: -1,
            config: BTreeMap::new(),
        })
        .collect();
    for answer in clients.admin()?.create_topics(&topics, TIMEOUT)? {
        match answer {
            Ok(()) => {}
            Err(error) if error.fault == Fault::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The number of partitions of `topic`.
pub(super) fn partitions(clients: &dyn ClientSupplier, topic: &str) -> Result<i32, Failure> {
    let found = clients.admin()?.describe_topics(&[topic.to_owned()], TIMEOUT)?;
    match found.into_iter().next().flatten() {
        Some(topic) => Ok(topic.partitions),
        None => Err(format!("topic `{topic}` does not exist; create it first").into()),
    }
}
