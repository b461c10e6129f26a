//! Topologies, the state of an application, and records that it cannot process.

use std::sync::Arc;
use std::time::Duration;

use kstreams::error::BoxError;
use kstreams::prelude::*;

use crate::Answer::Refused;
use crate::Needs::Nothing;
use crate::Row;
use crate::place::{Place, Seen};

const IN: Topic<String, i64> = Topic::new("in");
const OTHER: Topic<String, i64> = Topic::new("other");
const OUT: Topic<String, i64> = Topic::new("out");
const SUMS: Store<String, i64> = Store::new("sums");

/// What building says.
fn built(build: impl FnOnce(&StreamsBuilder)) -> Seen {
    let builder = StreamsBuilder::new();
    build(&builder);
    Seen::refused(builder.build())
}

fn copy(builder: &StreamsBuilder) {
    builder.stream(&IN).to(&OUT);
}

fn sums(builder: &StreamsBuilder) {
    builder.stream(&IN).group_by_key().fold(&SUMS, |_, cents, sum| *sum += cents);
}

/// What an application says that is fed one record with this value.
fn fed(place: &Place, value: &[u8], build: impl FnOnce(&StreamsBuilder)) -> Seen {
    let kafka = place.kafka(&[("in", 1), ("out", 1)]);
    kafka.produce("in", Some(0), Some(b"k"), Some(value), 0).unwrap();
    place.stopped(place.streams(&kafka, build))
}

struct Lost;

impl Processor<String, i64, String, i64> for Lost {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        _: Record<String, i64>,
    ) -> Result<(), BoxError> {
        context.store(&SUMS)?;
        Ok(())
    }
}

macro_rules! row {
    ($class:literal, $tried:literal, [$($says:literal),*], $run:expr) => {
        Row { class: $class, tried: $tried, answer: Refused, says: &[$($says),*], within: 30, needs: Nothing, run: $run }
    };
}

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row!("nothing to do", "an empty topology", ["invalid topology: it reads no topic; add a source"], |place| {
        let kafka = place.kafka(&[]);
        let config = place.config();
        Seen::refused(StreamsBuilder::new().build().map_err(|error| error.to_string()).and_then(|topology| {
            KafkaStreams::new(topology, config, Arc::new(kafka)).and_then(|mut streams| streams.start()).map_err(|error| error.to_string())
        }))
    }),
    row!("a store twice", "two aggregations into `sums`", ["invalid topology: ", "`sums`"], |_| built(|builder| { sums(builder); sums(builder); })),
    row!("a processor without its store", "`process(.., &[\"nowhere\"])`", ["invalid topology: ", "`nowhere`"], |_| built(|builder| {
        builder.stream(&IN).process(|| Lost, &["nowhere"]).to(&OUT);
    })),
    row!("a topic without a name", "`Topic::new(\"\")`", ["invalid topology: "], |_| built(|builder| {
        builder.stream(&Topic::<String, i64>::new("")).to(&OUT);
    })),
    row!("retention shorter than the window", "an hour kept a minute", ["invalid topology: ", "retention"], |_| built(|builder| {
        let hours = TimeWindows::of_size_with_no_grace(Duration::from_secs(3600));
        let kept = Materialized::from(&SUMS).retention(Duration::from_secs(60));
        builder.stream(&IN).group_by_key().windowed_by(hours).count_with(kept);
    })),
    row!("windows without a length", "`of_size_with_no_grace(0)`", ["invalid topology: "], |_| built(|builder| {
        builder.stream(&IN).group_by_key().windowed_by(TimeWindows::of_size_with_no_grace(Duration::ZERO)).count();
    })),
    row!("a source topic that does not exist", "start without `in`", ["source topic `in` does not exist", "create it first"],
        |place| Seen::refused(place.streams(&place.kafka(&[("out", 1)]), copy).start())),
    row!("topics that cannot be joined", "2 and 3 partitions", ["invalid topology: topics that are joined or merged by key need the same number of partitions, but have: `in` 2, `other` 3"], |place| {
        let kafka = place.kafka(&[("in", 2), ("other", 3), ("out", 1)]);
        Seen::refused(place.streams(&kafka, |builder| {
            let other = builder.table(&OTHER);
            builder.stream(&IN).join_table(&other, |one, two| one + two).to(&OUT);
        }).start())
    }),
    row!("an internal topic of another size", "changelog of 5 partitions for 1", ["internal topic `app-sums-changelog` has 5 partitions, the topology needs 1", "reset the application"],
        |place| Seen::refused(place.streams(&place.kafka(&[("in", 1), ("app-sums-changelog", 5)]), sums).start())),
    row!("two instances in one state directory", "a second start", ["state directory ", "another"], |place| {
        let kafka = place.kafka(&[("in", 1), ("out", 1)]);
        let mut first = place.streams(&kafka, copy);
        first.start().unwrap();
        let seen = Seen::refused(place.streams(&kafka, copy).start());
        first.close(Duration::from_secs(20)).unwrap();
        seen
    }),
    row!("a state directory of a newer version", "format 99", ["state directory ", "99"], |place| {
        std::fs::create_dir_all(place.path().join("app")).unwrap();
        std::fs::write(place.path().join("app/.format"), "99\n").unwrap();
        Seen::refused(place.streams(&place.kafka(&[("in", 1), ("out", 1)]), copy).start())
    }),
    row!("an application that is started twice", "`start` again", ["start was called in state ", "an application starts once"], |place| {
        let mut streams = place.streams(&place.kafka(&[("in", 1), ("out", 1)]), copy);
        streams.start().unwrap();
        let seen = Seen::refused(streams.start());
        streams.close(Duration::from_secs(20)).unwrap();
        seen
    }),
    row!("a record that cannot be read", "text where a number belongs, the handler says fail", ["task 0_0, node `KSTREAM-SOURCE-0000000000`, record in-0@0: cannot deserialize the value: 4 bytes where i64 has 8"], |place| fed(place, b"warm", copy)),
    row!("a function that fails", "`try_map_values` returns an error", ["task 0_0, node `KSTREAM-MAPVALUES-0000000001`, record in-0@0: processing failed: no such currency"], |place| fed(place, &7_i64.to_be_bytes(), |builder| {
        builder.stream(&IN).try_map_values(|_| Err::<i64, _>("no such currency")).to(&OUT);
    })),
    row!("a function that panics", "`map_values` panics", ["task 0_0, ", "record in-0@0: user code panicked: out of luck"], |place| fed(place, &7_i64.to_be_bytes(), |builder| {
        builder.stream(&IN).map_values(|cents: i64| -> i64 { if cents > 0 { panic!("out of luck") } else { cents } }).to(&OUT);
    })),
    row!("a processor asks for a store that it did not name", "`context.store(&SUMS)`", ["record in-0@0: processing failed: store `sums` is not connected to this processor; name it where the processor is added"], |place| fed(place, &7_i64.to_be_bytes(), |builder| {
        builder.stream(&IN).process(|| Lost, &[]).to(&OUT);
    })),
    row!("an output topic that does not exist", "`to` nowhere", ["nowhere"], |place| fed(place, &7_i64.to_be_bytes(), |builder| {
        builder.stream(&IN).to(&Topic::<String, i64>::new("nowhere"));
    })),
];
