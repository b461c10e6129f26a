//! Serdes that are values, that know their topic, and that see headers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use streams_core::dsl::StreamsBuilder;
use streams_core::serdes::{Auto, Given, Part, Serde, SerdeError, SerdeRef};
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::{Store, Topic};
use streams_core::types::Headers;

/// What a schema registry is to a serde: a number for each subject, in the order in which they came.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<BTreeMap<String, u8>>>);

impl Registry {
    fn number(&self, subject: &str) -> u8 {
        let mut subjects = self.0.lock().unwrap();
        let next = subjects.len() as u8;
        *subjects.entry(subject.to_owned()).or_insert(next)
    }

    fn subjects(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

/// Text behind the number of its schema.
struct Registered(Registry, Option<u8>);

impl Serde<String> for Registered {
    fn serialize(&self, text: &String, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        out.push(self.1.ok_or_else(|| SerdeError::new("no topic"))?);
        Auto.serialize(text, out)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<String, SerdeError> {
        match bytes.and_then(|bytes| bytes.split_first()) {
            Some((number, text)) if Some(*number) == self.1 => Auto.deserialize(Some(text)),
            other => Err(SerdeError::new(format!("not of schema {:?}: {other:?}", self.1))),
        }
    }

    fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<String>> {
        let number = self.0.number(&format!("{topic}-{part:?}"));
        Some(Arc::new(Self(self.0.clone(), Some(number))))
    }
}

fn topic(name: &'static str, registry: &Registry) -> Topic<String, String, Given, Given> {
    Topic::with_serdes(name, Auto, Registered(registry.clone(), None))
}

#[test]
fn a_serde_knows_its_topic_at_sources_sinks_and_repartition_topics() {
    let registry = Registry::default();
    let (input, other) = (topic("in", &registry), topic("other", &registry));
    let (even, odd) = (topic("even", &registry), topic("odd", &registry));
    let builder = StreamsBuilder::new();
    builder
        .stream_with(&[&input, &other], Default::default())
        .repartition()
        .to_extractor(|_, text, _| if text.len() % 2 == 0 { "even" } else { "odd" }.to_owned());
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&input).pipe("a", "four");
    driver.input(&other).pipe("b", "three");
    driver.input(&other).pipe("c", "fourth");
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(driver.output(&even).read_all(), pairs(&[("a", "four"), ("c", "fourth")]));
    assert_eq!(driver.output(&odd).read_all(), pairs(&[("b", "three")]));
    let repartition =
        registry.subjects().into_iter().filter(|subject| subject.ends_with("-repartition-Value"));
    assert_eq!(repartition.count(), 1, "{:?}", registry.subjects());
}

#[test]
fn a_serde_knows_the_changelog_of_its_store() {
    let registry = Registry::default();
    let input = Topic::<String, String>::new("in");
    let rows = Store::with_serdes("rows", Auto, Registered(registry.clone(), None));
    let builder = StreamsBuilder::new();
    builder.stream(&input).group_by_key().reduce_with(|_, text| text, &rows);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&input).pipe("a", "text");
    assert_eq!(driver.store(&rows).get(&"a".to_owned()).as_deref(), Some("text"));
    let subjects = registry.subjects();
    assert!(matches!(&subjects[..], [one] if one.ends_with("-rows-changelog-Value")), "{subjects:?}");
}

/// Writes the length of a text into a header, and reads only as much.
#[derive(Default)]
struct Measured;

impl Serde<String> for Measured {
    fn serialize(&self, text: &String, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        Auto.serialize(text, out)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<String, SerdeError> {
        Auto.deserialize(bytes)
    }

    fn serialize_with_headers(
        &self,
        text: &String,
        headers: &mut Headers,
        out: &mut Vec<u8>,
    ) -> Result<bool, SerdeError> {
        headers.add("length", Some(vec![text.len() as u8]));
        self.serialize(text, out)
    }

    fn deserialize_with_headers(
        &self,
        bytes: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<String, SerdeError> {
        let length = headers.last("length").and_then(|header| header.value.as_ref()?.first().copied());
        let length = length.ok_or_else(|| SerdeError::new("the header `length` is missing"))?;
        self.deserialize(bytes.map(|bytes| &bytes[..usize::from(length)]))
    }
}

#[test]
fn a_serde_reads_and_adds_headers() {
    let (input, output) =
        (Topic::<String, String>::new("in"), Topic::<String, String, Auto, Measured>::new("out"));
    let builder = StreamsBuilder::new();
    builder.stream(&input).to(&output);
    builder
        .stream(&Topic::<String, String, Auto, Measured>::new("measured"))
        .map_values(|text| text.len() as i64)
        .to(&Topic::<String, i64>::new("lengths"));
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&input).pipe("a", "text");
    let written = driver.output(&output).read_record().unwrap();
    assert_eq!(written.headers.last("length").unwrap().value.as_deref(), Some(&[4][..]));
    assert_eq!(written.value, "text");
    driver.input(&Topic::<String, String, Auto, Measured>::new("measured")).pipe("a", "text");
    assert_eq!(driver.output(&Topic::<String, i64>::new("lengths")).read_all(), [("a".to_owned(), 4)]);
}
