//! What a registry is asked: register, look up, check, levels. Can catch: a fake that answers otherwise than a real one, a client
//! that takes one refusal for another.

use streams_schemas::schema::{Compatibility, CompatibilityLevel, Version};
use streams_schemas::{Schema, SchemaError, SchemaKind};
use streams_state::serdes::SerdeErrorKind;

use crate::place::{Place, cases};

cases![
    what_is_registered_is_found_by_id_version_and_text,
    one_schema_has_one_id,
    what_is_not_there_is_named,
    an_incompatible_schema_is_refused_with_the_reason,
    a_check_says_what_registering_would,
    levels_decide_in_which_direction,
    the_level_of_all_counts_where_there_is_no_other,
    protobuf_and_json_have_rules_too,
    what_is_no_schema_is_refused,
    references_come_back,
];

pub(crate) fn avro(fields: &str) -> Schema {
    let text = format!(r#"{{"type":"record","name":"Order","namespace":"shop","fields":[{fields}]}}"#);
    Schema::new(SchemaKind::Avro, text)
}

pub(crate) const ID: &str = r#"{"name":"id","type":"string"}"#;
pub(crate) const ID_AND_CENTS: &str =
    r#"{"name":"id","type":"string"},{"name":"cents","type":"long","default":0}"#;
pub(crate) const CENTS_WITHOUT_DEFAULT: &str =
    r#"{"name":"id","type":"string"},{"name":"cents","type":"long"}"#;

fn protobuf(fields: &str) -> Schema {
    Schema::new(
        SchemaKind::Protobuf,
        format!("syntax = \"proto3\";\npackage shop;\nmessage Order {{ {fields} }}\n"),
    )
}

fn json(properties: &str, more: &str) -> Schema {
    let text =
        format!(r#"{{"type":"object","properties":{{{properties}}},"additionalProperties":false{more}}}"#);
    Schema::new(SchemaKind::Json, text)
}

fn what_is_registered_is_found_by_id_version_and_text(place: &Place) {
    let registry = place.connect(&[]);
    let (registry, subject) = (registry.registry(), place.name("value"));
    let (one, two) = (avro(ID), avro(ID_AND_CENTS));
    let first = registry.register(&subject, &one).unwrap();
    let second = registry.register(&subject, &two).unwrap();
    assert_ne!(first, second);
    assert_eq!(registry.schema(first).unwrap(), one);
    assert_eq!(registry.versions(&subject).unwrap(), [1, 2]);
    let latest = registry.version(&subject, Version::Latest).unwrap();
    assert_eq!((latest.id, latest.version, &latest.schema), (second, 2, &two));
    assert_eq!(registry.version(&subject, Version::Number(1)).unwrap().id, first);
    let found = registry.find(&subject, &two).unwrap();
    assert_eq!((found.id, found.version, found.subject.as_str()), (second, 2, subject.as_str()));
    assert!(registry.subjects().unwrap().contains(&subject));
    for schema in [protobuf("string id = 1;"), json(r#""id":{"type":"string"}"#, "")] {
        let subject = place.name(&format!("{}-value", schema.kind));
        let id = registry.register(&subject, &schema).unwrap();
        assert_eq!(registry.schema(id).unwrap(), schema, "kind and text come back");
    }
}

fn one_schema_has_one_id(place: &Place) {
    let registry = place.connect(&[]);
    let (registry, schema) = (registry.registry(), avro(ID));
    let id = registry.register(&place.name("a"), &schema).unwrap();
    assert_eq!(registry.register(&place.name("a"), &schema).unwrap(), id);
    assert_eq!(registry.register(&place.name("b"), &schema).unwrap(), id);
    assert_eq!(registry.versions(&place.name("a")).unwrap(), [1]);
}

fn what_is_not_there_is_named(place: &Place) {
    let registry = place.connect_hasty();
    let (registry, subject) = (registry.registry(), place.name("value"));
    let unknown = registry.schema(999_999).unwrap_err();
    assert!(matches!(&unknown, SchemaError::UnknownId { id: 999_999, .. }), "{unknown}");
    assert_eq!(unknown.kind(), SerdeErrorKind::Unavailable, "not the record's fault");
    let missing = |error: SchemaError, what: &str| {
        let SchemaError::NotRegistered { subject: named, what: said, .. } = &error else { panic!("{error}") };
        assert_eq!((named, said.as_str()), (&subject, what), "{error}");
        assert_eq!(error.kind(), SerdeErrorKind::Setup);
    };
    missing(registry.versions(&subject).unwrap_err(), "any version");
    missing(registry.find(&subject, &avro(ID)).unwrap_err(), "this schema");
    missing(registry.check(&subject, &avro(ID)).unwrap_err(), "any version");
    registry.register(&subject, &avro(ID)).unwrap();
    missing(registry.find(&subject, &avro(ID_AND_CENTS)).unwrap_err(), "this schema");
    missing(registry.version(&subject, Version::Number(7)).unwrap_err(), "version 7");
}

fn an_incompatible_schema_is_refused_with_the_reason(place: &Place) {
    let registry = place.connect(&[]);
    let (registry, subject) = (registry.registry(), place.name("value"));
    registry.register(&subject, &avro(ID)).unwrap();
    registry.set_compatibility(Some(&subject), CompatibilityLevel::Backward).unwrap();
    let error = registry.register(&subject, &avro(CENTS_WITHOUT_DEFAULT)).unwrap_err();
    let SchemaError::Incompatible { subject: named, reason } = &error else { panic!("{error}") };
    assert_eq!(named, &subject);
    assert!(reason.contains("cents"), "the field is named: {reason}");
    assert_eq!(error.kind(), SerdeErrorKind::Setup);
    assert_eq!(registry.versions(&subject).unwrap(), [1]);
}

fn a_check_says_what_registering_would(place: &Place) {
    let registry = place.connect(&[]);
    let (registry, subject) = (registry.registry(), place.name("value"));
    registry.register(&subject, &avro(ID)).unwrap();
    registry.set_compatibility(Some(&subject), CompatibilityLevel::Backward).unwrap();
    assert_eq!(registry.check(&subject, &avro(ID_AND_CENTS)).unwrap(), Compatibility::Compatible);
    let refused = registry.check(&subject, &avro(CENTS_WITHOUT_DEFAULT)).unwrap();
    assert!(
        matches!(&refused, Compatibility::Incompatible(reason) if reason.contains("cents")),
        "{refused:?}"
    );
    assert_eq!(registry.versions(&subject).unwrap(), [1], "a check registers nothing");
}

fn levels_decide_in_which_direction(place: &Place) {
    use CompatibilityLevel as Level;
    let registry = place.connect(&[]);
    let (registry, subject) = (registry.registry(), place.name("value"));
    registry.register(&subject, &avro(ID)).unwrap();
    // The new schema cannot read the old one's records, but the old one reads those of the new.
    let new = avro(CENTS_WITHOUT_DEFAULT);
    for (level, fits) in [
        (Level::None, true),
        (Level::Forward, true),
        (Level::ForwardTransitive, true),
        (Level::Backward, false),
        (Level::BackwardTransitive, false),
        (Level::Full, false),
        (Level::FullTransitive, false),
    ] {
        registry.set_compatibility(Some(&subject), level).unwrap();
        assert_eq!(registry.compatibility(&subject).unwrap(), level);
        let checked = registry.check(&subject, &new).unwrap();
        assert_eq!(checked == Compatibility::Compatible, fits, "{level:?}: {checked:?}");
    }
}

fn the_level_of_all_counts_where_there_is_no_other(place: &Place) {
    let registry = place.connect(&[]);
    let (registry, subject) = (registry.registry(), place.name("value"));
    registry.register(&subject, &avro(ID)).unwrap();
    registry.set_compatibility(None, CompatibilityLevel::Full).unwrap();
    let refused = registry.register(&subject, &avro(CENTS_WITHOUT_DEFAULT));
    // The other cases share the registry.
    registry.set_compatibility(None, CompatibilityLevel::None).unwrap();
    assert!(matches!(refused, Err(SchemaError::Incompatible { .. })), "{refused:?}");
}

fn protobuf_and_json_have_rules_too(place: &Place) {
    let registry = place.connect(&[]);
    let registry = registry.registry();
    let id = r#""id":{"type":"string"}"#;
    let cases = [
        (protobuf("string id = 1;"), protobuf("string id = 1; int64 cents = 2;"), true),
        (protobuf("string id = 1;"), protobuf("int64 id = 1;"), false),
        (protobuf("string id = 1;"), protobuf("repeated string id = 1;"), false),
        (json(id, ""), json(&format!(r#"{id},"cents":{{"type":"integer"}}"#), ""), true),
        (json(id, ""), json(r#""id":{"type":"integer"}"#, ""), false),
        (json(id, ""), json(id, r#","required":["id"]"#), false),
        (json(r#""n":{"type":"integer"}"#, ""), json(r#""n":{"type":"number"}"#, ""), true),
        (json(r#""n":{"enum":["a"]}"#, ""), json(r#""n":{"enum":["a","b"]}"#, ""), true),
        (json(r#""n":{"enum":["a","b"]}"#, ""), json(r#""n":{"enum":["a"]}"#, ""), false),
    ];
    for (at, (old, new, fits)) in cases.into_iter().enumerate() {
        let subject = place.name(&format!("{at}-value"));
        registry.register(&subject, &old).unwrap();
        registry.set_compatibility(Some(&subject), CompatibilityLevel::Backward).unwrap();
        let registered = registry.register(&subject, &new);
        assert_eq!(registered.is_ok(), fits, "{}\n-> {}\n{registered:?}", old.text, new.text);
        if let Err(error) = registered {
            assert!(matches!(error, SchemaError::Incompatible { .. }), "{error}");
        }
    }
}

fn what_is_no_schema_is_refused(place: &Place) {
    let registry = place.connect(&[]);
    let registry = registry.registry();
    let broken = Schema::new(SchemaKind::Avro, r#"{"type":"recor"}"#);
    let subject = place.name("value");
    let error = registry.register(&subject, &broken).unwrap_err();
    assert!(matches!(&error, SchemaError::InvalidSchema { name, .. } if *name == subject), "{error}");
}

fn references_come_back(place: &Place) {
    let registry = place.connect(&[]);
    let (order, basket) = (place.name("order"), place.name("basket"));
    registry.registry().register(&order, &avro(ID)).unwrap();
    let text = r#"{"type":"record","name":"Basket","namespace":"shop","fields":[{"name":"order","type":"shop.Order"}]}"#;
    let schema = Schema::new(SchemaKind::Avro, text).with_reference("shop.Order", &order, 1);
    let id = registry.registry().register(&basket, &schema).unwrap();
    let back = registry.registry().schema(id).unwrap();
    assert_eq!(back, schema);
    assert_eq!(registry.references(&back).unwrap(), [("shop.Order".to_owned(), avro(ID))]);
}
