//! Counts the words of a text, on the embedded log or on Kafka, and shows how.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use kstreams::prelude::*;
use streams_examples::demo::{
    App, Failure, Feed, Options, Results, Tail, bytes, log_filter, report, run, thousands,
};
use streams_examples::word_count::{LINES, WORD_COUNTS, topology, words};

/// The text shipped with the repository.
const SHIPPED: [&str; 2] =
    [include_str!("../../data/alice.txt"), include_str!("../../data/as_you_like_it.txt")];
/// How often the shipped text is read, so that there is something to see.
const SHIPPED_ROUNDS: usize = 100;
/// Words that the feeder may be ahead of the counts: bounds the memory of the embedded log's readers.
const AHEAD_MAX: u64 = 500_000;

/// Counts words: lines of text in, a running count of each word out.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Text to count; `-` is standard input; default: the text shipped with this example, 100 times
    #[arg(long, value_name = "FILE|-")]
    input: Option<PathBuf>,
}

fn main() -> ExitCode {
    report(start())
}

fn start() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter(log_filter()).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let app = App::new("word-count", &arguments.options)?;
    app.create_topics(&[LINES.name(), WORD_COUNTS.name()])?;
    let streams = app.start(topology()?)?;
    let stop = app.stop_on_signals()?;
    let feed = match arguments.options.no_produce {
        true => Feed::nothing(),
        false => start_feed(&app, arguments.input)?,
    };
    run("word count", &app, streams, &feed, &stop, Counts(Tail::new(&app, &WORD_COUNTS)?))?;
    app.print_kafka_command("demo");
    Ok(())
}

/// The counts, as the output topic tells them.
struct Counts(Tail<String, i64>);

impl Results for Counts {
    const UNIT: &'static str = "words";

    fn poll(&mut self) -> Result<(), Failure> {
        self.0.poll(Duration::from_millis(50))
    }

    fn done(&self) -> u64 {
        self.0.latest.values().sum::<i64>().unsigned_abs()
    }

    fn settled(&self) -> u64 {
        self.done()
    }

    fn rows(&self) -> Vec<(String, i64)> {
        self.top(10)
    }

    fn print(&self, app: &App, metrics: &MetricsSnapshot, took: Duration) {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_header(["word", "count"]);
        for (word, count) in self.top(15) {
            table.add_row([word, thousands(count)]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}");
        // On Kafka, others and earlier runs have counted as well: the counts are not this instance's work alone.
        let rate = match app.embedded {
            true => {
                format!("{} words/s", thousands((self.done() as f64 / took.as_secs_f64().max(0.001)) as i64))
            }
            false => {
                format!("{} records processed by this instance", thousands(metrics.records_processed as i64))
            }
        };
        println!(
            "{} words, {} of them different; {:.1} s, {rate}, {} commits, state {}",
            thousands(self.done() as i64),
            thousands(self.0.latest.len() as i64),
            took.as_secs_f64(),
            thousands(metrics.commits as i64),
            bytes(metrics.state_memory_bytes + metrics.state_engine_bytes),
        );
    }
}

impl Counts {
    /// The `count` most frequent words.
    fn top(&self, count: usize) -> Vec<(String, i64)> {
        let mut rows: Vec<(&String, &i64)> = self.0.latest.iter().collect();
        rows.sort_unstable_by(|one, two| two.1.cmp(one.1).then_with(|| one.0.cmp(two.0)));
        rows.into_iter().take(count).map(|(word, count)| (word.clone(), *count)).collect()
    }
}

/// Writes the text into the input topic, from a thread of its own.
fn start_feed(app: &App, input: Option<PathBuf>) -> Result<Feed, Failure> {
    let typed = input.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let size = match &input {
        Some(_) if typed => None,
        Some(path) => {
            Some(std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?.len())
        }
        None => Some((SHIPPED.iter().map(|text| text.len()).sum::<usize>() * SHIPPED_ROUNDS) as u64),
    };
    Feed::start(app, size, AHEAD_MAX, move |feed, feeder| {
        let mut lines = feeder.target(LINES.name())?;
        for line in read(input)? {
            let line = line?;
            if feed.stopped() {
                break;
            }
            feeder.send(&mut lines, None, line.trim_end().as_bytes())?;
            if typed {
                feeder.push();
            }
            feed.advance(words(&line).len() as u64, line.len() as u64 + 1);
        }
        Ok(())
    })
}

/// The lines of the input.
fn read(input: Option<PathBuf>) -> Result<Box<dyn Iterator<Item = std::io::Result<String>>>, Failure> {
    Ok(match input {
        None => {
            let text = std::iter::repeat_n(SHIPPED, SHIPPED_ROUNDS).flatten();
            Box::new(text.flat_map(str::lines).map(|line| Ok(line.to_owned())))
        }
        Some(path) if path.as_os_str() == "-" => Box::new(std::io::stdin().lock().lines()),
        Some(path) => {
            let name = path.display().to_string();
            let wrong =
                move |error: std::io::Error| std::io::Error::new(error.kind(), format!("{name}: {error}"));
            let lines = BufReader::new(File::open(&path).map_err(&wrong)?).lines();
            Box::new(lines.map(move |line| line.map_err(&wrong)))
        }
    })
}
