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
    App, Failure, Feed, Options, Progress, Stop, Tail, View, bytes, log_filter, report, thousands,
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
    let stop = Stop::on_signals()?;
    app.create_topics(&[LINES.name(), WORD_COUNTS.name()])?;
    let streams = app.start(topology()?)?;
    let feed = match arguments.options.no_produce {
        true => Feed::nothing(),
        false => start_feed(&app, arguments.input)?,
    };
    run(&app, streams, &feed, &stop)
}

/// Runs until all is counted (embedded log) or until a signal comes.
fn run(app: &App, streams: KafkaStreams, feed: &Feed, stop: &Stop) -> Result<(), Failure> {
    let mut tail = Tail::new(app, &WORD_COUNTS)?;
    let mut view = View::new(&format!("word count · {}", app.describe()));
    let finished = loop {
        tail.poll(Duration::from_millis(50))?;
        let counted = tail.latest.values().sum::<i64>().unsigned_abs();
        feed.processed(counted);
        view.update(&Progress {
            done: counted,
            total: if app.embedded { feed.total() } else { None },
            unit: "words",
            metrics: streams.metrics(),
            rows: top(&tail, 10),
        });
        app.check(&streams, feed)?;
        if app.embedded && feed.is_done() && counted >= feed.fed() {
            break true;
        }
        if stop.requested(Duration::from_millis(50)) {
            break false;
        }
    };
    let metrics = streams.metrics();
    app.close(streams)?;
    let took = view.finish();
    print_counts(&tail);
    let counted = tail.latest.values().sum::<i64>();
    println!(
        "{} words, {} of them different, in {:.1} s: {} words/s, {} commits, state {}",
        thousands(counted),
        thousands(tail.latest.len() as i64),
        took.as_secs_f64(),
        thousands((counted as f64 / took.as_secs_f64().max(0.001)) as i64),
        thousands(metrics.commits as i64),
        bytes(metrics.state_memory_bytes + metrics.state_engine_bytes),
    );
    if finished {
        println!(
            "Every word was counted exactly once: the counts add up to the {} words fed.",
            thousands(feed.fed() as i64)
        );
    }
    if app.embedded {
        println!("The same binary on Kafka:\n  {}", app.kafka_command("demo"));
    }
    Ok(())
}

/// The `count` most frequent words.
fn top(tail: &Tail<String, i64>, count: usize) -> Vec<(String, i64)> {
    let mut rows: Vec<(&String, &i64)> = tail.latest.iter().collect();
    rows.sort_unstable_by(|one, two| two.1.cmp(one.1).then_with(|| one.0.cmp(two.0)));
    rows.into_iter().take(count).map(|(word, count)| (word.clone(), *count)).collect()
}

fn print_counts(tail: &Tail<String, i64>) {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(["word", "count"]);
    for (word, count) in top(tail, 15) {
        table.add_row([word, thousands(count)]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

/// Writes the text into the input topic, from a thread of its own.
fn start_feed(app: &App, input: Option<PathBuf>) -> Result<Feed, Failure> {
    let size = match &input {
        Some(path) if path.as_os_str() == "-" => None,
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
        Some(path) => Box::new(BufReader::new(File::open(path)?).lines()),
    })
}
