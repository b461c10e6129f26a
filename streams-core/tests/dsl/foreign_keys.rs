//! Foreign-key joins: what the recorded cases cannot say. Types, older versions of the messages, faults, handlers.

use std::sync::Arc;

use streams_core::dsl::{StreamsBuilder, TableJoined};
use streams_core::handler::LogAndContinue;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::{Store, Topic};
use streams_core::types::Headers;

use super::{driver, text};

/// An order: the customer, if known, and cents.
type Order = (Option<i32>, i64);

const ORDERS: Topic<String, Order> = Topic::new("orders");
const CUSTOMERS: Topic<i32, String> = Topic::new("customers");
const OUT: Topic<String, Option<String>> = Topic::new("out");
const LABELS: Store<String, String> = Store::new("labels");

fn labels(builder: &StreamsBuilder) {
    let customers = builder.table(&CUSTOMERS);
    let label = |(_, cents): &Order, name: &String| (*cents != 0).then(|| format!("{name}: {cents}"));
    builder
        .table(&ORDERS)
        .named("of-customer")
        .join_foreign_key_with(&customers, |_, (id, _)| *id, label, TableJoined::new(), &LABELS)
        .to_stream()
        .to(&OUT);
}

#[test]
fn a_joiner_may_say_that_there_is_no_result() {
    let builder = StreamsBuilder::new();
    labels(&builder);
    let driver = driver(&builder);
    driver.input(&CUSTOMERS).pipe(7, "Ada");
    driver.input(&ORDERS).pipe("a", (Some(7), 5));
    assert_eq!(driver.store(&LABELS).get(&text("a")).as_deref(), Some("Ada: 5"));
    driver.input(&ORDERS).pipe("a", (Some(7), 0));
    assert_eq!(driver.store(&LABELS).get(&text("a")), None);
    assert_eq!(driver.output(&OUT).read_all().last(), Some(&(text("a"), None)));
}

#[test]
fn an_inner_join_counts_rows_that_point_nowhere() {
    let builder = StreamsBuilder::new();
    labels(&builder);
    let driver = driver(&builder);
    driver.input(&ORDERS).pipe("a", (None, 5));
    assert_eq!(driver.dropped(), 1);
    driver.input(&CUSTOMERS).pipe(7, "Ada");
    driver.input(&ORDERS).pipe("a", (Some(7), 5));
    driver.input(&ORDERS).pipe("a", (None, 6));
    assert_eq!(driver.dropped(), 2);
    assert_eq!(driver.store(&LABELS).get(&text("a")), None);
}

/// All parts are called after the join, and what Kafka sees of them is Kafka Streams'.
#[test]
fn names_follow_the_name_of_the_join() {
    let builder = StreamsBuilder::new();
    labels(&builder);
    let described = builder.build().unwrap().describe().to_string();
    for name in [
        "of-customer-subscription-registration-topic",
        "of-customer-subscription-registration-processor",
        "of-customer-subscription-store",
        "of-customer-subscription-response-topic",
        "of-customer-subscription-response-resolver",
        "of-customer-result",
    ] {
        assert!(described.contains(name), "{name} is not in\n{described}");
    }
}

/// Kafka Streams up to 3.3 sends subscriptions without the partition to answer to.
#[test]
fn subscriptions_of_version_0_are_answered() {
    let builder = StreamsBuilder::new();
    labels(&builder);
    let driver = driver(&builder);
    driver.input(&CUSTOMERS).pipe(7, "Ada");
    let topic =
        format!("{}-of-customer-subscription-registration-topic", DriverConfig::default().application_id);
    let foreign_key = 7_i32.to_be_bytes();
    let subscription = [&[0x80, 2][..], b"z"].concat();
    driver.pipe_raw(&topic, Some(&foreign_key), Some(&subscription), 1, Headers::EMPTY).unwrap();
    let responses = driver.produced(&topic.replace("registration", "response"));
    let last = responses.last().unwrap();
    assert_eq!(last.key.as_deref(), Some(&b"z"[..]));
    assert_eq!(last.value.as_deref(), Some(&[&[0x80][..], b"Ada"].concat()[..]));
}

/// A subscription that cannot be read goes to the handler of bad records.
#[test]
fn unreadable_subscriptions_are_handled() {
    let builder = StreamsBuilder::new();
    labels(&builder);
    let application = DriverConfig::default().application_id;
    let topic = format!("{application}-of-customer-subscription-registration-topic");
    let config = DriverConfig {
        deserialization_exception_handler: Arc::new(LogAndContinue),
        ..DriverConfig::default()
    };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    driver.pipe_raw(&topic, Some(&[0; 4]), Some(&[9, 9]), 1, Headers::EMPTY).unwrap();
    assert_eq!(driver.dropped(), 1);
}

#[test]
fn tables_of_two_builders_cannot_be_joined() {
    let (one, two) = (StreamsBuilder::new(), StreamsBuilder::new());
    let customers = two.table(&CUSTOMERS);
    let label = |(_, cents): &Order, name: &String| format!("{name}: {cents}");
    let _joined = one.table(&ORDERS).join_foreign_key(&customers, |(id, _)| *id, label);
    let faults = one.build().map(|_| ()).unwrap_err().faults;
    assert_eq!(faults, ["foreign-key join: both sides must come from the same StreamsBuilder"]);
}
