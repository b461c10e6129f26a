//! Types that serde does not know, with a serde of their own: they pass wherever records leave or enter memory.

use streams_core::dsl::{Materialized, StreamsBuilder, TableJoined};
use streams_core::serdes::{Auto, Serde, SerdeError};
use streams_core::topic::{Store, Topic};

use crate::{driver, text};

/// Neither `Serialize` nor `Deserialize`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cents(i64);

/// Text and `c`; 0 is null.
#[derive(Clone, Copy, Default)]
struct AsText;

impl Serde<Cents> for AsText {
    fn serialize(&self, cents: &Cents, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        out.extend_from_slice(format!("{}c", cents.0).as_bytes());
        Ok(cents.0 != 0)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Cents, SerdeError> {
        let text = std::str::from_utf8(bytes.unwrap_or(b"0c")).ok().and_then(|text| text.strip_suffix('c'));
        let cents = text.and_then(|digits| digits.parse().ok());
        cents.map(Cents).ok_or_else(|| SerdeError::new("not cents"))
    }

    fn is_null(&self, cents: &Cents) -> bool {
        cents.0 == 0
    }
}

const IN: Topic<String, i64> = Topic::new("in");
const NULLS: Topic<String, Option<i64>> = Topic::new("nulls");
const NAMES: Topic<i64, String> = Topic::new("names");
const OUT: Topic<String, String> = Topic::new("out");
const RESULTS: Topic<String, Option<String>> = Topic::new("results");
const TABLE: Store<Cents, Cents, AsText, AsText> = Store::new("table");

#[test]
fn joins_with_global_tables() {
    let builder = StreamsBuilder::new();
    let names = builder.global_table(&NAMES);
    let cents = builder.stream(&IN).map_values(Cents);
    let id = |_: &String, cents: &Cents| cents.0;
    let both = |_: &String, cents: Cents, name: &String| format!("{name} {}", cents.0);
    cents.clone().join_global_with(&names, id, both, AsText).to(&OUT);
    let left = |_: &String, cents: Cents, name: Option<&String>| format!("{name:?} {}", cents.0);
    cents.left_join_global_with(&names, id, left, AsText).to(&OUT);
    let driver = driver(&builder);
    driver.input(&NAMES).pipe(7, "seven");
    for cents in [7, 8, 0] {
        driver.input(&IN).pipe("a", cents);
    }
    let values: Vec<String> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!(
        values,
        ["seven 7", "Some(\"seven\") 7", "None 8"],
        "what the serde says is null has no result"
    );
    assert_eq!(driver.dropped(), 2);
}

#[test]
fn tables_of_streams() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&IN).map(|key, cents| (Cents(key.len() as i64), Cents(cents)));
    stream.named("rows").to_table_with_serdes(AsText, AsText, &TABLE);
    let driver = driver(&builder);
    driver.input(&IN).pipe("abc", 5);
    let repartition = driver.produced("test-rows-repartition");
    assert_eq!(
        (repartition[0].key.as_deref(), repartition[0].value.as_deref()),
        (Some(&b"3c"[..]), Some(&b"5c"[..]))
    );
    let table: Store<Cents, Cents> = Store::new("table");
    assert_eq!(driver.store(&table).get(&Cents(3)), Some(Cents(5)));
}

#[test]
fn tables_of_streams_with_nulls() {
    let builder = StreamsBuilder::new();
    let stream =
        builder.stream(&NULLS).map(|key, cents: Option<i64>| (Cents(key.len() as i64), cents.map(Cents)));
    let kept = Materialized::serdes(AsText, AsText);
    stream
        .named("rows")
        .to_table_opt_with_serde(AsText, kept)
        .to_stream_keyed(|key, _| key.0.to_string())
        .map_values(|cents| cents.map(|Cents(cents)| cents.to_string()))
        .to(&RESULTS);
    let driver = driver(&builder);
    driver.input(&NULLS).pipe("abc", 5);
    driver.input(&NULLS).pipe("abc", None);
    let results = driver.output(&RESULTS).read_all();
    assert_eq!(results, [(text("3"), Some(text("5"))), (text("3"), None)]);
}

/// Kafka Streams takes the serdes of `Materialized` for the repartition topic, too.
#[test]
fn the_serde_of_a_table_serves_its_repartition_topic() {
    #[derive(Clone, Copy, Default)]
    struct Digits;

    impl Serde<i64> for Digits {
        fn serialize(&self, number: &i64, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
            Auto.serialize(&number.to_string(), out)
        }

        fn deserialize(&self, bytes: Option<&[u8]>) -> Result<i64, SerdeError> {
            let text: String = Auto.deserialize(bytes)?;
            text.parse().map_err(|_| SerdeError::new("no digits"))
        }
    }

    let builder = StreamsBuilder::new();
    let kept = || Materialized::serdes(Auto, Digits);
    builder.stream(&IN).select_key(|key, _| key.clone()).named("one").to_table_with(kept());
    let nulls = builder.stream(&NULLS).filter(|_, _| true).select_key(|key, _| key.clone());
    nulls.named("two").to_table_opt_with(kept());
    let driver = driver(&builder);
    driver.input(&IN).pipe("a", 5);
    driver.input(&NULLS).pipe("a", 6);
    driver.input(&NULLS).pipe("a", None);
    let bytes =
        |topic: &str| driver.produced(topic).into_iter().map(|record| record.value).collect::<Vec<_>>();
    assert_eq!(bytes("test-one-repartition"), [Some(b"5".to_vec())]);
    assert_eq!(bytes("test-two-repartition"), [Some(b"6".to_vec()), None]);
}

#[test]
fn foreign_key_joins() {
    for left_join in [false, true] {
        let builder = StreamsBuilder::new();
        let orders = builder.table(&IN).map_values(|cents| Cents(*cents));
        let names = builder.table(&Topic::<i64, i64>::named("facts")).map_values(|fact| Cents(*fact));
        let (joined, kept) = (TableJoined::new().serdes(AsText, AsText), Materialized::unnamed());
        let id = |_: &String, cents: &Cents| cents.0;
        let results = match left_join {
            false => orders.join_foreign_key_with(
                &names,
                id,
                |one, two| format!("{} {}", one.0, two.0),
                joined,
                kept,
            ),
            true => orders.left_join_foreign_key_with(
                &names,
                id,
                |one, two| format!("{} {two:?}", one.0),
                joined,
                kept,
            ),
        };
        results.to_stream().to(&RESULTS);
        let driver = driver(&builder);
        driver.input(&IN).pipe("a", 7);
        driver.input(&Topic::<i64, i64>::named("facts")).pipe(7, 70);
        let last = driver.output(&RESULTS).read_all().pop().unwrap().1;
        assert_eq!(last, Some(text(if left_join { "7 Some(Cents(70))" } else { "7 70" })));
        let response =
            driver.produced_topics().into_iter().find(|topic| topic.contains("RESPONSE-0")).unwrap();
        assert!(
            driver.produced(&response).iter().any(|record| record.value.as_ref().unwrap().ends_with(b"70c"))
        );
    }
}
