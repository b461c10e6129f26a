//! The built program, files for it, and a topology.

use std::io::Write;
use std::process::{Command, Stdio};

use streams_core::dsl::StreamsBuilder;
use streams_core::topic::{Store, Topic};
use streams_core::topology::Topology;
use tempfile::NamedTempFile;

const LINES: Topic<String, String> = Topic::new("lines");
const COUNTS: Topic<String, i64> = Topic::new("counts");

/// What the program printed.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl Said {
    /// It ended so, and said this.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, part: &str) -> &Self {
        let said = format!("{:?}\n{}\n{}", self.code, self.out, self.error);
        assert!(self.code == Some(code) && said.contains(part), "wanted {code} and `{part}`, got {said}");
        self
    }

    /// It failed with one sentence that has this in it.
    #[track_caller]
    pub(crate) fn fails(&self, part: &str) {
        self.is(2, part);
        assert!(self.error.starts_with("kstreams: ") && self.error.lines().count() == 1, "{}", self.error);
        assert!(self.out.is_empty(), "{}", self.out);
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

pub(crate) fn run(arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_kstreams"))
        .args(arguments)
        .env_remove("KSTREAMS_TOKEN")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

/// A file with this text.
pub(crate) fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

pub(crate) fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

/// Counts words, in a store of this name, after a repartition topic. Of input without the word `skip`, if it is filtered.
pub(crate) fn word_count(store: &'static str, filtered: bool) -> Topology {
    let builder = StreamsBuilder::new();
    let mut lines = builder.stream(&LINES);
    if filtered {
        lines = lines.filter(|_, word| word != "skip");
    }
    let store: Store<String, i64> = Store::new(store);
    let counts = lines.group_by(|_, word| word.clone()).count_with(&store);
    counts.to_stream().to(&COUNTS);
    builder.build().unwrap()
}
