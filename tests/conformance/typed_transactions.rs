//! Transactions of a `TopicProducer`: all or nothing, with the offsets of a `TopicConsumer`, and what is said of the outcome.

use kstreams::client::ClientSupplier;
use kstreams::clients::{ConsumerConfig, IsolationLevel, SendError, TransactionError};
use kstreams::topic::Topic;

use crate::harness::cases;
use crate::support::*;
use crate::typed_support::*;

cases![
    a_transaction_is_seen_when_it_is_committed,
    an_aborted_transaction_is_never_seen,
    work_that_fails_aborts_its_transaction,
    records_need_a_transaction,
    calls_out_of_order_are_refused,
    a_producer_without_an_id_has_no_transactions,
    a_refused_record_aborts_its_transaction,
    a_newer_producer_fences_the_older,
    a_newer_producer_settles_what_the_older_left,
    two_topics_are_decided_together,
    consumed_offsets_are_committed_with_the_results,
    an_aborted_transaction_reads_its_input_again,
    offsets_of_lost_partitions_abort_the_transaction,
    closing_aborts_an_open_transaction,
];

fn a_transaction_is_seen_when_it_is_committed(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = transactional(names, &topic, "a");
    producer.begin_transaction(WAIT).unwrap();
    assert_eq!(producer.send("k", "one").unwrap().wait(WAIT).unwrap().offset, Some(0));
    assert!(read(kafka, &topic, Committed).is_empty());
    producer.send("k", "two").unwrap();
    producer.commit_transaction(WAIT).unwrap();
    assert_eq!(texts(&eventually_all(kafka, &topic, 2)), ["one", "two"]);
}

/// Committed records, once there are as many: a commit is answered before its marker is everywhere.
#[track_caller]
fn eventually_all(kafka: &dyn ClientSupplier, topic: &str, count: usize) -> Vec<Read> {
    eventually("committed records", || {
        Some(read(kafka, topic, Committed)).filter(|records| records.len() >= count)
    })
}

fn an_aborted_transaction_is_never_seen(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = transactional(names, &topic, "a");
    producer.begin_transaction(WAIT).unwrap();
    producer.send("k", "void").unwrap().wait(WAIT).unwrap();
    let waiting = producer.send("k", "void too").unwrap();
    producer.abort_transaction(WAIT).unwrap();
    assert!(waiting.is_settled(), "nobody waits for a record of an aborted transaction");
    producer.transaction(WAIT, |producer| Ok(producer.send("k", "valid")?)).unwrap();
    assert_eq!(texts(&eventually_all(kafka, &topic, 1)), ["valid"]);
}

fn work_that_fails_aborts_its_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = transactional(names, &topic, "a");
    let failed = producer.transaction(WAIT, |producer| {
        producer.send("k", "void")?;
        Err::<(), _>("out of stock".into())
    });
    let error = failed.unwrap_err();
    assert!(matches!(&error, TransactionError::Aborted { .. }) && error.is_aborted(), "{error}");
    assert!(error.to_string().contains("nothing of it took effect: out of stock"), "{error}");
    producer.transaction(WAIT, |producer| Ok(producer.send("k", "valid")?)).unwrap();
    assert_eq!(texts(&eventually_all(kafka, &topic, 1)), ["valid"]);
}

fn records_need_a_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = transactional(names, &topic, "a");
    let error = producer.send("k", "v").err().unwrap();
    assert!(matches!(&error, SendError::NoTransaction { .. }), "{error}");
    producer.begin_transaction(WAIT).unwrap();
    producer.commit_transaction(WAIT).unwrap();
    assert!(producer.send("k", "v").is_err(), "the transaction has ended");
}

