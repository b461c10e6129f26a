//! A topology of more than a hundred operators, all with types and closures of their own: what an application that grew
//! asks of the compiler (figures in ARCHITECTURE.md), of `build`, and of the driver.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use streams_core::dsl::{
    BufferConfig, Consumed, EmitStrategy, JoinWindows, KStream, KTable, SessionWindows, SlidingWindows,
    StreamsBuilder, Suppressed, TimeWindows, UnlimitedWindows,
};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::{Store, Topic};

type Orders = KStream<String, i64>;

const ORDERS: Topic<String, i64> = Topic::new("orders");
const PAYMENTS: Topic<String, f64> = Topic::new("payments");
const CUSTOMERS: Topic<String, String> = Topic::new("customers");
const REGIONS: Topic<i64, String> = Topic::new("regions");
const NUMBERS: Topic<String, i64> = Topic::new("numbers");
const TEXTS: Topic<String, String> = Topic::new("texts");
const BY_NUMBER: Topic<i64, String> = Topic::new("by-number");
const PAIRS: Topic<String, (i64, String)> = Topic::new("pairs");

const COUNTS: Store<String, i64> = Store::new("counts");

const MS: fn(u64) -> Duration = Duration::from_millis;

/// 24 operators: maps, filters, branches, merges.
fn stateless(orders: Orders) {
    let doubled = orders.clone().map_values(|cents| cents * 2).filter(|_, cents| *cents > 10);
    let texts = doubled.clone().map_values_with_key(|key, cents| format!("{key}:{cents}"));
    texts.clone().filter_not(|_, text| text.is_empty()).peek(|_, _| {}).to(&TEXTS);
    let words = texts.flat_map_values(|text| text.split(':').map(str::to_owned).collect::<Vec<_>>());
    let letters = words.clone().flat_map_values_with_key(|key, word| vec![(key.len() as i64, word); 2]);
    letters.map_values(|(length, word)| (length + 1, word)).to(&PAIRS);
    let turned = words.map(|key, word| (word.len() as i64, format!("{word}{key}")));
    turned.select_key(|length, text| length + text.len() as i64).to(&BY_NUMBER);
    let spread = doubled.flat_map(|key, cents| (0..2).map(|i| (cents + i, key.clone())).collect::<Vec<_>>());
    let mut split = spread.split();
    let small = split.branch(|number, _| *number < 10).map_values(|text| text + "small");
    let large = split.branch(|number, _| *number > 1000).map_values(|text| text + "large");
    let rest = split.default_branch().filter(|_, text| !text.is_empty());
    small.merge(large).merge(rest).peek(|_, _| {}).to(&BY_NUMBER);
    let tried = orders.try_map_values(|cents| cents.checked_mul(3).ok_or("too large"));
    tried.filter(|_, cents| Ok::<_, String>(*cents != 0)).for_each(|_, _| {});
}

/// Adds one.
struct AddOne;

impl Processor<String, i64, String, (i64, String)> for AddOne {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, (i64, String)>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let value = (record.value + 1, record.key.clone());
        let Record { key, timestamp, headers, .. } = record;
        Ok(context.forward(Record { key, value, timestamp, headers })?)
    }
}

/// 16 operators: groups and what is made of them.
fn groups(orders: Orders) -> KTable<String, i64> {
    let grouped = orders.clone().group_by_key();
    let counts = grouped.clone().count_with(&COUNTS);
    let sums = grouped.clone().reduce(|one, two| one + two);
    let lists = grouped.clone().aggregate(Vec::new, |_, cents, list: &mut Vec<i64>| list.push(cents));
    let text = grouped.clone().aggregate_opt(
        || None,
        |_, cents, text: Option<String>| Some(format!("{}{cents}", text.unwrap_or_default())),
    );
    text.to_stream().to(&TEXTS);
    lists.map_values(|list| list.len() as i64).to_stream().to(&NUMBERS);
    let by_size = orders.clone().named("by-size").group_by(|_, cents| cents % 10);
    by_size.count().map_values(|count| count.to_string()).to_stream().to(&BY_NUMBER);
    let most = orders.clone().named("most").group_by(|_, cents| cents % 10);
    let most = most.cogroup(|_, cents, most: &mut (i64, i64)| most.0 = most.0.max(cents));
    let least = orders
        .clone()
        .map_values(|cents| cents as f64)
        .named("least")
        .group_by(|_, cents| *cents as i64 % 10);
    let both = most.cogroup(least, |_, cents, most: &mut (i64, i64)| most.1 = most.1.min(cents as i64));
    both.aggregate(|| (0, 0)).map_values(|pair| format!("{pair:?}")).to_stream().to(&BY_NUMBER);
    let processed = orders.process(|| AddOne, &[]);
    processed.map_values(|(cents, key)| (cents, key + "!")).to(&PAIRS);
    counts.join(&sums, |count, sum| count * sum)
}

