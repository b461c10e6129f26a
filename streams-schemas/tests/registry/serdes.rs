//! What serdes make of a registry: registering, looking up, subjects, caches. Can catch: schemas under wrong subjects, a writer that
//! registers although it must not, a reader that takes the wrong schema.

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};
use streams_schemas::schema::{CompatibilityLevel, Version};
use streams_schemas::{AvroSerde, Schema, SchemaError, SchemaKind, SchemaRegistry, SubjectNames, wire};
use streams_state::serdes::{Part, Serde, SerdeError, SerdeErrorKind, SerdeRef};

use crate::place::{Place, cases};
use crate::questions::{CENTS_WITHOUT_DEFAULT, ID, ID_AND_CENTS, avro};

cases![
    writers_register_under_the_subject_of_the_strategy,
    writers_that_must_not_register_say_what_is_missing,
    writers_use_the_latest_version_if_told,
    a_refused_schema_stops_and_is_named,
    null_is_null,
    a_schema_that_uses_others_is_read,
    unknown_ids_are_no_fault_of_the_record,
    bytes_of_others_are,
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "shop")]
pub(crate) struct Order {
    pub(crate) id: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OrderWithCents {
    id: String,
    cents: i64,
}

pub(crate) fn order(id: &str) -> Order {
    Order { id: id.to_owned() }
}

pub(crate) fn bound<T: 'static>(serde: &impl Serde<T>, topic: &str) -> SerdeRef<T> {
    serde.for_topic(topic, Part::Value).unwrap()
}

pub(crate) fn written<T: 'static>(serde: &SerdeRef<T>, value: &T) -> Result<Vec<u8>, SerdeError> {
    let mut out = Vec::new();
    serde.serialize(value, &mut out).map(|_| out)
}

/// The error that the serde gave, by its own type.
fn inner(error: &SerdeError) -> &SchemaError {
    error.downcast_ref().unwrap()
}

pub(crate) fn orders_serde(registry: &SchemaRegistry) -> AvroSerde<Order> {
    AvroSerde::derived(registry).unwrap()
}

fn writers_register_under_the_subject_of_the_strategy(place: &Place) {
    let topic = place.name("orders");
    for (strategy, part, subject) in [
        ("TopicNameStrategy", Part::Value, format!("{topic}-value")),
        ("TopicNameStrategy", Part::Key, format!("{topic}-key")),
        ("RecordNameStrategy", Part::Value, "shop.Order".to_owned()),
        ("TopicRecordNameStrategy", Part::Key, format!("{topic}-shop.Order")),
    ] {
        let registry = place
            .connect(&[("key.subject.name.strategy", strategy), ("value.subject.name.strategy", strategy)]);
        let serde = Serde::<Order>::for_topic(&orders_serde(&registry), &topic, part).unwrap();
        let bytes = written(&serde, &order("a")).unwrap();
        let (id, _) = wire::read_frame(&bytes).unwrap();
        let latest = registry.registry().version(&subject, Version::Latest).unwrap();
        assert_eq!(latest.id, id, "{subject}");
        assert_eq!(serde.deserialize(Some(&bytes)).unwrap(), order("a"));
    }
    // Without a topic there is no subject, unless it is that of the type.
    let registry = place.connect(&[]);
    let error =
        Serde::<Order>::serialize(&orders_serde(&registry), &order("a"), &mut Vec::new()).unwrap_err();
    assert_eq!(inner(&error), &SchemaError::NoTopic);
    let by_type = orders_serde(&registry).with_subjects(SubjectNames::Record);
    assert!(Serde::<Order>::serialize(&by_type, &order("a"), &mut Vec::new()).unwrap());
}

fn writers_that_must_not_register_say_what_is_missing(place: &Place) {
    let topic = place.name("orders");
    let registry = place.connect(&[("auto.register.schemas", "false")]);
    let serde = bound(&orders_serde(&registry), &topic);
    let error = written(&serde, &order("a")).unwrap_err();
    assert!(matches!(inner(&error), SchemaError::NotRegistered { .. }), "{error}");
    assert!(error.to_string().contains("register it, or set `auto.register.schemas=true`"), "{error}");
    assert_eq!(error.kind(), SerdeErrorKind::Setup);
    // Once it is there, the same serde finds it: nothing was kept of the error.
    let writer = place.connect(&[]);
    let bytes = written(&bound(&orders_serde(&writer), &topic), &order("a")).unwrap();
    assert_eq!(written(&serde, &order("a")).unwrap(), bytes);
    assert_eq!(registry.registry().versions(&format!("{topic}-value")).unwrap(), [1]);
}