fn calls_out_of_order_are_refused(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = transactional(names, &topic, "a");
    let misused = |answer: Result<(), TransactionError>, words: &str| {
        let error = answer.unwrap_err();
        assert!(
            matches!(&error, TransactionError::Misused(_)) && error.to_string().contains(words),
            "{error}"
        );
    };
    misused(producer.commit_transaction(WAIT), "commit: no transaction of");
    misused(producer.abort_transaction(WAIT), "abort: no transaction of");
    producer.begin_transaction(WAIT).unwrap();
    misused(producer.begin_transaction(WAIT), "commit or abort it first");
    producer.send("k", "v").unwrap();
    producer.commit_transaction(WAIT).unwrap();
    assert_eq!(eventually_all(kafka, &topic, 1).len(), 1);
}

fn a_producer_without_an_id_has_no_transactions(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let error = plain(names, &topic).begin_transaction(WAIT).unwrap_err().to_string();
    assert_eq!(error, format!("begin: the producer of topic `{topic}` has no `transactional.id`; set it"));
}

fn a_refused_record_aborts_its_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = names.topic("small");
    create_with(kafka, &topic, 1, &[("max.message.bytes", "2000")]);
    let producer = transactional(names, &topic, "a");
    let failed = producer.transaction(WAIT, |producer| {
        producer.send("k", "fits")?;
        producer.send("k", "x".repeat(5000))?;
        Ok(())
    });
    let error = failed.unwrap_err();
    assert!(matches!(&error, TransactionError::Aborted { .. }), "{error}");
    assert!(error.to_string().contains(&format!("a record for {topic}-0 was not written")), "{error}");
    producer.transaction(WAIT, |producer| Ok(producer.send("k", "after")?)).unwrap();
    assert_eq!(texts(&eventually_all(kafka, &topic, 1)), ["after"]);
}

fn a_newer_producer_fences_the_older(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let old = transactional(names, &topic, "a");
    old.transaction(WAIT, |old| Ok(old.send("k", "old")?)).unwrap();
    let new = transactional(names, &topic, "a");
    new.transaction(WAIT, |new| Ok(new.send("k", "new")?)).unwrap();
    for _ in 0..2 {
        let error = old.transaction(WAIT, |old| Ok(old.send("k", "zombie")?)).unwrap_err();
        assert!(matches!(&error, TransactionError::Fenced { .. }) && !error.is_aborted(), "{error}");
        assert!(error.to_string().contains("give each its own id"), "{error}");
    }
    assert_eq!(texts(&eventually_all(kafka, &topic, 2)), ["old", "new"]);
}

fn a_newer_producer_settles_what_the_older_left(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let old = transactional(names, &topic, "a");
    old.begin_transaction(WAIT).unwrap();
    old.send("k", "left").unwrap().wait(WAIT).unwrap();
    let new = transactional(names, &topic, "a");
    new.transaction(WAIT, |new| Ok(new.send("k", "new")?)).unwrap();
    assert_eq!(texts(&eventually_all(kafka, &topic, 1)), ["new"]);
}

fn two_topics_are_decided_together(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = [names.topic("x"), names.topic("y")];
    topics.iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    let texts = transactional(names, &topics[0], "a");
    let numbers = texts.for_topic(&Topic::<i32, i64>::named(topics[1].as_str()));
    texts.begin_transaction(WAIT).unwrap();
    texts.send("k", "v").unwrap();
    numbers.send(1, 2).unwrap().wait(WAIT).unwrap();
    assert!(read(kafka, &topics[1], Committed).is_empty());
    numbers.commit_transaction(WAIT).unwrap();
    topics.iter().for_each(|topic| assert_eq!(eventually_all(kafka, topic, 1).len(), 1));
}

fn both(kafka: &dyn ClientSupplier, names: &Names) -> [String; 2] {
    let topics = [names.topic("in"), names.topic("out")];
    topics.iter().for_each(|topic| create_with(kafka, topic, 1, &[]));
    fill(names, &topics[0], 10);
    topics
}

