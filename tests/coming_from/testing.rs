//! `TopologyTestDriver`, `describe()`, plans and names.

use std::time::Duration;

use kstreams::config::TopologyOptimization;
use kstreams::dsl::TopologyConfig;
use kstreams::prelude::*;
use kstreams::testing::DriverConfig;

use super::{OUT, PAYMENTS, TOTALS};

#[test]
fn test_driver() {
    let builder = StreamsBuilder::new();
    builder
        .stream(&PAYMENTS)
        .group_by_key()
        .fold(&TOTALS, |_, cents, sum| *sum += cents)
        .to_stream()
        .to(&OUT);
    let topology = builder.build().unwrap();
    let driver = TopologyTestDriver::with_config(
        topology,
        DriverConfig { wall_clock: 1_000, ..DriverConfig::default() },
    )
    .unwrap();
    let payments = driver.input(&PAYMENTS);
    payments.pipe("ada", 120);
    payments.pipe_at("ada", 80, 2_000);
    payments.pipe_record(Record::new("ada".to_owned(), 1, 3_000));
    payments.advance(Duration::from_secs(5));
    let _ = driver.input(&PAYMENTS).start_at(1_000).auto_advance(Duration::from_secs(1));
    let out = driver.output(&OUT);
    assert_eq!(out.read_record().map(|record| record.value), Some(120));
    assert_eq!(out.read_all(), [("ada".to_owned(), 200), ("ada".to_owned(), 201)]);
    assert!(out.read_key_values().is_empty());
    assert_eq!((out.len(), out.is_empty()), (0, true));
    driver.advance_wall_clock(Duration::from_secs(1));
    assert_eq!(driver.store(&TOTALS).get(&"ada".to_owned()), Some(201));
    assert_eq!(driver.dropped(), 0);
    driver.close().unwrap();
}

#[test]
fn names_and_plans() {
    let builder = StreamsBuilder::new();
    builder.stream(&PAYMENTS).named("positive").filter(|_, cents| *cents > 0).to(&OUT);
    let topology = builder.build_with(TopologyConfig::optimized("all").unwrap()).unwrap();
    let text = topology.describe().to_string();
    assert!(text.contains("Processor: positive"));
    assert!(topology.describe().to_mermaid().starts_with("flowchart"));
    assert!(topology.describe().to_dot().starts_with("digraph"));
    let diff = topology.snapshot().diff(&builder.build().unwrap().snapshot());
    assert!(!diff.loses_state());
    let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
    config.topology_optimization = TopologyOptimization::ALL;
    assert_eq!(text, builder.build_with(&config).unwrap().describe().to_string());
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), DriverConfig::from(&config));
    assert!(driver.is_ok());
    let strict = TopologyConfig { ensure_explicit_naming: true, ..TopologyConfig::default() };
    assert!(builder.build_with(strict).is_ok());
}
