//! Joins of streams, tables and global tables.

use std::time::Duration;

use kstreams::prelude::*;

use super::{CITIES, CUSTOMERS, ORDERS, PAYMENTS, RATES, REFUNDS, TEXTS};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn joins_of_streams() {
    let builder = StreamsBuilder::new();
    let (payments, refunds) = (builder.stream(&PAYMENTS), builder.stream(&REFUNDS));
    let (customers, rates) = (builder.table(&CUSTOMERS), builder.global_table(&RATES));
    let windows = JoinWindows::of_time_difference_with_no_grace(MINUTE);
    payments.clone().join_stream(refunds.clone(), windows, |paid, back| format!("{paid} {back}")).to(&TEXTS);
    let windows =
        JoinWindows::of_time_difference_and_grace(MINUTE, MINUTE).before(Duration::ZERO).after(MINUTE);
    payments
        .clone()
        .left_join_stream(refunds.clone(), windows, |paid, back| format!("{paid} {back:?}"))
        .to(&TEXTS);
    payments
        .clone()
        .outer_join_stream(refunds.clone(), windows, |paid, back| format!("{paid:?} {back:?}"))
        .to(&TEXTS);
    let reminders = JoinWindows::of_time_difference_with_no_grace(2 * MINUTE);
    for windows in [reminders.starts_after(MINUTE), reminders.ends_before(MINUTE)] {
        payments
            .clone()
            .join_stream(refunds.clone(), windows, |paid, back| format!("{paid}+{back}"))
            .to(&TEXTS);
    }
    let rows = WindowRetention::of_join(&windows);
    let joined = StreamJoined::new()
        .this_store_supplier(WindowStoreSupplier::new("paid", rows))
        .other_store_supplier(WindowStoreSupplier::new("back", rows).in_memory());
    payments
        .clone()
        .left_join_stream_with(refunds.clone(), windows, |_, paid, back| format!("{paid} {back:?}"), joined)
        .to(&TEXTS);
    let joined = StreamJoined::new().store_name("pairs").in_memory();
    payments
        .clone()
        .named("pair")
        .join_stream_with(refunds, windows, |_, paid, back| format!("{paid} {back}"), joined)
        .to(&TEXTS);
    payments.clone().join_table(&customers, |cents, name| format!("{name} {cents}")).to(&TEXTS);
    payments.clone().left_join_table(&customers, |cents, name| format!("{name:?} {cents}")).to(&TEXTS);
    payments
        .clone()
        .join_table_with_key(&customers, |key, cents, name| format!("{key} {name} {cents}"))
        .to(&TEXTS);
    const HISTORY: Store<String, String> = Store::new("city-history");
    let versioned = Materialized::from(&HISTORY).versioned(Duration::from_secs(600));
    let cities = builder.table_with(&CITIES, Consumed::new(), versioned);
    payments
        .clone()
        .join_table_with(&cities, |_, cents, city| format!("{city} {cents}"), Joined::new().grace(MINUTE))
        .to(&TEXTS);
    payments
        .clone()
        .join_global(&rates, |customer, _| customer.clone(), |cents, rate| format!("{}", cents * rate))
        .to(&TEXTS);
    payments
        .left_join_global(&rates, |customer, _| customer.clone(), |cents, rate| format!("{cents} {rate:?}"))
        .to(&TEXTS);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&CUSTOMERS).pipe("ada", "Ada");
    driver.input(&PAYMENTS).pipe("ada", 120);
    driver.input(&REFUNDS).pipe("ada", 20);
    let texts: Vec<String> = driver.output(&TEXTS).read_all().into_iter().map(|(_, text)| text).collect();
    assert!(texts.contains(&"Ada 120".to_owned()) && texts.contains(&"120 20".to_owned()), "{texts:?}");
}

#[test]
fn joins_of_tables() {
    let builder = StreamsBuilder::new();
    let (orders, customers, cities) =
        (builder.table(&ORDERS), builder.table(&CUSTOMERS), builder.table(&CITIES));
    customers.clone().join(&cities, |name, city| format!("{name}, {city}")).to_stream().to(&TEXTS);
    customers.clone().left_join(&cities, |name, city| format!("{name}, {city:?}")).to_stream().to(&TEXTS);
    customers.clone().outer_join(&cities, |name, city| format!("{name:?}, {city:?}")).to_stream().to(&TEXTS);
    const ADDRESSES: Store<String, String> = Store::new("addresses");
    customers
        .clone()
        .join_with(&cities, |name, city| format!("{name}, {city}"), &ADDRESSES)
        .to_stream()
        .to(&TEXTS);
    customers
        .clone()
        .join_opt(&cities, |_, name, city| (name != city).then(|| city.clone()))
        .to_stream()
        .to(&TEXTS);
    orders
        .clone()
        .join_foreign_key(
            &customers,
            |order| order.customer.clone(),
            |order, name| format!("{name}: {}", order.cents),
        )
        .to_stream()
        .to(&TEXTS);
    orders
        .clone()
        .left_join_foreign_key(
            &customers,
            |order| order.customer.clone(),
            |order, name| format!("{name:?}: {}", order.cents),
        )
        .to_stream()
        .to(&TEXTS);
    orders
        .clone()
        .join_foreign_key_with_key(
            &customers,
            |id, order| format!("{}{id}", order.customer),
            |_, name| name.clone(),
        )
        .to_stream()
        .to(&TEXTS);
    const JOINED: Store<String, String> = Store::new("joined-orders");
    let by_size =
        TableJoined::new().partitioner(|_topic, _key, _count| None).other_partitioner(|_, _, _| None);
    orders
        .named("order-customer")
        .join_foreign_key_with(
            &customers,
            |_, order| order.customer.clone(),
            |_, name| name.clone(),
            by_size.confirm_deletions(),
            &JOINED,
        )
        .to_stream()
        .to(&TEXTS);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&CUSTOMERS).pipe("ada", "Ada");
    driver.input(&ORDERS).pipe("o1", super::Order { customer: "ada".to_owned(), cents: 5 });
    assert_eq!(driver.store(&JOINED).get(&"o1".to_owned()).as_deref(), Some("Ada"));
}