fn small_batches(names: &Names) -> ConsumerConfig {
    let isolation_level = IsolationLevel::ReadCommitted;
    ConsumerConfig { max_poll_records: 4, isolation_level, ..member_config(names) }
}

fn consumed_offsets_are_committed_with_the_results(kafka: &dyn ClientSupplier, names: &Names) {
    let [input, output] = both(kafka, names);
    let writer = transactional(names, &output, "a");
    let mut copied = 0;
    // Each transaction is by another member: the group's offsets alone say what is done.
    while copied < 10 {
        let mut reader = member(names, &input, small_batches(names));
        let batch =
            eventually("a batch", || Some(reader.poll(LOOK).unwrap()).filter(|batch| !batch.is_empty()));
        assert!(batch.len() <= 4);
        let done = writer.transaction(WAIT, |writer| {
            for record in &batch {
                writer.send(record.key.as_str(), record.value.as_str())?;
            }
            Ok(writer.send_offsets(batch.offsets(), WAIT)?)
        });
        done.unwrap();
        copied += batch.len();
        reader.close(WAIT).unwrap();
    }
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(texts(&eventually_all(kafka, &output, 10)), expected);
}

fn an_aborted_transaction_reads_its_input_again(kafka: &dyn ClientSupplier, names: &Names) {
    let [input, output] = both(kafka, names);
    let writer = transactional(names, &output, "a");
    let mut reader = member(names, &input, small_batches(names));
    let (mut copied, mut tries) = (0, 0);
    while copied < 10 {
        let batch =
            eventually("a batch", || Some(reader.poll(LOOK).unwrap()).filter(|batch| !batch.is_empty()));
        tries += 1;
        let done = writer.transaction(WAIT, |writer| {
            for record in &batch {
                writer.send(record.key.as_str(), record.value.as_str())?;
            }
            writer.send_offsets(&reader.consumed()?, WAIT)?;
            if tries % 2 == 1 { Err("every other one fails".into()) } else { Ok(()) }
        });
        match done {
            Ok(()) => copied += batch.len(),
            Err(error) if error.is_aborted() => reader.rewind().unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(texts(&eventually_all(kafka, &output, 10)), expected);
    assert_eq!(tries, 6);
}

fn offsets_of_lost_partitions_abort_the_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let [input, output] = both(kafka, names);
    let writer = transactional(names, &output, "a");
    let mut reader = member(names, &input, member_config(names));
    let stale = take_batch(&mut reader);
    reader.close(WAIT).unwrap();
    let mut other = member(names, &input, member_config(names));
    take_batch(&mut other);
    let failed = writer.transaction(WAIT, |writer| {
        writer.send("k", "of a zombie")?;
        Ok(writer.send_offsets(stale.offsets(), WAIT)?)
    });
    let error = failed.unwrap_err();
    assert!(matches!(&error, TransactionError::Aborted { .. }), "{error}");
    writer.transaction(WAIT, |writer| Ok(writer.send("k", "after")?)).unwrap();
    assert_eq!(texts(&eventually_all(kafka, &output, 1)), ["after"]);
}

#[track_caller]
fn take_batch(
    reader: &mut kstreams::clients::TopicConsumer<String, String>,
) -> kstreams::clients::Batch<String, String> {
    eventually("a batch", || Some(reader.poll(LOOK).unwrap()).filter(|batch| !batch.is_empty()))
}

fn closing_aborts_an_open_transaction(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let producer = transactional(names, &topic, "a");
    producer.begin_transaction(WAIT).unwrap();
    producer.send("k", "left").unwrap().wait(WAIT).unwrap();
    producer.close(WAIT).unwrap();
    // The next one does not have to settle anything: the stable offset has moved already.
    eventually("the abort", || {
        let spec = kstreams::client::OffsetSpec::Stable;
        (end(kafka, &topic, 0, spec) == 2).then_some(())
    });
    assert!(read(kafka, &topic, Committed).is_empty());
}
