//! What a person sees: an instance that works, one that restores, one that failed.

use std::net::SocketAddr;
use std::sync::Arc;

use streams_core::dsl::StreamsBuilder;
use streams_core::runtime::State;
use streams_core::topic::Topic;
use streams_http::HttpConfig;

use super::application::{Gate, ORDERS, Running, SECOND, TOTALS, log, order, topology};
use super::browser::{document, find};

/// Each of `wanted` is in `document`.
fn has(document: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(document.contains(text), "`{text}` is not in\n{document}");
    }
}

#[test]
fn an_instance_that_works_shows_its_nodes_their_figures_and_its_dead_letters() {
    let Some(browser) = find() else { return };
    let kafka = log();
    let mut shop = Running::new(topology(), &kafka, true);
    (0..2000_i64).for_each(|number| order(&kafka, &format!("{}", number % 700), &number.to_be_bytes()));
    order(&kafka, "eve", b"no number");
    shop.start();
    shop.await_json("status", |status| status["records"]["processed"].as_u64() >= Some(4000));
    shop.await_json("status", |status| status["threads"][0]["tasks"][1]["inputs"][0]["lag"] == 0);
    let page = document(browser, &shop.url(""), Some(("works", "1300,1500")));
    has(&page, &["● RUNNING", ">shop</h1>", "Sub-topology 0", "Sub-topology 1"]);
    has(
        &page,
        &[
            "aria-label=\"source, KSTREAM-SOURCE-0000000000, ",
            "  ·  lag 0</text>",
            "aria-label=\"processor, KSTREAM-KEY-SELECT-0000000001",
            ">aggregate 2</text>",
            "store orders-per-customer ",
        ],
    );
    // The dead letter with its place, and the timeline.
    has(
        &page,
        &[
            "orders-0 at 2000",
            "→ dead-letters",
            "deserialization: ",
            "the instance is RUNNING",
            "StreamThread-1 has 2 tasks: 0_0, 1_0",
        ],
    );
    has(&page, &["None is shown over HTTP"]);
    assert!(!page.contains("role=\"alert\""), "{page}");

    let page = document(
        browser,
        &shop.url("?theme=dark#node=KSTREAM-AGGREGATE-0000000002"),
        Some(("dark", "1300,1500")),
    );
    has(
        &page,
        &[
            "data-theme=\"dark\"",
            "<h3>KSTREAM-AGGREGATE-0000000002</h3>",
            "processor of sub-topology 1",
            "aria-pressed=\"true\"",
        ],
    );
    shop.streams.close(30 * SECOND).unwrap();
    let page = document(browser, &shop.url(""), None);
    has(&page, &["■ NOT_RUNNING", "No stream thread runs here"]);
}

const RETURNS: Topic<String, i64> = Topic::new("returns");

/// The task waits for its second input, so that the first is read until its buffer is full, and no further.
#[test]
fn lag_is_shown_at_its_source() {
    let Some(browser) = find() else { return };
    let kafka = log();
    kafka.create_topic("returns", 1).unwrap();
    (0..5000_i64).for_each(|number| order(&kafka, "ada", &number.to_be_bytes()));
    let builder = StreamsBuilder::new();
    builder.stream(&ORDERS).merge(builder.stream(&RETURNS)).to(&TOTALS);
    let http = HttpConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut shop = Running::with(builder.build().unwrap(), &kafka, http, |config| {
        config.max_task_idle = Some(3600 * SECOND);
    });
    shop.start();
    let lag = |status: &serde_json::Value, input: usize| {
        status["threads"][0]["tasks"][0]["inputs"][input]["lag"].clone()
    };
    let status = shop.await_json("status", |status| lag(status, 0).as_i64() > Some(0) && lag(status, 1) == 0);
    assert_eq!(lag(&status, 0), 4000);
    let page = document(browser, &shop.url("#node=KSTREAM-SOURCE-0000000000"), None);
    has(
        &page,
        &[
            "aria-label=\"source, KSTREAM-SOURCE-0000000000, ",
            "lag 4k</text>",
            "class=\"node source selected behind\"",
            "4,000 records behind",
        ],
    );
    has(&page, &["aria-label=\"source, KSTREAM-SOURCE-0000000001, ", "lag 0</text>"]);
    shop.streams.close(30 * SECOND).unwrap();
}

#[test]
fn an_instance_that_restores_shows_how_far_it_is() {
    let Some(browser) = find() else { return };
    let kafka = log();
    (0..3000_i64).for_each(|number| order(&kafka, &number.to_string(), &number.to_be_bytes()));
    let mut first = Running::new(topology(), &kafka, true);
    first.start();
    first.await_json("status", |status| status["records"]["processed"] == 6000);
    first.streams.close(30 * SECOND).unwrap();

    let gate = Arc::new(Gate::default());
    let mut shop = Running::new(topology(), &kafka, true);
    shop.streams.set_global_state_restore_listener(gate.clone());
    shop.streams.start().unwrap();
    let restore =
        |status: &serde_json::Value| status["threads"][0]["tasks"][1]["stores"][0]["restore"].clone();
    let status = shop.await_json("status", |status| restore(status)["restored"].as_u64() > Some(0));
    let (restored, left) =
        (restore(&status)["restored"].as_u64().unwrap(), restore(&status)["left"].as_u64().unwrap());
    let share = (restored * 100 + (restored + left) / 2) / (restored + left);
    assert!((1..99).contains(&share), "{status}");
    let page = document(browser, &shop.url(""), Some(("restores", "1300,900")));
    has(
        &page,
        &[
            "↻ REBALANCING",
            "orders-per-customer, task 1_0",
            &format!("{share} %, "),
            "↻ restoring",
            &format!(">restoring {share} %</text>"),
        ],
    );
    has(&page, &["Not ready", "state is REBALANCING, not RUNNING", "<progress max=\"1000\""]);
    gate.open();
    assert!(shop.streams.await_state(&[State::Running], 60 * SECOND));
    shop.await_json("status", |status| restore(status).is_null());
    let page = document(browser, &shop.url(""), None);
    assert!(page.contains("● RUNNING") && !page.contains("task 1_0</span>"), "{page}");
}

#[test]
fn an_instance_that_failed_says_why() {
    let Some(browser) = find() else { return };
    let kafka = log();
    order(&kafka, "eve", b"no number");
    let mut shop = Running::new(topology(), &kafka, false);
    shop.start();
    assert!(shop.streams.await_state(&[State::Error], 60 * SECOND));
    let page = document(browser, &shop.url(""), Some(("error", "1300,900")));
    has(&page, &["▲ ERROR", "Stopped by an error", "record orders-0@0", "class=\"pill bad\""]);
}
