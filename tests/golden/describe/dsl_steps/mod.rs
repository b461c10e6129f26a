//! Programs of the DSL, step by step. Keys are text, values are numbers; functions do nothing of interest.

// Cogrouped streams.
mod cogroups;
// Joins of streams with tables.
mod lookups;
// Joins of streams with streams.
mod stream_joins;
// Steps on streams.
mod streams;
// Joins of tables.
mod table_joins;
// Steps on groups and tables.
mod tables;
// Windows and suppress.
mod windows;

use std::collections::BTreeMap;

use serde_json::Value;
use streams_core::dsl::{
    CogroupedKStream, Consumed, Data, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, GlobalKTable,
    KGroupedStream, KGroupedTable, KStream, KTable, Materialized, SessionWindowedKStream, Stores,
    StreamsBuilder, TimeWindowedKStream, TopologyConfig,
};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::serdes::Auto;
use streams_core::topic::{Store, Topic};
use streams_core::topology::{Topology, TopologyError};

use self::cogroups::{cogroup, on_cogrouped};
use self::lookups::{join, join_global};
use self::stream_joins::stream_join;
use self::streams::{on_stream, split};
use self::table_joins::join_tables;
use self::tables::{foreign_key_join, on_grouped, on_grouped_rows, on_grouped_table, on_table};
use self::windows::{
    Cogroup, Group, WindowedRows, WindowedTable, on_windowed, on_windowed_cogroup, on_windowed_rows,
    on_windowed_table, until_limit, windowed, windowed_cogroup,
};
use super::program::{Step, Unsupported, store_builder, window_retention};

/// What a step gives.
enum Item {
    Stream(KStream<String, i64>),
    /// A stream of a table's rows.
    Rows(KStream<String, Option<i64>>),
    Grouped(KGroupedStream<String, i64>),
    GroupedRows(KGroupedStream<String, Option<i64>>),
    GroupedTable(KGroupedTable<String, i64>),
    Cogrouped(CogroupedKStream<String, i64>),
    Table(KTable<String, i64>),
    Windowed(Group<i64>),
    WindowedOfRows(Group<Option<i64>>),
    WindowedCogroup(Cogroup),
    WindowedTable(WindowedTable),
    WindowedRows(WindowedRows),
    Global(GlobalKTable<String, i64>),
    Nothing,
}

/// The two types of values that streams have here.
trait Values: Data + Clone + std::fmt::Debug + Default + Into<Option<i64>> {
    fn stream(stream: KStream<String, Self>) -> Item;
    fn grouped(grouped: KGroupedStream<String, Self>) -> Item;
    fn table(
        stream: KStream<String, Self>,
        materialized: Option<Materialized<String, i64>>,
    ) -> KTable<String, i64>;
    fn reduce_time(
        group: TimeWindowedKStream<String, Self>,
        kept: Option<Materialized<String, i64>>,
    ) -> WindowedTable;
    fn reduce_session(
        group: SessionWindowedKStream<String, Self>,
        kept: Option<Materialized<String, i64>>,
    ) -> WindowedTable;
}

impl Values for i64 {
    fn stream(stream: KStream<String, Self>) -> Item {
        Item::Stream(stream)
    }
    fn grouped(grouped: KGroupedStream<String, Self>) -> Item {
        Item::Grouped(grouped)
    }
    fn table(
        stream: KStream<String, Self>,
        materialized: Option<Materialized<String, i64>>,
    ) -> KTable<String, i64> {
        match materialized {
            Some(materialized) => stream.to_table_with(materialized),
            None => stream.to_table(),
        }
    }
    fn reduce_time(
        group: TimeWindowedKStream<String, Self>,
        kept: Option<Materialized<String, i64>>,
    ) -> WindowedTable {
        group.reduce_with(|one, _| one, kept.unwrap_or_else(Materialized::unnamed))
    }
    fn reduce_session(
        group: SessionWindowedKStream<String, Self>,
        kept: Option<Materialized<String, i64>>,
    ) -> WindowedTable {
        group.reduce_with(|one, _| one, kept.unwrap_or_else(Materialized::unnamed))
    }
}

