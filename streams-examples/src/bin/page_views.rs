//! Counts page views by minute, on the embedded log or on Kafka, and shows the pages.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use kstreams::prelude::*;
use streams_examples::demo::{
    App, Failure, Feed, Feeder, Options, Results, Tail, bytes, log_filter, report, run, thousands,
};
use streams_examples::page_views::{
    GRACE, MINUTE_MS, PAGE_MINUTES, PROFILES, PageMinute, Profile, VIEWS, View, topology,
};

const PAGES: [&str; 6] = ["home", "news", "shop", "basket", "help", "jobs"];
const USER_COUNT: u64 = 1_000;
/// Event time between two views, ms.
const STEP_MS: i64 = 10;
/// How much later than the others a view may come, ms: within the grace.
const LATE_MAX_MS: u64 = 5_000;
/// Views that the feeder may be ahead of the results: several minutes of them.
const AHEAD_MAX: u64 = 50_000;

/// Counts page views by minute: event time, late views, a global table, one result for each minute.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Views to make up, 100 for each second of event time
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    views: u64,
}

/// What the output topic holds.
struct Minutes(Tail<Windowed<String>, PageMinute>);

fn main() -> ExitCode {
    report(start())
}

fn start() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter(log_filter()).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let app = App::new("page-views", &arguments.options)?;
    app.create_topics(&[VIEWS.name(), PROFILES.name(), PAGE_MINUTES.name()])?;
    if !arguments.options.no_produce {
        feed_profiles(&app)?;
    }
    let streams = app.start(topology()?)?;
    let stop = app.stop_on_signals()?;
    let feed = match arguments.options.no_produce {
        true => Feed::nothing(),
        false => start_views(&app, arguments.views)?,
    };
    let minutes = Minutes(Tail::new(&app, &PAGE_MINUTES)?);
    run("page views", &app, streams, &feed, &stop, minutes)?;
    app.print_kafka_command("demo-views");
    Ok(())
}

impl Minutes {
    /// Members and guests by page.
    fn pages(&self) -> BTreeMap<&str, PageMinute> {
        let mut pages: BTreeMap<&str, PageMinute> = BTreeMap::new();
        for (windowed, minute) in &self.0.latest {
            let page = pages.entry(&windowed.key).or_default();
            page.members += minute.members;
            page.guests += minute.guests;
        }
        pages
    }
}

impl Results for Minutes {
    const UNIT: &'static str = "views";

    fn poll(&mut self) -> Result<(), Failure> {
        self.0.poll(Duration::from_millis(20))
    }

    /// Views of minutes that are over.
    fn done(&self) -> u64 {
        self.0.latest.values().map(PageMinute::views).sum::<i64>().unsigned_abs()
    }

    fn settled(&self) -> u64 {
        // A minute that came out twice would be one too many.
        if self.0.records == self.0.latest.len() as u64 { self.done() } else { 0 }
    }

    fn rows(&self) -> Vec<(String, i64)> {
        self.pages().into_iter().map(|(page, all)| (page.to_owned(), all.views())).collect()
    }

    fn print(&self, _app: &App, metrics: &MetricsSnapshot, took: Duration) {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_header(["page", "members", "guests"]);
        for (page, all) in self.pages() {
            table.add_row([page.to_owned(), thousands(all.members), thousands(all.guests)]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}");
        println!(
            "{} views, {} results for a page and minute, each sent once; {:.1} s, {} commits, state {}",
            thousands(self.done() as i64),
            thousands(self.0.records as i64),
            took.as_secs_f64(),
            thousands(metrics.commits as i64),
            bytes(metrics.state_memory_bytes + metrics.state_engine_bytes),
        );
    }
}

/// Fills the profiles topic: every third user is a member.
fn feed_profiles(app: &App) -> Result<(), Failure> {
    let mut feeder = Feeder::new(app)?;
    let mut profiles = feeder.target(PROFILES.name())?;
    for user in 0..USER_COUNT {
        let profile = serde_json::to_vec(&Profile { member: user % 3 == 0 })?;
        feeder.send(&mut profiles, Some(format!("u{user}").as_bytes()), &profile)?;
    }
    feeder.flush()
}

/// Writes views, some of them late, from a thread of its own. The last ones, of each page and behind all minutes, are not
/// counted: they move event time, so that all the minutes before them are over.
fn start_views(app: &App, count: u64) -> Result<Feed, Failure> {
    let length = i64::try_from(count)? * STEP_MS;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let start = (now - length) / MINUTE_MS * MINUTE_MS;
    Feed::start(app, Some(count), AHEAD_MAX, move |feed, feeder| {
        let mut views = feeder.target(VIEWS.name())?;
        for number in (0..count).take_while(|_| !feed.stopped()) {
            let random = spread(number);
            let late = (random >> 32) % LATE_MAX_MS;
            let at = (start + number as i64 * STEP_MS - late as i64).max(start);
            let view = View { user: format!("u{}", random % (USER_COUNT * 2)), at };
            let page = PAGES[(random >> 16) as usize % PAGES.len()];
            feeder.send(&mut views, Some(page.as_bytes()), &serde_json::to_vec(&view)?)?;
            feed.advance(1, 1);
        }
        let end = start + length + MINUTE_MS + GRACE.as_millis() as i64;
        for page in PAGES {
            let last = View { user: String::new(), at: end };
            feeder.send(&mut views, Some(page.as_bytes()), &serde_json::to_vec(&last)?)?;
        }
        Ok(())
    })
}

/// Spreads numbers over all bits (the finalizer of SplitMix64).
fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
