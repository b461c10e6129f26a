//! Schemas that change while a topology runs: one version reads what another wrote. Can catch: records that are lost, or read as
//! something that they are not.

use std::sync::Arc;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};
use streams_core::dsl::{Consumed, StreamsBuilder};
use streams_core::handler::LogAndContinue;
use streams_core::processor::DropReason;
use streams_core::serdes::{Auto, Given, Raw};
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::{Store, Topic};
use streams_schemas::schema::CompatibilityLevel;
use streams_schemas::{AvroSerde, SchemaRegistry, wire};

use crate::place::{Place, cases};
use crate::serdes::{bound, written};

cases![
    a_topology_reads_old_and_new_records,
    an_old_topology_reads_new_records,
    records_that_cannot_be_read_go_to_the_handler,
    state_is_written_under_subjects_of_its_changelog,
];

/// The three versions of a type, all called `shop.Order`.
mod v1 {
    use super::*;
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[avro(namespace = "shop")]
    pub(super) struct Order {
        pub(super) id: String,
        pub(super) cents: i32,
    }
}

mod v2 {
    use super::*;
    /// A number became larger, a field came with a default.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[avro(namespace = "shop")]
    pub(super) struct Order {
        pub(super) id: String,
        pub(super) cents: i64,
        #[avro(default = r#""EUR""#)]
        pub(super) currency: String,
    }
}

mod other {
    use super::*;
    /// What was text is a number.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[avro(namespace = "shop")]
    pub(super) struct Order {
        pub(super) id: i64,
        pub(super) cents: i64,
    }
}

type Orders<V> = Topic<String, V, Given, Given>;

fn orders<V>(registry: &SchemaRegistry, topic: &str) -> Orders<V>
where
    V: Serialize + serde::de::DeserializeOwned + AvroSchema + 'static,
{
    Topic::with_serdes(topic.to_owned(), Auto, AvroSerde::derived(registry).unwrap())
}

/// Copies ids and amounts of `V`, dropping what cannot be read.
fn driver<V>(place: &Place, topic: &str, show: fn(V) -> String) -> TopologyTestDriver
where
    V: Clone + Serialize + serde::de::DeserializeOwned + AvroSchema + Send + 'static,
{
    let registry = place.connect(&[]);
    let builder = StreamsBuilder::new();
    builder
        .stream(&orders::<V>(&registry, topic))
        .map_values(show)
        .to(&Topic::<String, String>::new("shown"));
    let handler = Arc::new(LogAndContinue);
    let config = DriverConfig { deserialization_exception_handler: handler, ..DriverConfig::default() };
    TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap()
}

fn bytes<V>(place: &Place, topic: &str, value: V) -> Vec<u8>
where
    V: Serialize + serde::de::DeserializeOwned + AvroSchema + 'static,
{
    let registry = place.connect(&[]);
    written(&bound::<V>(&AvroSerde::derived(&registry).unwrap(), topic), &value).unwrap()
}

/// Pipes bytes as they are into the topic of a driver.
fn pipe(driver: &TopologyTestDriver, topic: &str, values: impl IntoIterator<Item = Vec<u8>>) {
    let raw = Topic::<String, Vec<u8>, Auto, Raw>::named(topic);
    for value in values {
        driver.input(&raw).pipe("k", value);
    }
}

fn shown(driver: &TopologyTestDriver) -> Vec<String> {
    let records = driver.output(&Topic::<String, String>::new("shown")).read_all();
    records.into_iter().map(|(_, value)| value).collect()
}

fn old_and_new(place: &Place, topic: &str) -> [Vec<u8>; 2] {
    let old = v1::Order { id: "a".to_owned(), cents: 1 };
    let old = bytes(place, topic, old);
    let level = CompatibilityLevel::Backward;
    place.connect(&[]).registry().set_compatibility(Some(&format!("{topic}-value")), level).unwrap();
    let new = v2::Order { id: "b".to_owned(), cents: 2, currency: "USD".to_owned() };
    [old, bytes(place, topic, new)]
}

fn a_topology_reads_old_and_new_records(place: &Place) {
    let topic = place.name("orders");
    let driver = driver(place, &topic, |order: v2::Order| format!("{order:?}"));
    pipe(&driver, &topic, old_and_new(place, &topic));
    let expected = [
        r#"Order { id: "a", cents: 1, currency: "EUR" }"#,
        r#"Order { id: "b", cents: 2, currency: "USD" }"#,
    ];
    assert_eq!(shown(&driver), expected);
}

fn an_old_topology_reads_new_records(place: &Place) {
    let topic = place.name("orders");
    // A field that is not known is left out, but a long does not fit into an int.
    let driver = driver(place, &topic, |order: v1::Order| format!("{order:?}"));
    pipe(&driver, &topic, old_and_new(place, &topic));
    assert_eq!(shown(&driver), [r#"Order { id: "a", cents: 1 }"#]);
    assert_eq!(driver.dropped_by_reason().get(DropReason::Unparsable), 1);
}

fn records_that_cannot_be_read_go_to_the_handler(place: &Place) {
    let topic = place.name("orders");
    let registry = place.connect(&[]);
    let subject = format!("{topic}-value");
    let before = bytes(place, &topic, v1::Order { id: "a".to_owned(), cents: 1 });
    registry.registry().set_compatibility(Some(&subject), CompatibilityLevel::None).unwrap();
    let strange = bytes(place, &topic, other::Order { id: 7, cents: 1 });
    assert_ne!(wire::read_frame(&before).unwrap().0, wire::read_frame(&strange).unwrap().0);
    let driver = driver(place, &topic, |order: v2::Order| order.id);
    pipe(&driver, &topic, [before.clone(), strange.clone(), before]);
    assert_eq!(shown(&driver), ["a", "a"]);
    assert_eq!(driver.dropped_by_reason().get(DropReason::Unparsable), 1);
    let serde = bound::<v2::Order>(&AvroSerde::derived(&registry).unwrap(), &topic);
    let error = serde.deserialize(Some(&strange)).unwrap_err().to_string();
    assert!(
        error.contains("cannot be read with the application's schema") && error.contains("id"),
        "{error}"
    );
}

fn state_is_written_under_subjects_of_its_changelog(place: &Place) {
    let registry = place.connect(&[]);
    let topic = place.name("orders");
    let builder = StreamsBuilder::new();
    let latest =
        Store::with_serdes(place.name("latest"), Auto, AvroSerde::<v2::Order>::derived(&registry).unwrap());
    let input = orders::<v2::Order>(&registry, &topic);
    builder.table_with(&input, Consumed::new(), &latest);
    let config = DriverConfig { application_id: place.name("app"), ..DriverConfig::default() };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    let value = v2::Order { id: "a".to_owned(), cents: 1, currency: "EUR".to_owned() };
    driver.input(&input).pipe("k", value.clone());
    assert_eq!(driver.store(&latest).get(&"k".to_owned()), Some(value));
    let changelog = format!("{}-{}-changelog-value", place.name("app"), latest.name());
    assert!(registry.registry().subjects().unwrap().contains(&changelog), "{changelog}");
}