impl Values for Option<i64> {
    fn stream(stream: KStream<String, Self>) -> Item {
        Item::Rows(stream)
    }
    fn grouped(grouped: KGroupedStream<String, Self>) -> Item {
        Item::GroupedRows(grouped)
    }
    fn table(
        stream: KStream<String, Self>,
        materialized: Option<Materialized<String, i64>>,
    ) -> KTable<String, i64> {
        match materialized {
            Some(materialized) => stream.to_table_opt_with(materialized),
            None => stream.to_table_opt(),
        }
    }
    fn reduce_time(
        group: TimeWindowedKStream<String, Self>,
        kept: Option<Materialized<String, i64>>,
    ) -> WindowedTable {
        group.reduce_opt_with(|one, _| Some(one), kept.unwrap_or_else(Materialized::unnamed))
    }
    fn reduce_session(
        group: SessionWindowedKStream<String, Self>,
        kept: Option<Materialized<String, i64>>,
    ) -> WindowedTable {
        group.reduce_opt_with(|one, _| Some(one), kept.unwrap_or_else(Materialized::unnamed))
    }
}

/// Passes every record on.
struct Pass;

impl<V> Processor<String, V, String, V> for Pass
where
    V: 'static,
{
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, V>,
        record: Record<String, V>,
    ) -> Result<(), BoxError> {
        Ok(context.forward(record)?)
    }
}

impl<V: 'static> FixedKeyProcessor<String, V, V> for Pass {
    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, String, V>,
        record: FixedKeyRecord<String, V>,
    ) -> Result<(), BoxError> {
        Ok(context.forward(record)?)
    }
}

/// Feeds a global store.
struct Keep;

impl Processor<String, i64, (), ()> for Keep {
    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, (), ()>,
        _: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Settings that change what is built, and those that only matter later.
pub(crate) fn topology_config(config: &Value) -> Result<Result<TopologyConfig, TopologyError>, Unsupported> {
    let mut built = TopologyConfig::default();
    for (key, value) in Step(config).0.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap();
        match key.as_str() {
            "topology.optimization" => match TopologyConfig::optimized(value) {
                Ok(TopologyConfig {
                    reuse_ktable_source_topics,
                    merge_repartition_topics,
                    single_store_self_join,
                    ..
                }) => {
                    built.reuse_ktable_source_topics = reuse_ktable_source_topics;
                    built.merge_repartition_topics = merge_repartition_topics;
                    built.single_store_self_join = single_store_self_join;
                }
                Err(fault) => return Ok(Err(TopologyError::new(fault))),
            },
            "ensure.explicit.internal.resource.naming" => built.ensure_explicit_naming = value == "true",
            "dsl.store.format" => built.dsl_store_headers = value == "HEADERS",
            "default.dsl.store" => built.dsl_stores_in_memory = value == "in_memory",
            "__enable.process.processValue.fix__" => built.process_processvalue_fix = value == "true",
            "windowstore.changelog.additional.retention.ms" => {}
            topic if topic.starts_with("topic.") => {}
            other => return Err(Unsupported(other.to_owned())),
        }
    }
    Ok(Ok(built))
}

/// Builds a program. The inner error is the program's own fault. Java's types say nothing of null: where a stream of values
/// meets one of a table's rows, all streams are read as rows.
pub(crate) fn build(golden: &Value) -> Result<Result<Topology, TopologyError>, Unsupported> {
    build_with(golden, false).or_else(|_| build_with(golden, true))
}

fn build_with(golden: &Value, rows: bool) -> Result<Result<Topology, TopologyError>, Unsupported> {
    let config = match topology_config(&golden["config"])? {
        Ok(config) => config,
        Err(error) => return Ok(Err(error)),
    };
    let builder = StreamsBuilder::new();
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for step in golden["steps"].as_array().into_iter().flatten().map(Step) {
        if step.op() == "split" {
            split(step, &mut items)?;
            continue;
        }
        let item = run(&builder, step, &items, rows)?;
        if let Some(id) = step.text("id") {
            items.insert(id.to_owned(), item);
        }
    }
    Ok(builder.build_with(config))
}

