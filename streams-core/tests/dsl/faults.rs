//! What a wrong topology is told: all faults at once, each a sentence that names the thing and the way out.

mod catalogue;

use std::time::Duration;

use streams_core::dsl::{
    Consumed, JoinWindows, Materialized, Repartitioned, Stores, StreamsBuilder, TopologyConfig,
};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::topic::{Store, Topic};

const IN: Topic<String, i64> = Topic::new("in");
const OTHER: Topic<String, i64> = Topic::new("other");
const OUT: Topic<String, i64> = Topic::new("out");
const STORE: Store<String, i64> = Store::new("store");

fn faults(builder: &StreamsBuilder) -> Vec<String> {
    builder.build().map(|_| ()).unwrap_err().faults
}

struct Silent;

impl Processor<String, i64, String, i64> for Silent {
    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, String, i64>,
        _: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn sources_that_overlap_or_disagree() {
    let builder = StreamsBuilder::new();
    builder.stream_with(&[&IN, &OTHER], Consumed::new()).to(&OUT);
    builder.stream_with(&[&OTHER], Consumed::new().named("second")).to(&OUT);
    let sentence = "sources `KSTREAM-SOURCE-0000000000` and `second` both read `other`, but not all the same topics; read each topic once \
         and merge the streams";
    assert_eq!(faults(&builder), [sentence]);

    let builder = StreamsBuilder::new();
    builder.stream_with(&[&IN], Consumed::new().named("one").latest()).to(&OUT);
    builder.stream_with(&[&IN], Consumed::new().named("two").earliest()).to(&OUT);
    assert_eq!(
        faults(&builder),
        ["sources `one` and `two` read the same topics with different reset policies; give both the same"]
    );

    let builder = StreamsBuilder::new();
    builder.stream(&IN).to(&OUT);
    builder.table(&IN);
    assert_eq!(
        faults(&builder),
        [
            "topic `in` is read by the sources `KSTREAM-SOURCE-0000000000` and `KSTREAM-SOURCE-0000000003`; read each once \
          and use that stream, table or source twice"
        ]
    );
}

#[test]
fn all_bad_names_at_once() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).named("a b").filter(|_, _| true).named("").peek(|_, _| {});
    let faults = faults(&builder);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("the name `a b` contains ' '"), "{faults:?}");
}

#[test]
fn stores_that_are_missing_or_there_twice() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).named("silent").process(|| Silent, &["nowhere"]).to(&OUT);
    assert_eq!(
        faults(&builder),
        ["node `silent` wants store `nowhere`, which nobody added; add it before with add_state_store"]
    );
    let builder = StreamsBuilder::new();
    builder.stream(&IN).group_by_key().count_with(&STORE);
    builder.add_state_store(Stores::key_value(&STORE));
    assert_eq!(faults(&builder).len(), 1);
}

#[test]
fn sides_of_two_builders_and_of_different_partition_counts() {
    let (builder, other) = (StreamsBuilder::new(), StreamsBuilder::new());
    let table = other.table(&OTHER);
    builder.stream(&IN).join_table(&table, |value, _| value).to(&OUT);
    let expected = "stream-table join of `KSTREAM-SOURCE-0000000000` and `KTABLE-SOURCE-0000000002`: both sides must come from the same \
                    StreamsBuilder; make them with one";
    assert_eq!(faults(&builder), [expected]);

    let builder = StreamsBuilder::new();
    let spread = |topic: Topic<String, i64>, name: &str, count| {
        let stream = builder.stream(&topic).named(name);
        stream.repartition_with(Repartitioned::new().partitions(count))
    };
    let table = spread(IN, "two", 2).to_table();
    spread(OTHER, "three", 3).join_table(&table, |value, _| value).to(&OUT);
    let expected = "repartition topics that are joined by key were given different numbers of partitions: `three-repartition` 3, \
         `two-repartition` 2; give all of them the same number in `Repartitioned`, or none";
    assert_eq!(faults(&builder), [expected]);
}

#[test]
fn streams_of_two_builders() {
    let (builder, other) = (StreamsBuilder::new(), StreamsBuilder::new());
    other.stream(&IN).map_values(|value| value).filter(|_, _| true);
    let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_millis(1));
    let far = other.stream(&OTHER).map_values(|value| value);
    builder.stream(&IN).join_stream(far.clone(), windows, |one, two| one + two).to(&OUT);
    builder.stream(&OUT).merge(far);
    let faults = faults(&builder);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("the same StreamsBuilder")), "{faults:?}");
}

#[test]
fn missing_names_stand_in_the_list_with_all_else() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).group_by_key().count();
    builder
        .stream(&OTHER)
        .named("silent")
        .process(|| Silent, &["nowhere"])
        .to(&Topic::<String, i64>::new("o ut"));
    let config = TopologyConfig { ensure_explicit_naming: true, ..TopologyConfig::default() };
    let faults = builder.build_with(config).map(|_| ()).unwrap_err().faults;
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn a_global_table_with_a_nameless_materialized() {
    let builder = StreamsBuilder::new();
    builder.global_table_with(&IN, Consumed::new(), Materialized::unnamed());
    assert_eq!(
        faults(&builder),
        ["the global table of `in` needs a store name in its Materialized; make it from a `Store`"]
    );
}

#[test]
fn generated_names_where_the_application_wants_its_own() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).select_key(|key, _| key.clone()).group_by_key().count();
    let config = TopologyConfig { ensure_explicit_naming: true, ..TopologyConfig::default() };
    let store = "KSTREAM-AGGREGATE-STATE-STORE-0000000002";
    assert_eq!(
        builder.build_with(config).map(|_| ()).unwrap_err().faults,
        [
            format!("these changelog topics have no name of yours (use Materialized): {store}-changelog"),
            format!("these state stores have no name of yours (use Materialized): {store}"),
            format!("these repartition topics have no name of yours (use named(..)): {store}-repartition"),
        ]
    );
}
