//! Protobuf and JSON Schema with a registry. Can catch: a message read as another one, JSON that does not fit its schema.

use prost::{Message, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use streams_schemas::{JsonSchemaSerde, ProtobufSerde, Schema, SchemaError, SchemaKind, wire};
use streams_state::serdes::{Serde, SerdeErrorKind};

use crate::place::{Place, cases};
use crate::serdes::{bound, order, orders_serde, written};

cases![
    messages_are_found_by_their_place_in_the_file,
    messages_are_read_with_other_versions_of_their_file,
    another_message_is_refused,
    json_is_checked_if_told,
    a_record_of_another_kind_is_refused,
];

const FILE: &str = "syntax = \"proto3\";\npackage shop;\n\nmessage Customer {\n  string name = 1;\n}\n\n\
                    message Order {\n  string id = 1;\n  int64 cents = 2;\n  message Line {\n    string item = 1;\n  }\n}\n";

#[derive(Clone, PartialEq, Message)]
struct Order {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(int64, tag = "2")]
    cents: i64,
}

impl Name for Order {
    const PACKAGE: &'static str = "shop";
    const NAME: &'static str = "Order";
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(string, tag = "1")]
    item: String,
}

impl Name for Line {
    const PACKAGE: &'static str = "shop";
    const NAME: &'static str = "Order.Line";
}

fn file() -> Schema {
    Schema::new(SchemaKind::Protobuf, FILE)
}

fn messages_are_found_by_their_place_in_the_file(place: &Place) {
    let registry = place.connect(&[]);
    let orders = bound::<Order>(&ProtobufSerde::new(&registry, file()).unwrap(), &place.name("orders"));
    let value = Order { id: "a".to_owned(), cents: 300 };
    let bytes = written(&orders, &value).unwrap();
    // The second message of the file, then field 1, "a", and field 2, 300.
    assert_eq!(bytes[5..], [2, 2, 10, 1, b'a', 16, 0xac, 2]);
    assert_eq!(orders.deserialize(Some(&bytes)).unwrap(), value);
    let lines = bound::<Line>(&ProtobufSerde::new(&registry, file()).unwrap(), &place.name("lines"));
    let bytes = written(&lines, &Line { item: "x".to_owned() }).unwrap();
    assert_eq!(bytes[5..], [4, 2, 0, 10, 1, b'x'], "the first message inside of the second");
    assert_eq!(lines.deserialize(Some(&bytes)).unwrap().item, "x");
    let nowhere = Schema::new(SchemaKind::Protobuf, "syntax = \"proto3\"; message Other {}");
    let error = ProtobufSerde::<Order>::new(&registry, nowhere).err().unwrap();
    assert!(
        error.to_string().contains("`shop.Order`") && error.to_string().contains("no message"),
        "{error}"
    );
}

fn messages_are_read_with_other_versions_of_their_file(place: &Place) {
    let topic = place.name("orders");
    let old = "syntax = \"proto3\";\npackage shop;\n\nmessage Order {\n  string id = 1;\n}\n";
    let registry = place.connect(&[]);
    let old = ProtobufSerde::<Order>::new(&registry, Schema::new(SchemaKind::Protobuf, old)).unwrap();
    let bytes = written(&bound::<Order>(&old, &topic), &Order { id: "a".to_owned(), cents: 0 }).unwrap();
    assert_eq!(bytes[5..], [0, 10, 1, b'a'], "it is the first message there");
    let new = ProtobufSerde::<Order>::new(&place.connect(&[]), file()).unwrap();
    assert_eq!(Serde::<Order>::deserialize(&new, Some(&bytes)).unwrap().id, "a");
}

fn another_message_is_refused(place: &Place) {
    let registry = place.connect(&[]);
    let lines = bound::<Line>(&ProtobufSerde::new(&registry, file()).unwrap(), &place.name("lines"));
    let bytes = written(&lines, &Line { item: "x".to_owned() }).unwrap();
    let orders = ProtobufSerde::<Order>::new(&registry, file()).unwrap();
    let error = Serde::<Order>::deserialize(&orders, Some(&bytes)).unwrap_err();
    // The bytes would parse: both have a string in field 1.
    assert!(error.to_string().contains("`shop.Order.Line` where `shop.Order` was expected"), "{error}");
    assert_eq!(error.kind(), SerdeErrorKind::Record);
    let mut broken = bytes.clone();
    broken.truncate(bytes.len() - 1);
    assert!(lines.deserialize(Some(&broken)).is_err(), "cut off");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Amount")]
struct Amount {
    #[schemars(range(min = 0))]
    cents: i64,
}

fn json_is_checked_if_told(place: &Place) {
    let topic = place.name("amounts");
    let (loose, strict) = (place.connect(&[]), place.connect(&[("json.fail.invalid.schema", "true")]));
    let loose = bound::<Amount>(&JsonSchemaSerde::derived(&loose).unwrap(), &topic);
    let strict = bound::<Amount>(&JsonSchemaSerde::derived(&strict).unwrap(), &topic);
    let good = written(&strict, &Amount { cents: 1 }).unwrap();
    assert_eq!(good[5..], *b"{\"cents\":1}");
    assert_eq!(strict.deserialize(Some(&good)).unwrap(), Amount { cents: 1 });
    let error = written(&strict, &Amount { cents: -1 }).unwrap_err();
    assert!(error.to_string().contains("/cents") && error.to_string().contains("minimum"), "{error}");
    assert_eq!(error.kind(), SerdeErrorKind::Record);
    let bad = written(&loose, &Amount { cents: -1 }).unwrap();
    assert_eq!(loose.deserialize(Some(&bad)).unwrap(), Amount { cents: -1 });
    let error = strict.deserialize(Some(&bad)).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(SchemaError::Unreadable { .. })), "{error}");
}

fn a_record_of_another_kind_is_refused(place: &Place) {
    let registry = place.connect(&[]);
    let avro = bound(&orders_serde(&registry), &place.name("orders"));
    let bytes = written(&avro, &order("a")).unwrap();
    let amounts = JsonSchemaSerde::<Amount>::derived(&registry).unwrap();
    let error = Serde::<Amount>::deserialize(&amounts, Some(&bytes)).unwrap_err();
    let (id, _) = wire::read_frame(&bytes).unwrap();
    assert_eq!(error.to_string(), format!("schema {id} is a schema of Avro, where JSON is read"));
    assert_eq!(error.kind(), SerdeErrorKind::Record);
}
