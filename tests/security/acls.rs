//! The set of ACLs that `kstreams acls` prints suffices: with it the application comes to its end, restores, and comes to its end again.
//! And each entry is needed: without it the application stops, or warns, with principal, operation and resource.

use std::io::Write;
use std::process::{Command, Stdio};

use clap::Parser;
use kstreams::topology::{Acl, AclResource};
use streams_cli::{Cli, acls};

use crate::Secured;
use crate::application::Application;
use crate::broker::script;
use crate::canary::Log;

/// Applications at a time: more of them take a busy machine's patience.
const AT_ONCE: usize = 4;

/// A line for `Acls.java`.
pub(crate) fn line(principal: &str, acl: &Acl) -> String {
    let pattern = if acl.prefixed { "PREFIXED" } else { "LITERAL" };
    format!("{principal}\t{:?}\t{}\t{pattern}\t{:?}", acl.resource, acl.name, acl.operation)
}

/// What lets `principal` do all that applications do, with any topic.
pub(crate) fn everything(principal: &str) -> Vec<String> {
    ["Topic", "Group", "TransactionalId"]
        .map(|resource| format!("{principal}\t{resource}\t*\tLITERAL\tAll"))
        .to_vec()
}

/// Grants, with Kafka's own client.
pub(crate) fn grant(secured: &Secured, lines: &[String]) {
    let jars = script("fetch", &secured.broker.folder).output().unwrap();
    let jars = format!("{}/*", String::from_utf8(jars.stdout).unwrap().trim());
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/Acls.java");
    let mut java = Command::new("java");
    java.args([
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        &jars,
        program,
        &secured.broker.address,
    ]);
    let mut java = java.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    java.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let ended = java.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// What `kstreams acls` says of the application.
fn least(application: &Application) -> Vec<Acl> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("topology.json");
    std::fs::write(&file, application.topology().snapshot().to_json()).unwrap();
    let file = file.to_str().unwrap();
    let words =
        ["kstreams", "acls", "--topology", file, "--application-id", &application.id, "--principal", "x"];
    let streams_cli::Command::Acls(arguments) = Cli::parse_from(words).command else { panic!("not acls") };
    acls(&arguments).unwrap()
}

pub(crate) fn run(secured: &Secured, log: &Log) -> usize {
    let count = least(&Application::new("acl-count", secured.superuser())).len();
    // One application with all entries, and one for each entry, without it.
    let cases: Vec<(Application, Option<Acl>)> = (0..=count)
        .map(|number| {
            let application = Application::new(&format!("acl-{number}"), secured.superuser());
            let left_out = number.checked_sub(1).map(|entry| least(&application)[entry].clone());
            (application, left_out)
        })
        .collect();
    let granted = cases.iter().flat_map(|(application, left_out)| {
        let kept = least(application).into_iter().filter(|acl| Some(acl) != left_out.as_ref());
        kept.map(|acl| line(&format!("User:{}", application.id), &acl)).collect::<Vec<_>>()
    });
    grant(secured, &granted.collect::<Vec<_>>());
    let queue = std::sync::Mutex::new(cases.iter());
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some((application, left_out)) = { queue.lock().unwrap().next() } {
                    check(secured, log, application, left_out.as_ref());
                }
            });
        }
    });
    count + 1
}

fn check(secured: &Secured, log: &Log, application: &Application, left_out: Option<&Acl>) {
    let client = secured.with_tokens(&application.id);
    let principal = format!("User:{} may not", application.id);
    let warned = || log.find(|line| line.contains(&principal) && line.contains("WARN"));
    let ended = (0..2).try_for_each(|round| application.run(&client, round, &warned));
    let Some(acl) = left_out else {
        assert_eq!(ended, Ok(()), "the printed set does not suffice");
        println!("security: all entries: it runs to its end, restores, and runs to its end");
        return;
    };
    let error = ended.expect_err(&format!("it runs without {acl}"));
    println!("security: without {acl}: {error}");
    assert!(error.contains(&principal), "without {acl}, no principal in: {error}");
    // Who may do nothing with a topic is told first that he may not see it.
    let operation = format!("may not {:?} on", acl.operation);
    let sees = acl.resource == AclResource::Topic && error.contains("may not Describe (which Read");
    assert!(sees || error.contains(&operation), "without {acl}, no operation in: {error}");
    assert!(error.contains(&format!("`{}", acl.name)), "without {acl}, no resource in: {error}");
}
