//! `kstreams acls`: what it prints for a topology with all kinds of topics, and what it refuses. That the set suffices, and that each
//! entry is needed, shows on a real broker: `tests/security`.

#![allow(clippy::unwrap_used, reason = "a test")]

use clap::Parser;
use streams_cli::{Cli, Command, acls, print_acls};
use streams_core::dsl::StreamsBuilder;
use streams_core::topic::{Store, Topic};

const SUMS: Store<String, i64> = Store::new("sums");

/// What the command prints for the topology of `build`.
fn printed(build: impl FnOnce(&StreamsBuilder), options: &[&str]) -> Result<String, String> {
    let builder = StreamsBuilder::new();
    build(&builder);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("topology.json");
    std::fs::write(&file, builder.build().unwrap().snapshot().to_json()).unwrap();
    let words = ["kstreams", "acls", "--principal", "User:CN=the shop", "--topology", file.to_str().unwrap()];
    let Command::Acls(arguments) = Cli::parse_from(words.iter().chain(options)).command else {
        panic!("not acls")
    };
    let mut out = Vec::new();
    let acls = acls(&arguments).map_err(|error| error.to_string())?;
    print_acls(&arguments, &acls, &mut out).unwrap();
    Ok(String::from_utf8(out).unwrap())
}

fn shop(builder: &StreamsBuilder) {
    let _customers = builder.global_table(&Topic::<String, String>::new("customers"));
    builder
        .stream(&Topic::<String, i64>::new("orders"))
        .select_key(|key, _| key.clone())
        .group_by_key()
        .reduce_with(|sum, amount| sum + amount, &SUMS)
        .to_stream()
        .to(&Topic::<String, i64>::new("totals"));
}

#[test]
fn a_command_for_each_resource() {
    let begin = "kafka-acls.sh --bootstrap-server localhost:9092 --add --allow-principal 'User:CN=the shop'";
    let expected = [
        "--operation Read --topic customers",
        "--operation Write --topic failed",
        "--operation Read --topic orders",
        "--operation Create --operation Read --operation Write --topic shop-sums-changelog",
        "--operation Create --operation Read --operation Write --operation Delete --topic shop-sums-repartition",
        "--operation Write --topic totals",
        "--operation Read --group shop",
        "--operation Write --transactional-id shop- --resource-pattern-type prefixed",
    ];
    let expected: String = expected.iter().map(|line| format!("{begin} {line}\n")).collect();
    assert_eq!(printed(shop, &["--application-id", "shop", "--also-writes", "failed"]).unwrap(), expected);
}

#[test]
fn the_properties_of_the_application_say_how_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.properties");
    let text = "application.id=shop\nerrors.dead.letter.queue.topic.name=dead\n";
    std::fs::write(&file, format!("{text}processing.guarantee=exactly_once_v2\n")).unwrap();
    let options = ["--json", "--properties", file.to_str().unwrap()];
    assert!(printed(shop, &options).unwrap().contains("TransactionalId"));
    std::fs::write(&file, text).unwrap();
    let printed = printed(shop, &options).unwrap();
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["principal"], "User:CN=the shop");
    let acls = json["acls"].as_array().unwrap();
    let entry = |resource: &str, name: &str, operation: &str| {
        let entry = serde_json::json!({ "resource": resource, "name": name, "prefixed": false, "operation": operation });
        acls.contains(&entry)
    };
    assert!(entry("Topic", "dead", "Write") && entry("Group", "shop", "Read"));
    assert!(acls.iter().all(|acl| acl["resource"] != "TransactionalId"));
}

#[test]
fn topics_that_only_run_time_knows_have_to_be_named() {
    let pattern = |builder: &StreamsBuilder| {
        builder.stream_pattern::<String, String>("shop-.*").for_each(|_, _| ());
    };
    let error = printed(pattern, &["--application-id", "shop"]).unwrap_err();
    assert!(error.contains("`shop-.*`") && error.contains("name those"), "{error}");
    let printed = printed(pattern, &["--application-id", "shop", "--also-reads", "shop-1"]).unwrap();
    assert!(printed.contains("--operation Read --topic shop-1\n"), "{printed}");
    let missing = self::printed(shop, &[]).unwrap_err();
    assert!(missing.contains("--application-id"), "{missing}");
}
