//! Queries of running threads, in virtual time. Can be caught: an answer that is older than what the thread has processed, or shows a
//! partition that is not here as if nothing were in it; a restoring store that pretends to be whole; a position that says more than
//! was read; a thread that a query ends. Names in brackets are those of Kafka Streams' `IQv2IntegrationTest`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{APP, Instance, STORE, World, in_memory, word_count};
use crate::config::{ProcessingGuarantee, StreamsConfig};
use crate::error::BoxError;
use crate::query::{
    FailureReason, KeyQuery, Position, PositionBound, QueriedStore, Query, QueryFailure, RangeQuery,
    StateQueryRequest, StateQueryResult, TimestampedKeyQuery, WindowKeyQuery,
};
use crate::runtime::queries::Unanswered;
use crate::topic::Store;

const REPARTITION: &str = "wc-count-store-repartition";
const HOUR: Duration = Duration::from_secs(3600);

/// Nothing is committed, so that caches hold everything back.
fn uncommitting(world: &World, instance: &str) -> StreamsConfig {
    let mut config = StreamsConfig::new(APP, ProcessingGuarantee::AtLeastOnce);
    config.state_dir = world.root.path().join(instance);
    config.commit_interval = HOUR;
    config
}

/// Asks, and lets the threads come to it without doing anything else.
fn ask<R: Send + 'static>(instance: &Instance, request: &StateQueryRequest<R>) -> StateQueryResult<R> {
    let shared = &instance.threads[0].shared;
    let query = shared.queries.post(request);
    instance.threads.iter().for_each(|thread| thread.answer_queries());
    shared.queries.withdraw(&query);
    query.results(&shared.planned().partitions_of_store(request.store_name()))
}

fn key(word: &str) -> StateQueryRequest<Option<i64>> {
    StateQueryRequest::in_store(&STORE).with_query(KeyQuery::with_key(word))
}

fn all() -> StateQueryRequest<Vec<(String, i64)>> {
    StateQueryRequest::in_store(&STORE).with_query(RangeQuery::with_no_bounds())
}

fn turns(world: &World, instances: &mut [&mut Instance], count: usize) {
    (0..count).for_each(|_| world.turn(instances).unwrap());
}

fn reasons<R>(result: &StateQueryResult<R>) -> BTreeSet<Option<FailureReason>> {
    result.partition_results.values().map(|result| result.failure_reason()).collect()
}

#[test]
fn a_query_sees_what_the_thread_has_processed_and_its_cache_holds_back() {
    let world = World::new(2);
    let mut one = world.instance_of(word_count(), uncommitting(&world, "i1")).unwrap();
    turns(&world, &mut [&mut one], 5);
    ["a b", "a", "c a"].iter().for_each(|line| world.line(line));
    turns(&world, &mut [&mut one], 5);
    assert!(world.counts().is_empty(), "nothing was forwarded yet");
    assert_eq!(ask(&one, &key("a")).found().unwrap(), Some(3));
    assert_eq!(ask(&one, &key("x")).found().unwrap(), None);
    let flushed = StateQueryRequest::in_store(&STORE).with_query(KeyQuery::with_key("a").skip_cache());
    assert_eq!(ask(&one, &flushed).found().unwrap(), None, "the cache holds it back");
    let timestamped = StateQueryRequest::in_store(&STORE).with_query(TimestampedKeyQuery::with_key("a"));
    let row = ask(&one, &timestamped).found().unwrap().unwrap();
    assert_eq!((row.value, row.timestamp), (3, 2), "the latest record of the key");
    let rows: BTreeMap<String, i64> = ask(&one, &all()).rows().unwrap().into_iter().collect();
    assert_eq!(rows, [("a", 3), ("b", 1), ("c", 1)].map(|(word, count)| (word.to_owned(), count)).into());
    one.threads[0].commit().map_err(|_| "commit").unwrap();
    assert_eq!(ask(&one, &flushed).found().unwrap(), Some(3), "committed");
}

/// The thread comes to open queries in its own turn, once for each, and not to those that were withdrawn.
#[test]
fn a_turn_answers_what_is_open() {
    let world = World::new(2);
    let mut one = world.instance("i1");
    world.line("a");
    world.run_until_drained(&mut [&mut one]);
    let queries = |one: &Instance| one.threads[0].shared.clone();
    let open = queries(&one).queries.post(&key("a"));
    let gone = queries(&one).queries.post(&key("a"));
    queries(&one).queries.withdraw(&gone);
    turns(&world, &mut [&mut one], 1);
    assert_eq!(open.results(&[0, 1]).found().unwrap(), Some(1));
    assert!(gone.results(&[]).partition_results.is_empty());
    turns(&world, &mut [&mut one], 1);
    assert!(open.results(&[]).partition_results.is_empty(), "answered once");
    queries(&one).queries.withdraw(&open);
    queries(&one).queries.withdraw(&open);
    assert_eq!(ask(&one, &key("a")).found().unwrap(), Some(1), "the next one is found");
}

