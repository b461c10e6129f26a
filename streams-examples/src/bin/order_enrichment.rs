//! Enriches orders with what a table knows of their customers, on the embedded log or on Kafka, and shows how.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use kstreams::prelude::*;
use streams_examples::demo::{
    App, Failure, Feed, Feeder, Options, Results, Tail, bytes, log_filter, report, run, thousands,
};
use streams_examples::order_enrichment::{
    CUSTOMERS, Customer, DEAD_LETTERS, ENRICHED_ORDERS, EnrichedOrder, ORDERS, Order, TIER_TOTALS, TierTotal,
    topology,
};

const CUSTOMER_COUNT: u64 = 1_000;
const TIERS: [&str; 3] = ["gold", "silver", "bronze"];
/// Every so many-th order is cut off in the middle, as if its sender had crashed.
const BROKEN_EVERY: u64 = 500;
/// Orders that the feeder may be ahead of the results.
const AHEAD_MAX: u64 = 50_000;

/// Enriches orders: JSON orders joined with a table of customers; totals per tier; dead letters.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Orders to make up
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    orders: u64,
}

/// What the output topics hold.
struct Outputs {
    enriched: Tail<String, EnrichedOrder>,
    totals: Tail<String, TierTotal>,
    dead_letters: Tail<Option<Vec<u8>>, Option<Vec<u8>>>,
}

fn main() -> ExitCode {
    report(start())
}

fn start() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter(log_filter()).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let mut app = App::new("order-enrichment", &arguments.options)?;
    app.config.deserialization_exception_handler = Arc::new(DeadLetterQueue::new(DEAD_LETTERS.name()));
    app.create_topics(&[
        ORDERS.name(),
        CUSTOMERS.name(),
        ENRICHED_ORDERS.name(),
        TIER_TOTALS.name(),
        DEAD_LETTERS.name(),
    ])?;
    if !arguments.options.no_produce {
        feed_customers(&app)?;
    }
    let streams = app.start(topology()?)?;
    let stop = app.stop_on_signals()?;
    let feed = match arguments.options.no_produce {
        true => Feed::nothing(),
        false => start_orders(&app, arguments.orders)?,
    };
    let outputs = Outputs {
        enriched: Tail::new(&app, &ENRICHED_ORDERS)?,
        totals: Tail::new(&app, &TIER_TOTALS)?,
        dead_letters: Tail::new(&app, &DEAD_LETTERS)?,
    };
    run("order enrichment", &app, streams, &feed, &stop, outputs)?;
    app.print_kafka_command("demo-orders");
    Ok(())
}

impl Results for Outputs {
    const UNIT: &'static str = "orders";

    fn poll(&mut self) -> Result<(), Failure> {
        self.enriched.poll(Duration::from_millis(20))?;
        self.totals.poll(Duration::ZERO)?;
        self.dead_letters.poll(Duration::ZERO)
    }

    /// Orders that have come out, one way or the other.
    fn done(&self) -> u64 {
        self.enriched.records + self.dead_letters.records
    }

    /// Orders that the totals know, and dead letters.
    fn settled(&self) -> u64 {
        let totalled = self.totals.latest.values().map(|total| total.orders).sum::<i64>().unsigned_abs();
        // The two outputs come apart by a commit at most; while they differ, nothing is settled.
        if totalled == self.enriched.records { totalled + self.dead_letters.records } else { 0 }
    }

    fn rows(&self) -> Vec<(String, i64)> {
        let mut rows: Vec<(String, i64)> =
            self.totals.latest.iter().map(|(tier, total)| (tier.clone(), total.orders)).collect();
        rows.sort();
        rows.push(("dead letters".to_owned(), self.dead_letters.records as i64));
        rows
    }

    fn print(&self, _app: &App, metrics: &MetricsSnapshot, took: Duration) {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_header(["tier", "orders", "revenue"]);
        let mut totals: Vec<(&String, &TierTotal)> = self.totals.latest.iter().collect();
        totals.sort_by_key(|(tier, _)| *tier);
        for (tier, total) in totals {
            let revenue = format!("{}.{:02}", thousands(total.cents / 100), total.cents % 100);
            table.add_row([tier.clone(), thousands(total.orders), revenue]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}");
        println!(
            "{} orders, {} of them to the dead-letter topic `{}`; {:.1} s, {} commits, state {}",
            thousands(self.done() as i64),
            thousands(self.dead_letters.records as i64),
            DEAD_LETTERS.name(),
            took.as_secs_f64(),
            thousands(metrics.commits as i64),
            bytes(metrics.state_memory_bytes + metrics.state_engine_bytes),
        );
    }
}

/// Fills the customers topic.
fn feed_customers(app: &App) -> Result<(), Failure> {
    let mut feeder = Feeder::new(app)?;
    let mut customers = feeder.target(CUSTOMERS.name())?;
    for number in 0..CUSTOMER_COUNT {
        let tier = TIERS[(spread(number) % TIERS.len() as u64) as usize];
        let customer = Customer { name: format!("Customer {number}"), tier: tier.to_owned() };
        feeder.send(
            &mut customers,
            Some(format!("c{number}").as_bytes()),
            &serde_json::to_vec(&customer)?,
        )?;
    }
    feeder.flush()
}

/// Writes orders, some of unknown customers, some broken, from a thread of its own.
fn start_orders(app: &App, count: u64) -> Result<Feed, Failure> {
    Feed::start(app, Some(count), AHEAD_MAX, move |feed, feeder| {
        let mut orders = feeder.target(ORDERS.name())?;
        for number in (0..count).take_while(|_| !feed.stopped()) {
            let order = made_up_order(number);
            let mut json = serde_json::to_vec(&order)?;
            if number % BROKEN_EVERY == BROKEN_EVERY - 1 {
                json.truncate(json.len() / 2);
            }
            feeder.send(&mut orders, Some(order.id.as_bytes()), &json)?;
            feed.advance(1, 1);
        }
        Ok(())
    })
}

/// The order of this number: the same in every run. One customer in eleven is not in the table.
fn made_up_order(number: u64) -> Order {
    let random = spread(number);
    Order {
        id: format!("o{number}"),
        customer: format!("c{}", random % (CUSTOMER_COUNT + CUSTOMER_COUNT / 10)),
        cents: (100 + (random >> 32) % 20_000) as i64,
    }
}

/// Spreads numbers over all bits (the finalizer of SplitMix64).
fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
