//! Settings, serdes, handlers, and the life of an application.

use std::sync::Arc;
use std::time::Duration;

use kstreams::client::embedded::EmbeddedKafka;
use kstreams::error::TaskErrorCause;
use kstreams::handler::{DeadLetter, ErrorContext, ExceptionHandler, Response};
use kstreams::metrics::MetricsPublisher;
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;
use kstreams::runtime::{CloseOptions, GroupMembershipOperation};
use kstreams::serdes::{
    ByteArraySerde, IntegerSerde, LongSerde, Part, SerdeError, SessionWindowed, StringSerde, TimeWindowed,
};

use super::{OUT, PAYMENTS};

/// Also from a file.
#[test]
fn settings_from_a_file() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("app.properties");
    std::fs::write(&file, "application.id=shop\nbootstrap.servers=localhost:9092\n")?;
    let config = StreamsConfig::from_properties_file(&file)?;
    assert_eq!(config.application_id, "shop");
    Ok(())
}

#[test]
fn settings() {
    let config = StreamsConfig::from_properties([
        ("application.id", "shop"),
        ("bootstrap.servers", "localhost:9092"),
        ("processing.guarantee", "exactly_once_v2"),
        ("num.stream.threads", "2"),
        ("statestore.cache.max.bytes", "0"),
        ("consumer.max.poll.records", "200"),
        ("errors.dead.letter.queue.topic.name", "dead-letters"),
        ("app.tax", "19"),
        ("app.config.prefixes", "schema.registry.,my."),
        (
            "deserialization.exception.handler",
            "org.apache.kafka.streams.errors.LogAndContinueExceptionHandler",
        ),
    ])
    .unwrap();
    assert_eq!(config.commit_interval, Duration::from_millis(100));
    assert_eq!(config.app_configs.get("app.tax").map(String::as_str), Some("19"));
    let mut config = StreamsConfig::new("shop", ProcessingGuarantee::AtLeastOnce);
    assert_eq!(config.commit_interval, Duration::from_secs(30));
    config.deserialization_exception_handler = Arc::new(LogAndContinue);
    config.processing_exception_handler = Arc::new(DeadLetterQueue::new("dead-letters"));
    config.production_exception_handler = Arc::new(LogAndFail);
    config.production_exception_handler = Arc::new(DeadLetterQueue::new("dead-letters").and_fail());
    config.processing_exception_handler = Arc::new(OnlyRefunds);
    assert_eq!(config.application_id, "shop");
}

/// Drops what fails in the topic of refunds.
struct OnlyRefunds;

impl ExceptionHandler for OnlyRefunds {
    fn handle(&self, context: &ErrorContext<'_>, error: &TaskErrorCause) -> Response {
        if context.topic == "refunds" {
            return Response::resume();
        }
        Response::fail().with_dead_letter(DeadLetter::of_source("failed", context, error))
    }
}

/// A serde of one's own: cents as text.
#[derive(Clone, Copy, Default)]
struct Cents;

impl Serde<i64> for Cents {
    fn serialize(&self, value: &i64, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        out.extend_from_slice(value.to_string().as_bytes());
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<i64, SerdeError> {
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.and_then(|text| text.parse().ok()).ok_or_else(|| SerdeError::new("no cents"))
    }
}

#[test]
fn an_application_starts_and_stops() {
    const TEXT_PAYMENTS: Topic<String, i64, StringSerde, Cents> = Topic::new("text-payments");
    let builder = StreamsBuilder::new();
    builder.stream(&PAYMENTS).to(&OUT);
    builder.stream(&TEXT_PAYMENTS).to(&OUT);
    let topology = builder.build().unwrap();
    let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
    let directory = tempfile::tempdir().unwrap();
    config.state_dir = directory.path().to_owned();
    let clients = EmbeddedKafka::new(SystemClock);
    let mut streams = KafkaStreams::new(topology, config, Arc::new(clients)).unwrap();
    streams.set_state_listener(|new, old| println!("{old} -> {new}"));
    streams.set_global_state_restore_listener(Arc::new(Quiet));
    streams.set_uncaught_exception_handler(|_error| StreamThreadExceptionResponse::ReplaceThread);
    assert_eq!(streams.state(), State::Created);
    // The topics are missing: one sentence says which.
    let error = streams.start().unwrap_err().to_string();
    assert!(error.contains("payments"), "{error}");
    let _ = (streams.metrics(), streams.named_metrics(), streams.error());
    MetricsPublisher::new("shop").publish(&streams.named_metrics());
    assert!(streams.metadata_for_local_threads().is_empty());
    let _ = operated(&mut streams);
    let _ = streams.close(Duration::from_secs(30));
}

fn operated(streams: &mut KafkaStreams) -> Result<(), StreamsError> {
    streams.clean_up()?;
    assert!(streams.add_stream_thread()?.is_none());
    assert!(streams.remove_stream_thread(Duration::from_secs(30))?.is_none());
    streams.close_with(
        CloseOptions::timeout(Duration::from_secs(30))
            .group_membership_operation(GroupMembershipOperation::RemainInGroup),
    )
}

struct Quiet;

impl StateRestoreListener for Quiet {}

#[test]
fn serdes() {
    fn is<T>(_: impl Serde<T>) {}
    is::<String>(StringSerde::default());
    is::<i64>(LongSerde);
    is::<i32>(IntegerSerde);
    is::<Vec<u8>>(ByteArraySerde);
    is::<super::Order>(Json);
    is::<kstreams::types::Windowed<String>>(TimeWindowed::new(Arc::new(Auto), 60_000));
    is::<kstreams::types::Windowed<String>>(SessionWindowed::new(Arc::new(Auto)));
    let topic: Topic<String, i64, _, _> = Topic::with_serdes("orders", Auto, Cents);
    let _store: Store<String, i64, _, _> = Store::with_serdes("rows", Auto, Cents);
    assert!(topic.value_serde().for_topic("orders", Part::Value).is_none());
    let (mut headers, mut out) = (Headers::EMPTY, Vec::new());
    Cents.serialize_with_headers(&7, &mut headers, &mut out).unwrap();
    assert_eq!(Cents.deserialize_with_headers(Some(&out), &headers).unwrap(), 7);
}
