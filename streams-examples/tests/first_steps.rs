//! What a new user does first: the commands of the README's "First steps", as they stand there, in a project outside of this workspace.
//!
//! Left out or put in place of others: the demo is the program that is built already, the broker is one on a free port, the tool
//! `kstreams` is built already, and the live page is on a free port. Without a broker the steps from the third on are SKIPPED aloud.
#![cfg(all(feature = "rdkafka", feature = "http"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that says what it skips")]

#[path = "../../tests/broker/mod.rs"]
mod start;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use start::Broker;

/// A clone of the repository with the user's project beside it.
struct Walk {
    folder: tempfile::TempDir,
    /// The commands of each step.
    steps: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(1).unwrap().to_owned()
}

impl Walk {
    fn new() -> Self {
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        let section = readme.split("\n## ").find(|section| section.starts_with("First steps\n")).unwrap();
        let blocks = |language: &str| -> Vec<String> {
            let fence = format!("\n```{language}\n");
            section
                .split(fence.as_str())
                .skip(1)
                .map(|rest| rest.split("\n```").next().unwrap().to_owned())
                .collect()
        };
        for (number, title) in
            (1..).zip(["The demo", "A topology", "The same on Kafka", "Its page", "A dead letter"])
        {
            assert!(section.contains(&format!("\n**{number}. {title}")), "{number}");
        }
        let program = fs::read_to_string(root().join("streams-examples/src/bin/first_steps.rs")).unwrap();
        let [topology] = blocks("rust").try_into().unwrap();
        let topology = &topology[topology.find("fn topology").unwrap()..];
        assert!(program.contains(topology), "README shows what is in the program");
        assert!(topology.lines().count() <= 12);
        let steps = blocks("sh");
        assert!(steps.iter().all(|step| step.lines().count() <= 10), "one command, or ten lines");
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root(), folder.path().join("kstreams")).unwrap();
        Self { folder, steps }
    }

    /// A shell that does these commands where the user stands.
    fn shell(&self, commands: &str, broker: &str) -> Command {
        let built = |name: &str| Path::new(env!("CARGO_BIN_EXE_word_count")).with_file_name(name);
        let kstreams = built("kstreams").display().to_string();
        let mut line = String::new();
        for command in commands.lines() {
            let tool = "make -s -C ../kstreams dlq ARGS=\"";
            let command = match command.strip_prefix(tool) {
                Some(arguments) => format!("{kstreams} dlq {}", arguments.trim_end_matches('"')),
                None => command.to_owned(),
            };
            let in_place = [
                ("make demo", format!("{} --state-dir ../state", built("word_count").display())),
                ("../kstreams/scripts/kafka up", ":".to_owned()),
            ];
            let put = in_place.into_iter().find(|(whole, _)| *whole == command).map(|(_, put)| put);
            line.push_str(&put.unwrap_or(command).replace("localhost:9092", broker));
            line.push('\n');
        }
        let shop = self.folder.path().join("shop");
        let at = if shop.exists() { shop } else { self.folder.path().join("kstreams") };
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", &line])
            .current_dir(at)
            // Where the user stands, symbolic links and all.
            .env("PWD", self.folder.path().join("kstreams"))
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-steps"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("TMPDIR", self.folder.path())
            .env("PAGE", "127.0.0.1:0");
        shell
    }

    /// What these commands print.
    fn run(&self, step: &str, broker: &str) -> String {
        let output = self.shell(step, broker).stdin(Stdio::null()).output().unwrap();
        let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{step}\n{out}\n{error}");
        out
    }

    /// The page of the program that this step starts, while an order more is typed.
    fn watch(&self, step: &str, broker: &str) {
        let mut shell = self.shell(step, broker);
        let mut program = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
        let page = lines.find_map(|line| line.strip_prefix("live page: ").map(str::to_owned)).unwrap();
        let get = |path: &str| -> String {
            ureq::get(format!("{page}{path}")).call().unwrap().body_mut().read_to_string().unwrap()
        };
        assert!(get("").contains("<html"), "the live page");
        assert!(get("topology").contains("orders"), "{}", get("topology"));
        assert!(get("status").contains("RUNNING"), "{}", get("status"));
        writeln!(program.stdin.as_mut().unwrap(), "bob 50").unwrap();
        assert_eq!(lines.next().unwrap(), "bob: 350");
        drop(program.stdin.take());
        assert!(program.wait().unwrap().success());
    }
}

/// Whether all lines are there, in this order.
#[track_caller]
fn assert_totals(printed: &str, last: &[&str]) {
    for total in last {
        assert!(printed.lines().any(|line| line == *total), "no `{total}` in\n{printed}");
    }
}

#[test]
fn a_new_user_gets_from_the_demo_to_a_dead_letter_put_back() {
    let walk = Walk::new();
    let [demo, own, kafka, page, letter] = walk.steps.as_slice() else { panic!("{:?}", walk.steps) };
    assert!(walk.run(demo, "").contains(" words, "), "the demo counts");
    assert_totals(&walk.run(own, ""), &["bob: 300", "ada: 750"]);
    let broker = match Broker::start(None) {
        Ok(broker) => broker,
        Err(why) => {
            println!("SKIPPED first steps on Kafka: {why}");
            assert!(std::env::var("CI").is_err(), "CI must not skip: {why}");
            return;
        }
    };
    assert_totals(&walk.run(kafka, &broker.address), &["bob: 300", "ada: 750"]);
    walk.watch(page, &broker.address);
    let printed = walk.run(letter, &broker.address);
    assert!(printed.contains("dead letters in failed: 1, 0 of them put back"), "{printed}");
    assert!(printed.contains("dead letters in failed: 1 put back"), "{printed}");
    assert_totals(&printed, &["ada: 1750"]);
}