/// `shouldFetchFromPartition`, `shouldFetchExplicitlyFromAllPartitions`, and Kafka Streams' names for what is not here.
#[test]
fn partitions_that_are_elsewhere_are_never_taken_for_empty_ones() {
    let world = World::new(4);
    let (mut one, mut two) = (world.instance("i1"), world.instance("i2"));
    let words: Vec<String> = (0..40).map(|number| format!("w{number}")).collect();
    words.iter().for_each(|word| world.line(word));
    world.run_until_drained(&mut [&mut one, &mut two]);
    let (mine, others) = (ask(&one, &all()), ask(&two, &all()));
    assert_eq!((mine.partition_results.len(), others.partition_results.len()), (2, 2));
    assert_eq!(mine.elsewhere, others.partition_results.keys().copied().collect::<Vec<_>>());
    assert_eq!(ask(&one, &all()).rows().unwrap_err().reason, FailureReason::NotPresent);
    let here = mine.partition_results.keys().copied().collect::<Vec<_>>();
    let rows = |instance: &Instance, partitions: &[i32]| {
        ask(instance, &all().with_partitions(partitions.iter().copied())).rows().unwrap().len()
    };
    assert_eq!(rows(&one, &here) + rows(&two, &mine.elsewhere), 40);

    // Each word is on one of the two; the other says that it does not know.
    for word in &words {
        let (found, absent): (Vec<_>, Vec<_>) = [&one, &two]
            .map(|instance| ask(instance, &key(word)).found())
            .into_iter()
            .partition(Result::is_ok);
        assert_eq!(found, [Ok(Some(1))], "{word}");
        assert_eq!(absent[0].as_ref().unwrap_err().reason, FailureReason::NotPresent);
    }
    let chosen = ask(&one, &all().with_partitions([mine.elsewhere[0], 9]));
    let failure = |partition: i32| chosen.partition_results[&partition].result.clone().unwrap_err();
    assert_eq!(failure(mine.elsewhere[0]).reason, FailureReason::NotPresent);
    assert_eq!(
        failure(9).to_string(),
        "DOES_NOT_EXIST: store `count-store` has no partition 9; it has [0, 1, 2, 3]"
    );
}

#[test]
fn positions_say_what_was_read_and_a_bound_is_held_until_it_was() {
    let world = World::new(1);
    let mut one = world.instance("i1");
    let request = |offset| {
        let written = Position::empty().with(REPARTITION, 0, offset).with("lines", 7, 99);
        key("a").with_position_bound(PositionBound::at(written))
    };
    turns(&world, &mut [&mut one], 5);
    assert!(ask(&one, &key("a")).position().is_empty(), "nothing was read");
    let early = ask(&one, &request(0)).found().unwrap_err();
    assert_eq!(
        early.to_string(),
        "NOT_UP_TO_BOUND: store `count-store` of partition 0 has seen nothing, and the bound is lines-7:99,\
         wc-count-store-repartition-0:0; ask again when it has read on"
    );
    world.line("a");
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(ask(&one, &request(0)).found().unwrap(), Some(1));
    let seen = ask(&one, &key("a")).position();
    let reached = seen.get(REPARTITION, 0).unwrap();
    // Behind the record is the marker of its transaction.
    assert_eq!(reached, world.kafka.end_offsets(REPARTITION).unwrap()[0] - 1);
    assert_eq!(ask(&one, &request(reached + 1)).found().unwrap_err().reason, FailureReason::NotUpToBound);

    // A restarted thread knows what is committed before it has read anything.
    one.close();
    let mut one = world.instance("i1");
    for _ in 0..100 {
        world.turn(&mut [&mut one]).unwrap();
        if one.is_running() {
            break;
        }
    }
    assert_eq!(ask(&one, &request(reached)).found().unwrap(), Some(1));
}

