//! What a subscriber of `tracing` sees of a thread: names, fields and nesting of its spans.

use std::time::Duration;

use tracing::Level;
use tracing::level_filters::LevelFilter;

use super::recorder::{Ended, Recorder};
use super::world::{World, expected, in_memory, lines, word_count};
use crate::config::ProcessingGuarantee;

fn sum(spans: &[Ended], field: &str) -> u64 {
    spans.iter().map(|span| span.fields[field].parse::<u64>().unwrap()).sum()
}

/// Two partitions, so two tasks of the first sub-topology; 40 lines of several words each.
#[test]
fn a_batch_and_a_commit_are_a_span_each() {
    let (recorder, _guard) = Recorder::start(LevelFilter::DEBUG);
    let world = World::new(2);
    let input = lines(1, 40);
    input.iter().for_each(|line| world.line(line));
    let mut one = world.instance_with(word_count(), world.config("i1"), in_memory()).unwrap();
    world.run_until_drained(&mut [&mut one]);

    let runs = recorder.ended("process");
    let words: usize = input.iter().map(|line| line.split(' ').count()).sum();
    assert_eq!(sum(&runs, "processed"), (40 + words) as u64, "each record is in one run");
    assert!(runs.iter().all(|run| run.level == Level::DEBUG && run.parent.is_none()), "{runs:?}");
    assert!(runs.iter().all(|run| run.fields["application"] == "wc"), "{runs:?}");
    assert!(runs.iter().all(|run| run.fields["thread"] == "wc-StreamThread-1"), "{runs:?}");
    let mut tasks: Vec<&str> = runs.iter().map(|run| &*run.fields["task"]).collect();
    tasks.sort_unstable();
    tasks.dedup();
    assert_eq!(tasks, ["0_0", "0_1", "1_0", "1_1"]);
    assert!(runs.len() < 40, "{} runs of {} records: not a batch each", runs.len(), 40 + words);

    let commits = recorder.ended("commit");
    assert!(!commits.is_empty());
    for commit in &commits {
        assert_eq!((commit.level, commit.parent), (Level::DEBUG, None));
        assert_eq!((&*commit.fields["application"], &*commit.fields["thread"]), ("wc", "wc-StreamThread-1"));
        let steps = ["prepare_commit", "send_offsets", "commit_transaction", "post_commit", "flush_stores"];
        assert_eq!(commit.below, steps, "{commit:?}");
        assert!(commit.fields["offsets"].parse::<u64>().unwrap() > 0, "{commit:?}");
    }
    for (name, step) in [("prepare_commit", "2, 3"), ("send_offsets", "4"), ("commit_transaction", "5")] {
        let spans = recorder.ended(name);
        assert!(spans.iter().all(|span| span.fields["step"] == step && span.parent == Some("commit")));
    }
    assert!(recorder.ended("restore").is_empty());

    // Nothing to do: no spans either, however often the crank turns.
    let before = recorder.0.lock().unwrap().len();
    (0..100).for_each(|_| world.turn(&mut [&mut one]).unwrap());
    assert_eq!(recorder.0.lock().unwrap().len(), before);
    one.close();
}

#[test]
fn at_least_once_commits_in_steps_of_its_own() {
    let (recorder, _guard) = Recorder::start(LevelFilter::DEBUG);
    let world = World::new(1);
    lines(2, 10).iter().for_each(|line| world.line(line));
    let mut config = world.config("i1");
    config.processing_guarantee = ProcessingGuarantee::AtLeastOnce;
    config.commit_interval = Duration::from_millis(50);
    let mut one = world.instance_with(word_count(), config, in_memory()).unwrap();
    world.run_until_drained(&mut [&mut one]);
    let steps = ["prepare_commit", "flush_producer", "commit_offsets", "post_commit", "flush_stores"];
    let commits = recorder.ended("commit");
    assert!(!commits.is_empty());
    assert!(commits.iter().all(|commit| commit.below == steps), "{commits:?}");
}

/// One span for each store that misses something, however many batches it takes; by records, and in bulk.
#[test]
fn a_restore_is_a_span() {
    for bulk in [false, true] {
        let world = World::new(1);
        let input = lines(3, 300);
        input.iter().for_each(|line| world.line(line));
        let mut one = world.instance_with(word_count(), world.config("i1"), in_memory()).unwrap();
        world.run_until_drained(&mut [&mut one]);
        one.kill();
        let end = world.kafka.end_offsets("wc-count-store-changelog").unwrap()[0];

        let (recorder, _guard) = Recorder::start(LevelFilter::INFO);
        let mut again = world.instance_with(word_count(), world.config("i1"), in_memory()).unwrap();
        if bulk {
            again.threads.iter_mut().for_each(|thread| thread.restorer.bulk_min_records = 1);
        }
        world.run_until_drained(&mut [&mut again]);
        let restores = recorder.ended("restore");
        assert_eq!(restores.len(), 1, "{restores:?}");
        let Ended { level, parent, fields, .. } = &restores[0];
        assert_eq!((*level, *parent), (Level::INFO, None));
        for (name, value) in [
            ("application", "wc"),
            ("thread", "wc-StreamThread-1"),
            ("task", "1_0"),
            ("store", "count-store"),
            ("changelog", "wc-count-store-changelog-0"),
            ("from", "0"),
            ("to", &*end.to_string()),
        ] {
            assert_eq!(fields[name], value, "{name}");
        }
        let words: usize = input.iter().map(|line| line.split(' ').count()).sum();
        assert!((1..=words as u64).contains(&sum(&restores, "records")), "{restores:?}");
        assert_eq!(world.counts(), expected(&input));
        // Batches and commits are for DEBUG only.
        assert_eq!(recorder.0.lock().unwrap().len(), 1);
    }
}
