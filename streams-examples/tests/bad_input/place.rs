//! Where a class is tried: a folder of its own, the programs, an embedded log.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use kstreams::client::embedded::EmbeddedKafka;
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;

use crate::Answer;

/// What came of it.
pub(crate) struct Seen {
    pub(crate) answer: Answer,
    pub(crate) words: String,
}

impl Seen {
    pub(crate) fn refused<T>(result: Result<T, impl std::fmt::Display>) -> Self {
        let words = result.err().expect("this must fail").to_string();
        Self { answer: Answer::Refused, words }
    }
}

pub(crate) struct Place {
    folder: tempfile::TempDir,
    within: u64,
}

impl Place {
    pub(crate) fn new(within: u64) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), within }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join("file");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The word count with these arguments; `{}` stands for the folder.
    pub(crate) fn word_count(&self, arguments: &[&str]) -> Seen {
        let folder = self.path().display().to_string();
        let mut command = self.program(env!("CARGO_BIN_EXE_word_count"));
        if !arguments.contains(&"--state-dir") {
            command.arg("--state-dir").arg(self.path().join("state"));
        }
        Self::ended(command.args(arguments.iter().map(|argument| argument.replace("{}", &folder))))
    }

    /// The word count with this file of properties.
    pub(crate) fn properties(&self, text: impl AsRef<[u8]>) -> Seen {
        let file = self.file(text).display().to_string();
        self.word_count(&["--properties", &file])
    }

    /// A program that is killed when its time is over.
    pub(crate) fn program(&self, path: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", &self.within.to_string(), path]).env_remove("HTTP_TOKEN");
        command
    }

    pub(crate) fn ended(command: &mut Command) -> Seen {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Seen { answer: Answer::Exit(output.status.code().unwrap_or(-1)), words }
    }

    pub(crate) fn kafka(&self, topics: &[(&str, i32)]) -> EmbeddedKafka {
        let kafka = EmbeddedKafka::new(SystemClock);
        topics.iter().for_each(|(topic, partitions)| kafka.create_topic(topic, *partitions).unwrap());
        kafka
    }

    pub(crate) fn config(&self) -> StreamsConfig {
        let mut config = StreamsConfig::new("app", ProcessingGuarantee::ExactlyOnceV2);
        config.state_dir = self.path().to_owned();
        config
    }

    pub(crate) fn streams(&self, kafka: &EmbeddedKafka, build: impl FnOnce(&StreamsBuilder)) -> KafkaStreams {
        let builder = StreamsBuilder::new();
        build(&builder);
        KafkaStreams::new(builder.build().unwrap(), self.config(), Arc::new(kafka.clone())).unwrap()
    }

    /// Runs the application until it stops by itself, and returns why.
    pub(crate) fn stopped(&self, mut streams: KafkaStreams) -> Seen {
        streams.start().unwrap();
        let ended = streams.await_state(&[State::Error], std::time::Duration::from_secs(self.within));
        assert!(ended, "still {}", streams.state());
        Seen { answer: Answer::Refused, words: streams.error().unwrap_or_default() }
    }
}
