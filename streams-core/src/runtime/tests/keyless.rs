//! Records without a key: as Kafka's producer, a batch full to one partition, then to the next.

use super::world::World;
use crate::dsl::StreamsBuilder;
use crate::topic::Topic;

const LINES: Topic<(), String> = Topic::new("lines");
const OUT: Topic<(), String> = Topic::new("out");

/// How many of 64 records of about a kilobyte each of three partitions gets.
fn spread(batch_size: Option<&str>) -> Vec<i64> {
    let world = World::new(1);
    world.kafka.create_topic("out", 3).unwrap();
    let builder = StreamsBuilder::new();
    builder.stream(&LINES).to(&OUT);
    let mut config = world.config("i1");
    config.processing_guarantee = crate::config::ProcessingGuarantee::AtLeastOnce;
    config.commit_interval = std::time::Duration::from_millis(50);
    if let Some(bytes) = batch_size {
        config.client_properties.insert("producer.batch.size".to_owned(), bytes.to_owned());
    }
    let mut one = world.instance_of(builder.build().unwrap(), config).unwrap();
    (0..64).for_each(|_| world.line(&"x".repeat(1016)));
    world.run_until_drained(&mut [&mut one]);
    world.kafka.end_offsets("out").unwrap()
}

/// It was 1024 records, however large: small topics had one partition in use.
#[test]
fn a_partition_gets_a_batch_full_in_a_row() {
    assert_eq!(spread(None), [32, 16, 16]);
    assert_eq!(spread(Some("8192")), [24, 24, 16]);
    assert_eq!(spread(Some("0")), [22, 21, 21]);
}
