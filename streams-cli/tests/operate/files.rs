//! Topologies from files, completions, and bad input that needs neither broker nor application.

use crate::program::{file, path, run, word_count};

#[test]
fn a_topology_is_described_in_every_form() {
    let topology = word_count("words", false);
    let snapshot = file(&topology.snapshot().to_json());
    let description = topology.describe();
    let said = |format: &str| run(&["describe", path(&snapshot), "--format", format]).out;
    assert_eq!(run(&["describe", path(&snapshot)]).out, description.to_string());
    assert_eq!(said("text"), description.to_string());
    assert_eq!(said("mermaid"), description.to_mermaid());
    assert_eq!(said("dot"), description.to_dot());
    let json = run(&["describe", path(&snapshot), "--json"]);
    assert_eq!(json.out.trim_end(), topology.snapshot().to_json());
    assert_eq!(json.out, said("json"));
}

#[test]
fn a_file_of_an_older_version_is_compared_but_not_drawn() {
    let mut old = serde_json::to_value(word_count("words", false).snapshot()).unwrap();
    old.as_object_mut().unwrap().retain(|key, _| key != "description" && key != "topics");
    let (old, new) = (file(&old.to_string()), file(&word_count("words", false).snapshot().to_json()));
    run(&["plan", "diff", path(&old), path(&new)]).is(0, "no change");
    run(&["describe", path(&old)]).fails("written by an older version and has no nodes");
    run(&[
        "topics",
        "plan",
        "--topology",
        path(&old),
        "--application-id",
        "a",
        "--bootstrap-server",
        "localhost:1",
    ])
    .fails("does not say which topics are needed");
}

#[test]
fn a_diff_tells_by_its_exit_code_whether_state_is_kept() {
    let [one, filtered, renamed] = [("words", false), ("words", true), ("sums", false)]
        .map(|(store, filter)| file(&word_count(store, filter).snapshot().to_json()));
    run(&["plan", "diff", path(&one), path(&one)])
        .is(0, "no change")
        .is(0, "goes on where the old one stops");
    run(&["plan", "diff", path(&one), path(&filtered)]).is(0, "no change");
    let said = run(&["plan", "diff", path(&one), path(&renamed)]);
    said.is(1, "LOSS     words: is not in the new version").is(1, "LOSES state");
    said.is(1, "LOSS     words-repartition");
    let json = run(&["plan", "diff", path(&one), path(&renamed), "--json"]);
    json.is(1, "");
    let json = json.json();
    assert_eq!((json["compatible"].as_bool(), json["loses_state"].as_bool()), (Some(false), Some(true)));
    assert_eq!(json["changes"][0]["severity"], "loss");
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, part) in [
        ("bash", "_kstreams()"),
        ("zsh", "#compdef kstreams"),
        ("fish", "complete -c kstreams"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let said = run(&["completions", shell]);
        said.is(0, part).is(0, "by-duration");
    }
    run(&["completions", "cmd"]).is(2, "possible values: bash");
}

#[test]
fn bad_input_gets_one_sentence() {
    let (garbage, newer) = (
        file("{\"version\": 1"),
        file(r#"{"version": 9, "subtopologies": [], "stores": {}, "repartition_topics": {}}"#),
    );
    for topology in ["/nowhere/shop.json", path(&garbage)] {
        run(&["describe", topology]).fails(topology);
        run(&["plan", "diff", topology, topology]).fails(topology);
    }
    run(&["describe", path(&newer)]).fails("has version 9");
    run(&["describe", "ftp://localhost"]).fails("http and https, not ftp");
    run(&["describe", "http://127.0.0.1:1"]).fails("no application answers at http://127.0.0.1:1");
    run(&["top", "http://127.0.0.1:1"]).fails("is it running");
    run(&["top", "--interval", "-1"]).is(2, "error: ");
    run(&["describe", "https://localhost:1", "--ca-file", "/nowhere"]).fails("/nowhere cannot be read");
    run(&["describe", "https://localhost:1", "--ca-file", path(&garbage)]).fails("holds no certificate");

    let topology = file(&word_count("words", false).snapshot().to_json());
    let topics =
        |more: &[&str]| run(&[&["topics", "plan", "--topology", path(&topology)][..], more].concat());
    topics(&[]).fails("give --application-id");
    topics(&["--application-id", "a"]).fails("topics are in a cluster: give --bootstrap-server");
    let at = ["--application-id", "a", "--bootstrap-server", "127.0.0.1:1"];
    topics(&[&at[..], &["--declared", "/nowhere"]].concat()).fails("/nowhere");
    let misspelt = file(r#"{"lines": {"partition": 3}}"#);
    topics(&[&at[..], &["--declared", path(&misspelt)]].concat()).fails("unknown field `partition`");
    let setting = file("num.stream.thread=3\n");
    topics(&[&at[..], &["--properties", path(&setting)]].concat()).is(2, "num.stream.thread");

    let reset = |more: &[&str]| run(&[&["reset", "--application-id", "a"][..], more].concat());
    reset(&[]).fails("offsets are in a cluster: give --bootstrap-server");
    reset(&["--to-latest", "--to-offset", "4"]).is(2, "cannot be used with");
    reset(&["--to-offset", "four"]).is(2, "invalid value 'four'");
    reset(&["--to-datetime", "yesterday"]).fails("`yesterday` is no time");
    reset(&["--by-duration", "2h"]).fails("`2h` is no duration: P1DT2H30M");
    reset(&["--from-file", "/nowhere"]).fails("offsets cannot be read from /nowhere");
    let plan = file("lines,0\n");
    reset(&["--from-file", path(&plan)]).fails("line 1 is not TOPIC,PARTITION,OFFSET");
    run(&["reset"]).is(2, "--application-id <ID>");
    run(&["topic", "plan"]).is(2, "similar subcommands exist: 'top', 'topics'");
}

#[test]
fn a_cluster_that_is_down_is_named() {
    let topology = file(&word_count("words", false).snapshot().to_json());
    let at = ["--application-id", "a", "--bootstrap-server", "127.0.0.1:1"];
    let commands = [
        [&["topics", "plan", "--topology", path(&topology)], &at[..]].concat(),
        [&["topics", "apply", "--topology", path(&topology)], &at[..]].concat(),
        [&["reset", "--input-topics", "lines"], &at[..]].concat(),
    ];
    std::thread::scope(|scope| {
        for command in &commands {
            scope.spawn(|| run(command).fails("no broker answers at 127.0.0.1:1"));
        }
    });
}
