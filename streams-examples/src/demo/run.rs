//! Runs an application until its input is worked off or a signal comes, and shows how it goes.

use std::time::Duration;

use kstreams::prelude::*;

use super::{App, Failure, Feed, Progress, Stop, View};

/// What comes out of an example, read from its output topics.
pub trait Results {
    /// What the feed counts: `words`.
    const UNIT: &'static str;

    /// Takes in what was committed since the last call.
    fn poll(&mut self) -> Result<(), Failure>;

    /// Units of input whose results have come out.
    fn done(&self) -> u64;

    /// Units of input that all the outputs agree on, once everything has come out.
    fn settled(&self) -> u64;

    /// The rows to show.
    fn rows(&self) -> Vec<(String, i64)>;

    /// Prints the final table and a line of figures.
    fn print(&self, app: &App, metrics: &MetricsSnapshot, took: Duration);
}

/// On the embedded log: until all that was fed has come out, once each. On Kafka: until a signal comes.
pub fn run<R: Results>(
    title: &str,
    app: &App,
    streams: KafkaStreams,
    feed: &Feed,
    stop: &Stop,
    mut results: R,
) -> Result<(), Failure> {
    let mut view = View::new(&format!("{title} · {}", app.describe()));
    let finished = loop {
        results.poll()?;
        feed.processed(results.done());
        view.update(&Progress {
            done: results.done(),
            total: if app.embedded { feed.total() } else { None },
            unit: R::UNIT,
            metrics: streams.metrics(),
            rows: results.rows(),
        });
        app.check(&streams, feed)?;
        let all_out = || results.settled() >= feed.fed() || results.done() > feed.fed();
        if app.embedded && feed.is_done() && all_out() {
            break true;
        }
        if stop.requested(Duration::from_millis(50)) {
            break false;
        }
    };
    feed.stop();
    let metrics = streams.metrics();
    app.close(streams)?;
    let took = view.finish();
    results.poll()?;
    results.print(app, &metrics, took);
    if finished {
        app.verify(R::UNIT, feed.fed(), results.settled())?;
    }
    Ok(())
}
