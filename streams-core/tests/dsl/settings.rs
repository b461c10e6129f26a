//! Settings of the application that shape a topology: given to `build_with`, or applied when it starts.

use streams_core::config::{ProcessingGuarantee, StreamsConfig, TopologyOptimization};
use streams_core::dsl::{Consumed, Materialized, Stores, StreamsBuilder};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::{Store, Topic};
use streams_core::topology::{StoreFormat, Topology};

const ROWS: Topic<String, i64> = Topic::new("rows");
const DISK: Store<String, i64> = Store::new("disk");
const OWN: Store<String, i64> = Store::new("own");

/// Uses a store that is not the DSL's.
struct Idle;

impl Processor<String, i64, (), ()> for Idle {
    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, (), ()>,
        _: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Adds the tax that the settings say.
struct Taxed;

impl Processor<String, i64, String, i64> for Taxed {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let tax: i64 = context.app_configs().get("app.tax").ok_or("no tax")?.parse()?;
        let taxed = record.value + tax;
        Ok(context.forward(record.with_value(taxed))?)
    }
}

#[test]
fn processors_see_the_settings_of_the_application() {
    const OUT: Topic<String, i64> = Topic::new("out");
    let mut config = config();
    config.apply_properties([("app.tax", "19")]).unwrap();
    let builder = StreamsBuilder::new();
    builder.stream(&ROWS).process(|| Taxed, &[]).to(&OUT);
    let driver =
        TopologyTestDriver::with_config(builder.build().unwrap(), DriverConfig::from(&config)).unwrap();
    driver.input(&ROWS).pipe("a", 100);
    assert_eq!(driver.output(&OUT).read_all(), [("a".to_owned(), 119)]);
}

fn builder() -> StreamsBuilder {
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&ROWS);
    stream.clone().group_by_key().count();
    stream.clone().group_by_key().count_with(Materialized::from(&DISK).persistent());
    builder.add_state_store(Stores::key_value(&OWN));
    stream.process(|| Idle, &["own"]);
    builder
}

fn config() -> StreamsConfig {
    StreamsConfig::new("app", ProcessingGuarantee::ExactlyOnceV2)
}

/// The setting put every store into memory, also those of processors, which ask for a disk.
#[test]
fn in_memory_suppliers_are_for_dsl_stores_without_a_type() {
    let config = StreamsConfig { dsl_stores_in_memory: true, dsl_store_headers: true, ..config() };
    let mut late = builder().build().unwrap();
    late.apply(&config);
    for topology in [late, builder().build_with(&config).unwrap()] {
        let place = |store: &streams_core::topology::StoreSpec| {
            (store.name.to_string(), store.in_memory, store.format == StoreFormat::Headers)
        };
        let mut places: Vec<(String, bool, bool)> = topology.stores.iter().map(place).collect();
        places.sort();
        let expected = [
            ("KSTREAM-AGGREGATE-STATE-STORE-0000000001", true, false),
            ("disk", false, true),
            ("own", false, false),
        ];
        assert_eq!(places, expected.map(|(name, memory, headers)| (name.to_owned(), memory, headers)));
    }
}

/// Both settings did nothing at all, without a word.
#[test]
fn settings_that_come_after_the_build_are_named() {
    let mut config = config();
    let topology = builder().build().unwrap();
    assert!(topology.built_without(&config).is_empty());
    config.topology_optimization = TopologyOptimization::ALL;
    config.ensure_explicit_internal_resource_naming = true;
    let both = ["topology.optimization", "ensure.explicit.internal.resource.naming"];
    assert_eq!(topology.built_without(&config), both);
    assert!(Topology::new().built_without(&config).is_empty(), "nothing that the DSL could have done");
    let faults = builder().build_with(&config).err().unwrap().faults;
    assert!(faults.iter().any(|fault| fault.contains("KSTREAM-AGGREGATE-STATE-STORE")), "{faults:?}");
    config.ensure_explicit_internal_resource_naming = false;
    let table = StreamsBuilder::new();
    table.table_with(&ROWS, Consumed::new(), &OWN);
    let optimized = table.build_with(&config).unwrap();
    assert!(optimized.built_without(&config).is_empty());
    assert!(optimized.stores.iter().any(|store| store.source_topic.is_some()));
}