fn run(
    builder: &StreamsBuilder,
    step: Step<'_>,
    items: &BTreeMap<String, Item>,
    rows: bool,
) -> Result<Item, Unsupported> {
    let input = |index: usize| step.list("in").get(index).and_then(|id| items.get(*id));
    match (input(0), input(1)) {
        (None, _) if step.op() == "stream" && rows => Ok(Item::Rows(stream(builder, step))),
        (None, _) if step.op() == "stream" => Ok(Item::Stream(stream(builder, step))),
        (None, _) => source(builder, step),
        _ if step.op() == "cogroup" => {
            cogroup(step, &step.list("in").into_iter().filter_map(|id| items.get(id)).collect::<Vec<_>>())
        }
        (Some(Item::Stream(one)), Some(Item::Stream(two))) if step.op() == "merge" => {
            Ok(Item::Stream(named(one.clone(), step.text("named")).merge(two.clone())))
        }
        (Some(Item::Rows(one)), Some(Item::Rows(two))) if step.op() == "merge" => {
            Ok(Item::Rows(named(one.clone(), step.text("named")).merge(two.clone())))
        }
        (Some(Item::Stream(one)), Some(Item::Stream(two))) => stream_join(one.clone(), two.clone(), step),
        (Some(Item::Stream(one)), Some(Item::Rows(two))) => stream_join(one.clone(), two.clone(), step),
        (Some(Item::Rows(one)), Some(Item::Stream(two))) => stream_join(one.clone(), two.clone(), step),
        (Some(Item::Rows(one)), Some(Item::Rows(two))) => stream_join(one.clone(), two.clone(), step),
        (Some(Item::Stream(stream)), Some(Item::Table(table))) => join(stream.clone(), table, step),
        (Some(Item::Rows(stream)), Some(Item::Table(table))) => join(stream.clone(), table, step),
        (Some(Item::Table(one)), Some(Item::Table(two))) if step.has("fk") => {
            foreign_key_join(one.clone(), two, step)
        }
        (Some(Item::Table(one)), Some(Item::Table(two))) => join_tables(one.clone(), two, step),
        (Some(Item::Stream(stream)), Some(Item::Global(table))) => join_global(stream.clone(), table, step),
        (Some(Item::Rows(stream)), Some(Item::Global(table))) => join_global(stream.clone(), table, step),
        (Some(_), Some(_)) => Err(Unsupported(format!("{} of these two", step.op()))),
        (Some(Item::Stream(stream)), None) => on_stream(stream.clone(), step),
        (Some(Item::Rows(stream)), None) => on_stream(stream.clone(), step),
        (Some(Item::Grouped(grouped)), None) if step.op() == "windowedBy" => {
            windowed(grouped.clone(), step).map(Item::Windowed)
        }
        (Some(Item::GroupedRows(grouped)), None) if step.op() == "windowedBy" => {
            windowed(grouped.clone(), step).map(Item::WindowedOfRows)
        }
        (Some(Item::Cogrouped(cogrouped)), None) if step.op() == "windowedBy" => {
            windowed_cogroup(cogrouped.clone(), step)
        }
        (Some(Item::Windowed(group)), None) => on_windowed(group, step),
        (Some(Item::WindowedOfRows(group)), None) => on_windowed(group, step),
        (Some(Item::WindowedCogroup(group)), None) => on_windowed_cogroup(group, step),
        (Some(Item::WindowedTable(table)), None) => on_windowed_table(table.clone(), step),
        (Some(Item::WindowedRows(rows)), None) => on_windowed_rows(rows.clone(), step),
        (Some(Item::Table(table)), None) if step.op() == "suppress" => {
            let table = match step.text("named") {
                Some(name) => table.clone().named(name),
                None => table.clone(),
            };
            Ok(Item::Table(table.suppress(until_limit(step))))
        }
        (Some(Item::Grouped(grouped)), None) => on_grouped(grouped.clone(), step),
        (Some(Item::GroupedRows(grouped)), None) => on_grouped_rows(grouped.clone(), step),
        (Some(Item::GroupedTable(grouped)), None) => on_grouped_table(grouped.clone(), step),
        (Some(Item::Cogrouped(cogrouped)), None) => on_cogrouped(cogrouped.clone(), step),
        (Some(Item::Table(table)), None) => on_table(table.clone(), step),
        (Some(Item::Global(_) | Item::Nothing), None) => step.unsupported(),
    }
}

