//! The application that the cases run: words are put under another key, which takes a repartition topic, and counted, which takes a
//! changelog; exactly once. It comes to its end when all words are counted, twice: the second time it restores first.

use std::time::{Duration, Instant};

use kstreams::client::OffsetSpec;
use kstreams::client::rdkafka::RdKafka;
use kstreams::config::{ProcessingGuarantee, StreamsConfig};
use kstreams::dsl::StreamsBuilder;
use kstreams::runtime::{KafkaStreams, StreamsError};
use kstreams::topic::{Store, Topic};
use kstreams::topology::Topology;
use std::sync::Arc;

use crate::support::{Committed, WAIT, Writer, at, create_with, read, reader};

const COUNTS: Store<String, i64> = Store::new("counts");
/// Words of each run.
pub(crate) const WORDS: usize = 30;
/// How long an application that may all it needs takes at most, on a machine that is busy with other work.
const PATIENCE: Duration = Duration::from_secs(90);

/// An application with topics of its own.
pub(crate) struct Application {
    pub(crate) id: String,
    superuser: RdKafka,
    folder: tempfile::TempDir,
}

impl Application {
    /// Creates its input and output topic, as `superuser`.
    pub(crate) fn new(id: &str, superuser: RdKafka) -> Self {
        let application = Self { id: id.to_owned(), superuser, folder: tempfile::tempdir().unwrap() };
        for topic in [application.input(), application.output()] {
            create_with(&application.superuser, &topic, 1, &[]);
        }
        application
    }

    fn input(&self) -> String {
        format!("{}.words", self.id)
    }

    fn output(&self) -> String {
        format!("{}.totals", self.id)
    }

    pub(crate) fn topology(&self) -> Topology {
        let builder = StreamsBuilder::new();
        builder
            .stream(&Topic::<String, String>::named(self.input()))
            .select_key(|_, word: &String| word.clone())
            .group_by_key()
            .count_with(&COUNTS)
            .to_stream()
            .to(&Topic::<String, i64>::named(self.output()));
        builder.build().unwrap()
    }

    /// Runs it as `client`, without local state, until all words are counted and what was repartitioned is deleted.
    ///
    /// # Errors
    /// What stopped it, or what it warned of meanwhile.
    pub(crate) fn run(
        &self,
        client: &RdKafka,
        round: usize,
        warned: &dyn Fn() -> Option<String>,
    ) -> Result<(), String> {
        let mut writer = Writer::plain(&self.superuser);
        (0..WORDS).for_each(|number| writer.send(&self.input(), 0, "line", &format!("word-{}", number % 5)));
        writer.flush();
        let mut config = StreamsConfig::new(&self.id, ProcessingGuarantee::ExactlyOnceV2);
        config.state_dir = self.folder.path().join(round.to_string());
        config.commit_interval = Duration::from_millis(50);
        config.repartition_purge_interval = Duration::from_millis(300);
        config.statestore_cache_max_bytes = 0;
        let words = |error: StreamsError| error.to_string();
        let mut streams =
            KafkaStreams::new(self.topology(), config, Arc::new(client.clone())).map_err(words)?;
        let began = Instant::now();
        streams.start().map_err(words)?;
        let ended = loop {
            if let Some(error) = streams.error().or_else(warned) {
                break Err(error);
            }
            if self.is_done((round + 1) * WORDS) {
                break Ok(());
            }
            if began.elapsed() > PATIENCE {
                break Err(format!("not done after {PATIENCE:?}, and no error"));
            }
            std::thread::park_timeout(Duration::from_millis(100));
        };
        let closed = streams.close(Duration::from_secs(30)).map_err(words);
        ended.and(closed)
    }

    /// Each word was counted once, and what was repartitioned for that is deleted.
    fn is_done(&self, words: usize) -> bool {
        let totals = read(&self.superuser, &self.output(), Committed);
        totals.len() >= words && {
            assert_eq!(totals.len(), words, "{}: counted twice", self.id);
            let repartition = [at(&format!("{}-counts-repartition", self.id), 0)];
            let mut reader = reader(&self.superuser, Committed);
            let mut offset = |spec| reader.list_offsets(&repartition, spec, WAIT).unwrap()[0];
            // What is left is at most the marker of the last transaction.
            offset(OffsetSpec::Beginning) + 1 >= offset(OffsetSpec::End)
        }
    }
}
