//! The commands of the page are commands.

use clap::{CommandFactory, Parser};
use streams_cli::Cli;

const PAGE: &str = include_str!("../../README.md");

#[test]
fn every_command_on_the_page_is_understood() {
    let commands: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("$ kstreams ")).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        let words = std::iter::once("kstreams").chain(command.split_whitespace());
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("kstreams {command}: {error}");
        }
    }
}

#[test]
fn every_command_is_on_the_page() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(PAGE.contains(&format!("kstreams {name} ")) || PAGE.contains(&format!("`{name} ")), "{name}");
    }
}