fn named<V: 'static>(stream: KStream<String, V>, name: Option<&str>) -> KStream<String, V> {
    match name {
        Some(name) => stream.named(name),
        None => stream,
    }
}

fn materialized(step: Step<'_>) -> Result<Option<Materialized<String, i64>>, Unsupported> {
    let supplier = step.text("supplier");
    let mut materialized = match (step.text("store"), step.has("mat") || supplier.is_some()) {
        (Some(store), _) => Materialized::from(&Store::<String, i64>::named(store)),
        (None, true) => Materialized::unnamed(),
        (None, false) => return Ok(None),
    };
    match supplier {
        None | Some("kv_rocks" | "kv_ts") => {}
        Some("kv_headers") => materialized = materialized.with_headers(),
        Some("kv_mem") => materialized = materialized.in_memory(),
        Some("kv_lru") => materialized = materialized.lru_map(100),
        Some("versioned") => materialized = materialized.versioned(step.millis_or("wret", 60_000)),
        Some("win_rocks" | "win_ts") => materialized = materialized.window_store(window_retention(step)),
        Some("win_mem") => materialized = materialized.window_store(window_retention(step)).in_memory(),
        Some("sess_rocks") => materialized = materialized.session_store(step.millis_or("wret", 60_000)),
        Some("sess_mem") => {
            materialized = materialized.session_store(step.millis_or("wret", 60_000)).in_memory();
        }
        Some(other) => return Err(Unsupported(format!("store {other}"))),
    }
    if step.has("retention") {
        materialized = materialized.retention(step.millis("retention"));
    }
    if step.text("storetype") == Some("in_memory") {
        materialized = materialized.in_memory();
    }
    if step.text("logging") == Some("off") {
        materialized = materialized.logging(false);
    }
    if step.text("caching") == Some("off") {
        materialized = materialized.caching(false);
    }
    for (key, value) in step.entries("cfg") {
        materialized = materialized.changelog_config(key, value);
    }
    Ok(Some(materialized))
}

fn consumed<V>(step: Step<'_>) -> Consumed<String, V> {
    let mut consumed = Consumed::new();
    if let Some(name) = step.text("named") {
        consumed = consumed.named(name);
    }
    match step.text("reset") {
        Some("latest") => consumed.latest(),
        Some("earliest") => consumed.earliest(),
        _ => consumed,
    }
}

fn stream<V: Data>(builder: &StreamsBuilder, step: Step<'_>) -> KStream<String, V> {
    if let Some(pattern) = step.text("pattern") {
        return builder.stream_pattern_with(pattern, Auto, Auto, consumed(step));
    }
    let topics: Vec<Topic<String, V>> = step.list("topics").into_iter().map(Topic::named).collect();
    builder.stream_with(&topics.iter().collect::<Vec<_>>(), consumed(step))
}

fn source(builder: &StreamsBuilder, step: Step<'_>) -> Result<Item, Unsupported> {
    let topic = |name: &str| Topic::<String, i64>::named(name);
    Ok(match step.op() {
        "addGlobalStore" => {
            let store = Stores::timestamped_key_value(&Store::<String, i64>::named(step.must("store")));
            builder.add_global_store(store, &topic(step.must("topic")), consumed(step), || Keep);
            Item::Nothing
        }
        "table" => Item::Table(match materialized(step)? {
            Some(kept) => builder.table_with(&topic(step.must("topic")), consumed(step), kept),
            None => builder.table_consumed(&topic(step.must("topic")), consumed(step)),
        }),
        "globalTable" => Item::Global(match materialized(step)? {
            Some(kept) => builder.global_table_with(&topic(step.must("topic")), consumed(step), kept),
            None => builder.global_table_consumed(&topic(step.must("topic")), consumed(step)),
        }),
        "addStateStore" => {
            builder.add_state_store(store_builder(step)?);
            Item::Nothing
        }
        _ => return step.unsupported(),
    })
}
