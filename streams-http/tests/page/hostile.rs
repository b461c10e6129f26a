//! Text of others that would be markup if the page took it for that: it is shown, and does nothing.

use streams_core::dsl::StreamsBuilder;
use streams_core::runtime::State;

use super::application::{ORDERS, Running, SECOND, TOTALS, log, order};
use super::browser::{document, find};

const IMAGE: &str = "<img src=x onerror=\"document.title='pwned'\">";

/// What must not be in a document: elements and scripts of others, alive. Text has `&lt;`.
fn does_nothing(page: &str) {
    assert!(!page.contains("<img") && !page.contains("<title>pwned"), "{page}");
    assert!(!page.contains("<script>"), "{page}");
    assert!(page.contains("&lt;img src=x onerror="), "{page}");
}

/// Kafka's topics cannot be called so, but patterns of topics can.
#[test]
fn names_of_topics_are_text() {
    let Some(browser) = find() else { return };
    let builder = StreamsBuilder::new();
    builder.stream_pattern::<String, i64>(&format!("orders|{IMAGE}")).to(&TOTALS);
    let shop = Running::new(builder.build().unwrap(), &log(), true);
    let page = document(browser, &shop.url(""), None);
    does_nothing(&page);
    assert!(page.contains("○ CREATED"), "{page}");
}

#[test]
fn what_records_and_errors_say_is_text() {
    let Some(browser) = find() else { return };
    let kafka = log();
    let builder = StreamsBuilder::new();
    let refuse = |key: &String, _: &i64| match key.as_str() {
        "ok" => Ok(0_i64),
        key => Err(format!("cannot take {key}")),
    };
    builder.stream(&ORDERS).try_map_values_with_key(move |key, value| refuse(key, &value)).to(&TOTALS);
    let topology = || builder.build().unwrap();
    order(&kafka, &format!("<script>document.title='pwned'</script>{IMAGE}"), &7_i64.to_be_bytes());
    let mut letters = Running::new(topology(), &kafka, true);
    letters.start();
    letters.await_json("failures", |failures| failures["total"] == 1);
    does_nothing(&document(browser, &letters.url(""), None));
    letters.streams.close(30 * SECOND).unwrap();
}

#[test]
fn the_error_that_stopped_it_is_text() {
    let Some(browser) = find() else { return };
    let kafka = log();
    let builder = StreamsBuilder::new();
    builder
        .stream(&ORDERS)
        .try_map_values_with_key(|key, _| Err::<i64, _>(format!("cannot take {key}")))
        .to(&TOTALS);
    order(&kafka, IMAGE, &7_i64.to_be_bytes());
    let mut shop = Running::new(builder.build().unwrap(), &kafka, false);
    shop.start();
    assert!(shop.streams.await_state(&[State::Error], 60 * SECOND));
    let page = document(browser, &shop.url(""), None);
    does_nothing(&page);
    assert!(page.contains("Stopped by an error"), "{page}");
}

/// A link to the page may carry anything.
#[test]
fn what_stands_in_the_address_is_text() {
    let Some(browser) = find() else { return };
    let shop = Running::new(super::application::topology(), &log(), true);
    let encoded = "%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D'pwned'%22%3E";
    for address in [format!("#node={encoded}"), format!("?theme={encoded}#node={encoded}")] {
        let page = document(browser, &shop.url(&address), None);
        does_nothing(&page);
        assert!(page.contains("There is no node of this name"), "{page}");
    }
}
