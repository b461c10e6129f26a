//! Sources, stateless operators, grouping, repartitioning and writing.

use std::time::Duration;

use kstreams::config::TimestampPolicy;
use kstreams::dsl::PartitionChoice;
use kstreams::dsl::Printed;
use kstreams::prelude::*;
use kstreams::record::{ConsumerRecord, SinkContext};
use kstreams::serdes::{LongSerde, StringSerde};
use kstreams::topology::OffsetReset;

use super::{CITIES, CUSTOMERS, OUT, PAYMENTS, REFUNDS, TEXTS};

#[test]
fn sources() {
    let builder = StreamsBuilder::new();
    builder.stream(&PAYMENTS).to(&OUT);
    let both = Consumed::new().named("payments-and-refunds");
    builder.stream_with(&[&Topic::new("more-payments"), &REFUNDS], both).to(&OUT);
    builder.stream_pattern::<String, i64>("payments-.*").to(&OUT);
    let by_length = |record: &ConsumerRecord<'_, String, Option<String>>, _largest| {
        record.value.as_ref().map_or(record.timestamp, |name| name.len() as i64)
    };
    let consumed: Consumed<String, Option<String>> = Consumed::new()
        .reset(OffsetReset::None)
        .earliest()
        .latest()
        .by_duration(Duration::from_secs(3600))
        .timestamp_extractor(by_length)
        .timestamp_policy(TimestampPolicy::WallClock);
    builder.table_consumed(&CUSTOMERS, consumed).to_stream().to(&TEXTS);
    const NAMED: Store<String, String> = Store::new("city-names");
    builder.table_with(&CITIES, Consumed::new(), &NAMED).to_stream().to(&TEXTS);
    builder.global_table(&Topic::<String, i64>::new("global"));
    builder.global_table_with(&Topic::<String, i64>::new("other"), Consumed::new(), &super::TOTALS);
    const OWN: Topic<String, i64, StringSerde, LongSerde> = Topic::new("own-serdes");
    builder.stream(&OWN).to(&OUT);
    let topology = builder.build().unwrap();
    assert!(topology.describe().to_string().contains("payments-and-refunds"));
}

#[test]
fn stateless_operators() {
    let builder = StreamsBuilder::new();
    let payments = builder.stream(&PAYMENTS);
    let refunds = builder.stream(&REFUNDS);
    payments.clone().filter(|_, cents| *cents > 0).to(&OUT);
    payments.clone().filter_not(|_, cents| *cents > 0).to(&OUT);
    payments.clone().map(|customer, cents| (customer.to_uppercase(), cents * 2)).to(&OUT);
    payments.clone().map_values(|cents| cents * 2).to(&OUT);
    payments.clone().map_values_with_key(|customer, cents| cents + customer.len() as i64).to(&OUT);
    payments
        .clone()
        .flat_map(|customer, cents| [(customer.clone(), cents), ("all".to_owned(), cents)])
        .to(&OUT);
    payments.clone().flat_map_values(|cents| [cents, -cents]).to(&OUT);
    payments.clone().flat_map_values_with_key(|_, cents| vec![cents; 2]).to(&OUT);
    payments.clone().select_key(|customer, _| customer.to_lowercase()).to(&OUT);
    payments.clone().peek(|customer, cents| println_to_test(customer, *cents)).to(&OUT);
    payments.clone().merge(refunds).to(&OUT);
    payments.clone().filter(|_, cents| u8::try_from(*cents).map(|cents| cents > 0)).to(&OUT);
    payments.clone().try_map_values(|cents| u8::try_from(cents + 1)).map_values(i64::from).to(&OUT);
    payments.clone().for_each(|customer, cents| println_to_test(customer, cents));
    payments.clone().print(Printed::to_sys_out().label("payments"));
    let mut split = payments.clone().named("by-size").split();
    split.branch(|_, cents| *cents > 100).to(&OUT);
    split.branch_as("small", |_, cents| *cents > 10).to(&OUT);
    split.default_branch().to(&OUT);
    payments.clone().to_table().to_stream().to(&OUT);
    builder.stream(&Topic::<String, Option<i64>>::new("changes")).to_table_opt().to_stream().to(&OUT);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&PAYMENTS).pipe("ada", 120);
    assert!(driver.output(&OUT).len() > 10);
}

fn println_to_test(_: &str, _: i64) {}

#[test]
fn grouping_repartitioning_and_writing() {
    let builder = StreamsBuilder::new();
    let payments = builder.stream(&PAYMENTS);
    payments.clone().group_by_key().count().to_stream().to(&OUT);
    payments.clone().group_by(|customer, _| customer.to_lowercase()).count().to_stream().to(&OUT);
    let grouped = Grouped::serdes(StringSerde::default(), LongSerde);
    payments.clone().named("by-name").group_by_key_with(grouped).count().to_stream().to(&OUT);
    payments.clone().repartition().to(&OUT);
    let repartitioned = Repartitioned::new()
        .partitions(4)
        .partitioner(|_topic, _, cents, count| (*cents % i64::from(count)) as i32);
    payments.clone().named("spread").repartition_with(repartitioned).to(&OUT);
    let produced = Produced::new().partitioner(|_, _: &String, cents: &i64, _| {
        if *cents > 0 { PartitionChoice::Default } else { PartitionChoice::Drop }
    });
    payments.clone().named("sink").to_with(&OUT, produced);
    payments.clone().to_extractor(|_, _, context| format!("{}-out", context.topic.unwrap_or_default()));
    let first = Produced::new().partitioner(|_topic, _, _, _count| 0);
    let by_name = |customer: &String, _: &i64, _: &SinkContext<'_>| format!("of-{customer}");
    payments.clone().to_extractor_with("by-name", by_name, StringSerde::default(), LongSerde, first);
    payments.to(&OUT);
    builder.build().unwrap();
}