/// 20 operators: tables, their filters, maps, joins and groupings.
fn tables(builder: &StreamsBuilder, sums: KTable<String, i64>) -> KTable<String, String> {
    let customers = builder.table(&CUSTOMERS);
    let large = sums.clone().filter(|_, sum| *sum > 100).map_values(|sum| *sum as f64 / 100.0);
    let named = large.clone().join(&customers, |sum, name| format!("{name} {sum}"));
    let maybe =
        large.clone().left_join(&customers, |sum, name| (*sum as i64, name.cloned().unwrap_or_default()));
    let any = large.outer_join(&customers, |sum, name| format!("{sum:?} {name:?}"));
    named.clone().filter_not(|name, _| name.is_empty()).to_stream().to(&TEXTS);
    maybe.to_stream().to(&PAIRS);
    any.clone().map_values_opt(|key, text| Some(format!("{key}{text}"))).to_stream().to(&TEXTS);
    let lengths = any.group_by(|key, text| (key.len() as i64, text.len() as i64));
    lengths.clone().count().map_values(|count| count.to_string()).to_stream().to(&BY_NUMBER);
    let total = lengths.reduce(|one, two| one + two, |one, two| one - two);
    total.map_values(|total| format!("total {total}")).to_stream().to(&BY_NUMBER);
    let grouped = customers.clone().group_by(|key, name| (name.clone(), key.clone()));
    let add = |_: &String, key: String, keys: &mut Vec<String>| keys.push(key);
    let remove = |_: &String, key: String, keys: &mut Vec<String>| keys.retain(|known| *known != key);
    let keys = grouped.aggregate(Vec::new, add, remove);
    keys.map_values(|keys| keys.join(",")).to_stream().to(&TEXTS);
    let regions = builder.table(&REGIONS);
    let placed =
        sums.clone().join_foreign_key(&regions, |sum| *sum % 5, |sum, region| (*sum, region.clone()));
    placed.to_stream().to(&PAIRS);
    let label = |sum: &i64, region: Option<&String>| format!("{sum} {region:?}");
    sums.left_join_foreign_key(&regions, |sum| *sum % 7, label).to_stream().to(&TEXTS);
    customers
}

/// 22 operators: windows of all kinds.
fn windows(orders: Orders) {
    let grouped = orders.group_by_key();
    let tens = TimeWindows::of_size_with_no_grace(MS(10));
    let hops = TimeWindows::of_size_and_grace(MS(10), MS(5)).advance_by(MS(5));
    let near = SlidingWindows::of_time_difference_and_grace(MS(10), MS(5));
    let visits = SessionWindows::of_inactivity_gap_with_no_grace(MS(10));
    let counts = grouped.clone().windowed_by(tens).count();
    let last = counts.clone().suppress(Suppressed::until_window_closes(BufferConfig::unbounded()));
    last.to_stream_keyed(|windowed, _| windowed.to_string()).to(&NUMBERS);
    counts.filter(|_, count| *count > 1).to_stream_keyed(|windowed, _| windowed.key.clone()).to(&NUMBERS);
    let sums = grouped.clone().windowed_by(hops).reduce(|one, two| one + two);
    sums.map_values(|sum| *sum as f64).to_stream_keyed(|windowed, _| windowed.to_string()).to(&PAYMENTS_OUT);
    let closed = grouped.clone().windowed_by(tens).emit_strategy(EmitStrategy::OnWindowClose);
    let lists = closed.aggregate(Vec::new, |_, cents, list: &mut Vec<i64>| list.push(cents));
    lists
        .map_values(|list| format!("{list:?}"))
        .to_stream_keyed(|windowed, _| windowed.to_string())
        .to(&TEXTS);
    let sliding = grouped.clone().windowed_by(near).aggregate(
        || (0, String::new()),
        |key, cents, pair| {
            *pair = (pair.0 + cents, key.clone());
        },
    );
    sliding.to_stream_keyed(|windowed, _| windowed.to_string()).to(&PAIRS);
    let sessions = grouped.clone().windowed_by(visits).count();
    sessions.to_stream_keyed(|windowed, _| windowed.to_string()).to(&NUMBERS);
    let merged = grouped.clone().windowed_by(visits).reduce(|one, two| one.max(two));
    merged.to_stream_keyed(|windowed, _| windowed.to_string()).to(&NUMBERS);
    let ever = grouped.clone().windowed_by(UnlimitedWindows::new()).count();
    ever.to_stream_keyed(|windowed, _| windowed.key.clone()).to(&NUMBERS);
    let cogrouped = grouped.cogroup(|_, cents, pair: &mut (i64, String)| pair.0 += cents);
    let cogrouped = cogrouped.windowed_by(tens).aggregate(|| (0, String::new()));
    cogrouped.to_stream_keyed(|windowed, _| windowed.to_string()).to(&PAIRS);
}

