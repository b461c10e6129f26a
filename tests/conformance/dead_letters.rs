//! Dead letters and retries of whole applications: what is part of a transaction, and what a restart finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kstreams::client::ClientSupplier;
use kstreams::dead_letter::retries;
use kstreams::error::TaskErrorCause;
use kstreams::handler::{DeadLetter, ErrorContext, ExceptionHandler, Response};
use kstreams::prelude::*;

use crate::harness::cases;
use crate::ported_eos::{config, texts};
use crate::support::*;

cases![
    a_dead_letter_is_taken_back_with_its_transaction,
    a_record_that_waits_for_its_retry_survives_the_loss_of_its_machine,
];

/// A dead letter for each failure; `stop` ends the task.
struct UnlessStop(String);

impl ExceptionHandler for UnlessStop {
    fn handle(&self, context: &ErrorContext<'_>, error: &TaskErrorCause) -> Response {
        match context.value {
            Some(b"stop") => Response::fail(),
            _ => Response::resume().with_dead_letter(DeadLetter::of_source(&*self.0, context, error)),
        }
    }
}

fn write(kafka: &dyn ClientSupplier, topic: &str, values: &[&str]) {
    let mut writer = Writer::plain(kafka);
    values.iter().for_each(|value| writer.send(topic, 0, "k", value));
    writer.flush();
}

fn values(kafka: &dyn ClientSupplier, topic: &str, isolation: Isolation) -> Vec<String> {
    let records = read(kafka, topic, isolation).into_iter();
    records.map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
}

fn a_dead_letter_is_taken_back_with_its_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let [input, out, dead] = ["input", "out", "dead"].map(|topic| names.topic(topic));
    [&input, &out, &dead].iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    write(kafka, &input, &["fine", "bad", "stop", "last"]);
    let folder = tempfile::tempdir().unwrap();
    let start = |mended: bool| {
        let builder = StreamsBuilder::new();
        let work = move |value: String| match value.as_str() {
            "bad" => Err("it is bad"),
            "stop" if !mended => Err("it stops"),
            _ => Ok(value),
        };
        builder.stream(&texts(names, "input")).try_map_values(work).to(&texts(names, "out"));
        let mut config = config(names, &folder, "one");
        // One transaction for all of it.
        config.commit_interval = Duration::from_secs(30);
        config.processing_exception_handler = Arc::new(UnlessStop(dead.clone()));
        let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
        streams.set_uncaught_exception_handler(|_| StreamThreadExceptionResponse::ShutdownClient);
        streams.start().unwrap();
        streams
    };
    let mut first = start(false);
    assert!(first.await_state(&[State::Error], WAIT));
    assert!(first.close(WAIT).unwrap_err().to_string().contains("it stops"));
    assert_eq!((values(kafka, &out, Committed), values(kafka, &dead, Committed)), (vec![], vec![]));
    let mut second = start(true);
    eventually("the dead letter", || (!values(kafka, &dead, Committed).is_empty()).then_some(()));
    second.close(WAIT).unwrap();
    assert_eq!(values(kafka, &out, Committed), ["fine", "stop", "last"]);
    assert_eq!(values(kafka, &dead, Committed), ["bad"]);
}

fn a_record_that_waits_for_its_retry_survives_the_loss_of_its_machine(
    kafka: &dyn ClientSupplier,
    names: &Names,
) {
    let [input, out] = ["input", "out"].map(|topic| names.topic(topic));
    [&input, &out].iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    let works = Arc::new(AtomicBool::new(false));
    let start = |folder: &tempfile::TempDir| {
        let (builder, works) = (StreamsBuilder::new(), works.clone());
        let call = move |value: String| match value == "slow" && !works.load(Ordering::SeqCst) {
            true => Err("no answer"),
            false => Ok(value),
        };
        let retries = Retries::new("call", [Duration::from_millis(1500); 100]);
        builder
            .stream(&texts(names, "input"))
            .with_retries(retries, |stream| stream.try_map_values(call))
            .to(&texts(names, "out"));
        let config = config(names, folder, "one");
        let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
        streams.start().unwrap();
        streams
    };
    let folder = tempfile::tempdir().unwrap();
    let mut first = start(&folder);
    write(kafka, &input, &["slow", "quick"]);
    eventually("the record behind it", || (values(kafka, &out, Committed) == ["quick"]).then_some(()));
    first.close(WAIT).unwrap();
    works.store(true, Ordering::SeqCst);
    // Another machine: the changelog is all that is left.
    let other = tempfile::tempdir().unwrap();
    let mut second = start(&other);
    eventually("the retry", || (values(kafka, &out, Committed) == ["quick", "slow"]).then_some(()));
    let record = read(kafka, &out, Committed).remove(1);
    assert!(retries(&record.headers) >= 1 && record.timestamp == TIME, "{record:?}");
    let changelog = format!("{}-call-retry-changelog", names.group());
    eventually("the end of its waiting", || {
        let rows = read(kafka, &changelog, Committed);
        rows.last().is_some_and(|row| row.value.is_none()).then_some(())
    });
    second.close(WAIT).unwrap();
    assert_eq!(values(kafka, &out, Committed), ["quick", "slow"]);
}