#[test]
fn a_task_that_restores_says_so_unless_stale_reads_are_allowed() {
    let world = World::new(1);
    let mut config = world.config("i1");
    config.statestore_cache_max_bytes = 0;
    let mut one = world.instance_with(word_count(), config, in_memory()).unwrap();
    (0..5000).for_each(|number| world.line(&format!("w{number}")));
    world.run_until_drained(&mut [&mut one]);
    one.close();
    let mut one = world.instance_with(word_count(), world.config("i2"), in_memory()).unwrap();
    let (mut refused, mut partial) = (0, 0);
    for _ in 0..500 {
        world.turn(&mut [&mut one]).unwrap();
        if one.is_running() {
            break;
        }
        let result = ask(&one, &all());
        let Some(restoring) = result.partition_results.get(&0) else {
            assert_eq!(result.elsewhere, [0], "not assigned yet");
            continue;
        };
        let failure = restoring.result.clone().unwrap_err();
        assert_eq!(failure.reason, FailureReason::NotActive);
        assert!(failure.message.starts_with("task 1_0 restores"), "{failure}");
        let stale = ask(&one, &all().enable_stale_stores());
        assert!(stale.position().is_empty(), "how far it is is not known");
        let rows = stale.rows().unwrap().len();
        assert!(rows <= 5000);
        refused += 1;
        partial += usize::from(rows > 0 && rows < 5000);
        let bound = PositionBound::at(Position::empty().with(REPARTITION, 0, 0));
        let bounded = ask(&one, &all().enable_stale_stores().with_position_bound(bound));
        assert_eq!(reasons(&bounded), [Some(FailureReason::NotUpToBound)].into());
    }
    assert!(refused > 0 && partial > 0, "{refused} refused, {partial} read in part");
    assert_eq!(ask(&one, &all()).rows().unwrap().len(), 5000);
}

/// Between the revocation of its partitions and the next assignment a task has its rows, and may not be the one that has them next.
#[test]
fn a_task_whose_partitions_were_revoked_says_so() {
    let world = World::new(4);
    let mut one = world.instance("i1");
    (0..40).for_each(|number| world.line(&format!("w{number}")));
    world.run_until_drained(&mut [&mut one]);
    let mut two = world.instance("i2");
    let (mut refused, mut stale) = (false, false);
    for _ in 0..1000 {
        world.turn(&mut [&mut one, &mut two]).unwrap();
        if !one.threads[0].kept.is_empty() {
            let failure = ask(&one, &all()).rows().unwrap_err();
            refused |= failure.reason == FailureReason::NotActive && failure.message.contains("were revoked");
            let rows = ask(&one, &all().enable_stale_stores()).rows();
            stale |= rows.is_ok_and(|rows| rows.len() == 40);
        }
        if one.is_running() && two.is_running() {
            break;
        }
    }
    assert!(refused && stale, "refused: {refused}, read all the same: {stale}");
}

/// `shouldFailUnknownQueryType` and its kin: wrong kind, wrong types, with both named.
#[test]
fn a_query_for_another_kind_or_other_types_is_refused_and_names_both() {
    const OTHER: Store<String, String> = Store::new("count-store");
    let world = World::new(1);
    let mut one = world.instance("i1");
    turns(&world, &mut [&mut one], 5);
    let values = ask(&one, &StateQueryRequest::in_store(&OTHER).with_query(KeyQuery::with_key("a")));
    let windows = WindowKeyQuery::with_key_and_window_start_range("a", 0, 1);
    let windows = ask(&one, &StateQueryRequest::in_store(&STORE).with_query(windows));
    for failure in [values.found().unwrap_err(), windows.rows().unwrap_err()] {
        assert_eq!(failure.reason, FailureReason::UnknownQueryType);
        assert!(
            failure.message.contains("this store is a ") && failure.message.contains("i64>"),
            "{failure}"
        );
    }
}

struct Panics;

impl Query<String, i64> for Panics {
    type Result = Vec<()>;

    fn ask(&self, _: &QueriedStore<'_>) -> Result<Vec<()>, QueryFailure> {
        panic!("on purpose")
    }
}

#[test]
fn a_query_that_panics_fails_and_the_thread_goes_on() -> Result<(), BoxError> {
    let world = World::new(1);
    let mut one = world.instance("i1");
    turns(&world, &mut [&mut one], 5);
    let failure = ask(&one, &StateQueryRequest::in_store(&STORE).with_query(Panics)).rows().unwrap_err();
    assert_eq!(failure.to_string(), "STORE_EXCEPTION: the query panicked: on purpose");
    world.line("a");
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(ask(&one, &key("a").enable_execution_info()).found()?, Some(1));
    let info = ask(&one, &key("a").enable_execution_info()).partition_results[&0].execution_info.clone();
    assert!(info[0].starts_with("answered by wc-StreamThread-1, from "), "{info:?}");
    Ok(())
}

/// Nobody waits in these: the deadline has passed, or the thread is gone.
#[test]
fn threads_that_do_not_answer_are_told_from_threads_that_are_gone() {
    let world = World::new(1);
    let one = world.instance("i1");
    let query = one.threads[0].shared.queries.post(&all().with_timeout(Duration::ZERO));
    let threads = || BTreeSet::from([0]);
    assert!(matches!(query.wait(threads(), threads), Err(Unanswered::Late(late)) if late == threads()));
    assert!(
        matches!(query.wait(threads(), BTreeSet::new), Err(Unanswered::Ended(gone)) if gone == threads())
    );
    one.threads[0].answer_queries();
    assert!(query.wait(threads(), BTreeSet::new).is_ok(), "it answered before it ended");
}
