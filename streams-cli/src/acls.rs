//! The least set of ACLs of an application, as commands that grant it.
//!
//! In: the snapshot of its topology, its properties. Out: entries, and lines for a shell.

use std::collections::BTreeMap;
use std::io::Write;

use streams_core::config::read_properties_file;
use streams_core::topology::{AccessOptions, Acl, AclResource};

use crate::Error;
use crate::options::AclsArguments;
use crate::print::print_json;
use crate::topology::read_topology;

const DEAD_LETTERS: &str = "errors.dead.letter.queue.topic.name";

/// The entries that the application needs.
///
/// # Errors
/// The topology or the properties cannot be read; the application has no id; topics that only run time knows are not named.
pub fn acls(arguments: &AclsArguments) -> Result<Vec<Acl>, Error> {
    let snapshot = read_topology(&arguments.topology, &arguments.http)?;
    let properties = arguments.properties.as_ref().map(read_properties_file).transpose()?.unwrap_or_default();
    let own = |key: &str| {
        properties.get(key).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let options =
        AccessOptions {
            application_id: arguments.application_id.clone().or_else(|| own("application.id")).ok_or(
                "the application has no id: give --application-id, or --properties with application.id",
            )?,
            // An application that is configured by properties does not unless they say so; of any other nobody knows here.
            exactly_once: match own("processing.guarantee") {
                Some(guarantee) => guarantee == "exactly_once_v2",
                None => arguments.properties.is_none(),
            },
            also_reads: arguments.also_reads.iter().cloned().collect(),
            also_writes: arguments.also_writes.iter().cloned().chain(own(DEAD_LETTERS)).collect(),
        };
    Ok(snapshot.acls(&options)?)
}

/// Prints the entries: a command for each resource, or JSON.
///
/// # Errors
/// `out` fails.
pub fn print_acls(arguments: &AclsArguments, acls: &[Acl], out: &mut dyn Write) -> Result<(), Error> {
    if arguments.json {
        let list = serde_json::json!({ "principal": arguments.principal, "acls": acls });
        return print_json(&list, out);
    }
    let mut resources: BTreeMap<(AclResource, &str, bool), String> = BTreeMap::new();
    for acl in acls {
        let operations = resources.entry((acl.resource, &acl.name, acl.prefixed)).or_default();
        operations.push_str(&format!(" --operation {:?}", acl.operation));
    }
    for ((resource, name, prefixed), operations) in resources {
        let resource = match resource {
            AclResource::Topic => format!("--topic {}", quoted(name)),
            AclResource::Group => format!("--group {}", quoted(name)),
            AclResource::TransactionalId => format!("--transactional-id {}", quoted(name)),
        };
        let pattern = if prefixed { " --resource-pattern-type prefixed" } else { "" };
        writeln!(
            out,
            "kafka-acls.sh --bootstrap-server {} --add --allow-principal {}{operations} {resource}{pattern}",
            quoted(&arguments.bootstrap_server),
            quoted(&arguments.principal),
        )?;
    }
    Ok(())
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "._-:,=/@".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