fn writers_use_the_latest_version_if_told(place: &Place) {
    let topic = place.name("orders");
    let subject = format!("{topic}-value");
    let registry = place.connect(&[("use.latest.version", "true")]);
    registry.registry().register(&subject, &avro(ID)).unwrap();
    let latest = registry.registry().register(&subject, &avro(ID_AND_CENTS)).unwrap();
    let serde = AvroSerde::<OrderWithCents>::new(&registry, avro(CENTS_WITHOUT_DEFAULT)).unwrap();
    let serde = bound::<OrderWithCents>(&serde, &topic);
    let value = OrderWithCents { id: "a".to_owned(), cents: 7 };
    let bytes = written(&serde, &value).unwrap();
    assert_eq!(wire::read_frame(&bytes).unwrap().0, latest);
    assert_eq!(serde.deserialize(Some(&bytes)).unwrap(), value);
    assert_eq!(registry.registry().versions(&subject).unwrap(), [1, 2], "its own was not registered");
}

fn a_refused_schema_stops_and_is_named(place: &Place) {
    let topic = place.name("orders");
    let (registry, subject) = (place.connect(&[]), format!("{topic}-value"));
    registry.registry().register(&subject, &avro(ID)).unwrap();
    registry.registry().set_compatibility(Some(&subject), CompatibilityLevel::Backward).unwrap();
    let serde = AvroSerde::<OrderWithCents>::new(&registry, avro(CENTS_WITHOUT_DEFAULT)).unwrap();
    let value = OrderWithCents { id: "a".to_owned(), cents: 7 };
    let error = written(&bound::<OrderWithCents>(&serde, &topic), &value).unwrap_err();
    assert_eq!(error.kind(), SerdeErrorKind::Setup);
    let text = error.to_string();
    assert!(text.contains(&subject) && text.contains("cents"), "{text}");
}

fn null_is_null(place: &Place) {
    let registry = place.connect(&[]);
    let serde = orders_serde(&registry);
    let optional: SerdeRef<Option<Order>> = bound(&serde, &place.name("orders"));
    let mut out = Vec::new();
    assert!(!optional.serialize(&None, &mut out).unwrap() && out.is_empty() && optional.is_null(&None));
    assert_eq!(optional.deserialize(None).unwrap(), None);
    let bytes = written(&optional, &Some(order("a"))).unwrap();
    assert_eq!(optional.deserialize(Some(&bytes)).unwrap(), Some(order("a")));
    let error = Serde::<Order>::deserialize(&serde, None).unwrap_err();
    assert_eq!(error.to_string(), "null where `shop.Order` was expected");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Basket {
    order: Order,
}

fn a_schema_that_uses_others_is_read(place: &Place) {
    let registry = place.connect(&[]);
    let used = place.name("used");
    registry.registry().register(&used, &avro(ID)).unwrap();
    let text = r#"{"type":"record","name":"Basket","namespace":"shop","fields":[{"name":"order","type":"shop.Order"}]}"#;
    let schema = Schema::new(SchemaKind::Avro, text).with_reference("shop.Order", used, 1);
    let writer = AvroSerde::<Basket>::new(&registry, schema.clone()).unwrap();
    let bytes =
        written(&bound::<Basket>(&writer, &place.name("baskets")), &Basket { order: order("a") }).unwrap();
    let other = place.connect(&[]);
    let reader = AvroSerde::<Basket>::new(&other, schema).unwrap();
    assert_eq!(Serde::<Basket>::deserialize(&reader, Some(&bytes)).unwrap(), Basket { order: order("a") });
}

fn unknown_ids_are_no_fault_of_the_record(place: &Place) {
    let serde = orders_serde(&place.connect_hasty());
    let mut bytes = Vec::new();
    wire::write_frame(888_888, &mut bytes);
    let error = Serde::<Order>::deserialize(&serde, Some(&bytes)).unwrap_err();
    assert!(matches!(inner(&error), SchemaError::UnknownId { id: 888_888, .. }), "{error}");
    assert_eq!(error.kind(), SerdeErrorKind::Unavailable);
}

fn bytes_of_others_are(place: &Place) {
    let serde = orders_serde(&place.connect(&[]));
    for bytes in [&b"{\"id\":\"a\"}"[..], b"", &[0, 0]] {
        let error = Serde::<Order>::deserialize(&serde, Some(bytes)).unwrap_err();
        assert!(matches!(inner(&error), SchemaError::NotFramed { .. }), "{error}");
        assert_eq!(error.kind(), SerdeErrorKind::Record);
    }
}
