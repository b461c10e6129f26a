//! Tables: row by row, grouped anew, transformed.

use kstreams::dsl::ValueTransformerWithKey;
use kstreams::error::BoxError;
use kstreams::prelude::*;
use kstreams::processor::ProcessingContext;

use super::{CITIES, CUSTOMERS, ORDERS, OUT, Order, TEXTS, TOTALS};

/// The name and how often it changed is left to a store; here: the name in capitals.
struct Capitals;

impl ValueTransformerWithKey<String, String, String> for Capitals {
    fn transform(
        &mut self,
        _context: &mut ProcessingContext<'_>,
        _key: &String,
        value: Option<&String>,
    ) -> Result<Option<String>, BoxError> {
        Ok(value.map(|value| value.to_uppercase()))
    }
}

#[test]
fn tables() {
    let builder = StreamsBuilder::new();
    let (customers, orders) = (builder.table(&CUSTOMERS), builder.table(&ORDERS));
    customers.clone().filter(|_, name| !name.is_empty()).to_stream().to(&TEXTS);
    customers.clone().filter_not(|_, name| name.is_empty()).to_stream().to(&TEXTS);
    customers.clone().map_values(|name| name.to_uppercase()).to_stream().to(&TEXTS);
    const LENGTHS: Store<String, i64> = Store::new("lengths");
    customers.clone().map_values_with(|name| name.len() as i64, &LENGTHS).to_stream().to(&OUT);
    customers.clone().map_values_opt(|key, name| (key != name).then(|| name.clone())).to_stream().to(&TEXTS);
    customers.clone().transform_values(|| Capitals, &[]).to_stream().to(&TEXTS);
    customers
        .clone()
        .transform_values_with_stores(|| Capitals, vec![Stores::key_value(&TOTALS)], None)
        .to_stream()
        .to(&TEXTS);
    customers.clone().to_stream_keyed(|key, _| key.to_uppercase()).to(&TEXTS);
    assert_eq!(customers.queryable_store_name(), None);
    orders.clone().group_by(|_, order| (order.customer.clone(), order.cents)).count().to_stream().to(&OUT);
    const SPENT: Store<String, i64> = Store::new("spent");
    let per_customer = orders.clone().group_by(|_, order| (order.customer.clone(), order.cents));
    per_customer.clone().reduce(|sum, cents| sum + cents, |sum, cents| sum - cents).to_stream().to(&OUT);
    per_customer
        .aggregate_with(|| 0, |_, cents, sum| *sum += cents, |_, cents, sum| *sum -= cents, &SPENT)
        .to_stream()
        .to(&OUT);
    const LARGEST: Store<String, String> = Store::new("recent-cities");
    builder
        .table_with(&CITIES, Consumed::new(), Materialized::from(&LARGEST).lru_map(1_000))
        .to_stream()
        .to(&TEXTS);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&ORDERS).pipe("o1", Order { customer: "ada".to_owned(), cents: 5 });
    driver.input(&ORDERS).pipe("o1", Order { customer: "ada".to_owned(), cents: 7 });
    assert_eq!(driver.store(&SPENT).get(&"ada".to_owned()), Some(7));
}