const PAYMENTS_OUT: Topic<String, f64> = Topic::new("payments-out");

/// 20 operators: joins of streams with streams, tables and global tables.
fn joins(builder: &StreamsBuilder, orders: Orders, customers: &KTable<String, String>) {
    let payments = builder.stream(&PAYMENTS);
    let near = JoinWindows::of_time_difference_with_no_grace(MS(100));
    let late = JoinWindows::of_time_difference_and_grace(MS(100), MS(10)).before(MS(0));
    let paid = orders.clone().join_stream(payments.clone(), near, |cents, paid| *cents as f64 - paid);
    paid.map_values(|open| format!("{open}")).to(&TEXTS);
    let open =
        orders.clone().left_join_stream(payments.clone(), late, |cents, paid| (*cents, format!("{paid:?}")));
    open.filter(|_, (cents, _)| *cents > 0).to(&PAIRS);
    let all = orders.clone().outer_join_stream(payments, near, |cents, paid| format!("{cents:?} {paid:?}"));
    all.peek(|_, _| {}).to(&TEXTS);
    let own = orders.clone().join_stream(orders.clone(), near, |one, two| one + two);
    own.map_values(|sum| sum - 1).to(&NUMBERS);
    let named = orders.clone().join_table(customers, |cents, name| (cents, name.clone()));
    named.clone().filter(|_, (cents, _)| *cents > 0).to(&PAIRS);
    let maybe = orders.clone().left_join_table(customers, |cents, name| format!("{cents} {name:?}"));
    maybe.map_values(|text| text.to_uppercase()).to(&TEXTS);
    let global = builder.global_table_consumed(&Topic::<i64, f64>::new("rates"), Consumed::new());
    let rated = orders.clone().join_global(&global, |_, cents| cents % 3, |cents, rate| cents as f64 * rate);
    rated.map_values(|amount| amount as i64).to(&NUMBERS);
    let rated = orders.left_join_global(
        &global,
        |key, _| key.len() as i64,
        |cents, rate| (cents, format!("{rate:?}")),
    );
    rated.select_key(|_, (cents, _)| *cents).map_values(|(_, text)| text).to(&BY_NUMBER);
    let moved = named.select_key(|_, (_, name)| name.clone()).repartition();
    moved.join_table(customers, |(cents, _), name| (cents, name.clone())).to(&PAIRS);
}

#[test]
fn a_hundred_operators_are_built_and_run() {
    let builder = StreamsBuilder::new();
    let orders = builder.stream(&ORDERS);
    stateless(orders.clone());
    let sums = groups(orders.clone());
    let customers = tables(&builder, sums);
    windows(orders.clone());
    joins(&builder, orders, &customers);
    let topology = builder.build().unwrap();
    assert!(topology.nodes.len() > 200, "{} nodes, {} stores", topology.nodes.len(), topology.stores.len());

    let driver = TopologyTestDriver::new(topology).unwrap();
    driver.input(&CUSTOMERS).pipe_at("ann", "Ann", 1);
    driver.input(&ORDERS).pipe_at("ann", 250, 2);
    driver.input(&PAYMENTS).pipe_at("ann", 50.0, 3);
    assert!(driver.output(&PAIRS).read_all().contains(&("ann".to_owned(), (250, "Ann".to_owned()))));
    assert!(driver.output(&TEXTS).read_all().contains(&("ann".to_owned(), "200".to_owned())));
}
