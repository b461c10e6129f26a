//! Checkpoints of a running application, and starts from them, in virtual time: the test turns the crank while the request goes
//! round. Whatever happens between, the counts must be those of a run without, and a start restores the tail only.
//!
//! With RocksDB, because memory has no files; of that a checkpoint says so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::world::{APP, Instance, World, expected, in_memory, lines, word_count};
use crate::client::embedded::Clock;
use crate::config::StreamsConfig;
use crate::runtime::clock::SystemClock;
use crate::runtime::{Checkpoint, StreamsError};

/// Asks, turns the crank until all threads answered, and gathers. It seems two hours old.
pub(super) fn checkpoint(
    world: &World,
    instances: &mut [&mut Instance],
    of: usize,
    place: &Path,
) -> Result<Checkpoint, StreamsError> {
    let shared = instances[of].threads[0].shared.clone();
    let draft = shared.begin_checkpoint(place)?;
    for _ in 0..200 {
        world.turn(instances).unwrap();
        let one = &instances[of];
        let members = || -> BTreeSet<Option<usize>> {
            let global = one.global.iter().map(|_| None);
            one.threads.iter().map(|thread| Some(thread.index)).chain(global).collect()
        };
        if shared.checkpoints.wait(Duration::ZERO, members).is_ok() {
            return shared.end_checkpoint(draft, Ok(()), SystemClock.now_ms() - 2 * 3_600_000);
        }
    }
    panic!("no answer in 200 turns");
}

fn from(world: &World, instance: &str, place: &Path) -> StreamsConfig {
    let mut config = world.config(instance);
    config.state_start_from = Some(place.to_owned());
    config
}

fn feed(world: &World, input: &mut Vec<String>, seed: u64, count: usize) {
    let more = lines(seed, count);
    more.iter().for_each(|line| world.line(line));
    input.extend(more);
}

/// Changelog records restored since the last call.
fn restored(world: &World) -> u64 {
    world.restores.0.lock().unwrap().drain(..).map(|(_, _, records)| records).sum()
}

fn place(world: &World, name: &str) -> PathBuf {
    world.root.path().join("checkpoints").join(name)
}

#[test]
fn an_application_in_memory_says_that_nothing_is_kept() {
    let world = World::new(2);
    let mut input = Vec::new();
    feed(&world, &mut input, 1, 10);
    let mut one = world.instance_with(word_count(), world.config("i1"), in_memory()).unwrap();
    world.run_until_drained(&mut [&mut one]);
    let taken = checkpoint(&world, &mut [&mut one], 0, &place(&world, "a")).unwrap();
    assert_eq!(taken.tasks.len(), 2, "tasks with stores");
    assert!(taken.tasks.iter().all(|task| task.files.is_empty() && !task.stores[0].kept));
    assert_eq!(Checkpoint::read(&place(&world, "a")).unwrap(), taken);
}

mod on_disk {
    use std::fs;

    use super::*;
    use crate::client::embedded::EmbeddedKafka;

    /// End of all changelogs.
    fn changelog_end(kafka: &EmbeddedKafka) -> i64 {
        let changelogs = kafka.topics().into_iter().filter(|topic| topic.ends_with("-changelog"));
        changelogs.map(|topic| kafka.end_offsets(&topic).unwrap().iter().sum::<i64>()).sum()
    }

    fn start(world: &World, config: StreamsConfig) -> Instance {
        world.instance_of(word_count(), config).unwrap()
    }

    #[test]
    fn a_start_from_a_checkpoint_restores_the_tail_only() {
        let world = World::new(4);
        let mut input = Vec::new();
        let mut config = world.config("i1");
        config.num_stream_threads = 2;
        config.statestore_cache_max_bytes = 0; // Each update is a changelog record.
        let mut one = start(&world, config);
        feed(&world, &mut input, 1, 400);
        (0..30).for_each(|_| world.turn(&mut [&mut one]).unwrap());
        feed(&world, &mut input, 2, 100);
        let at = place(&world, "while records flow");
        let taken = checkpoint(&world, &mut [&mut one], 0, &at).unwrap();
        let names: Vec<&str> = taken.tasks.iter().map(|task| &*task.task).collect();
        assert_eq!((names, &*taken.engine), (vec!["1_0", "1_1", "1_2", "1_3"], "rocksdb"));
        let reached: i64 = taken.tasks.iter().map(|task| task.stores[0].offset.unwrap_or(0)).sum();
        assert!(taken.tasks.iter().all(|task| task.bytes() > 0 && task.stores[0].kept), "{taken:?}");
        feed(&world, &mut input, 3, 50);
        world.run_until_drained(&mut [&mut one]);
        one.kill();
        world.kafka.expire_members(APP);

        assert_eq!(restored(&world), 0);
        let mut two = start(&world, from(&world, "i2", &at));
        world.run_until_drained(&mut [&mut two]);
        let (tail, all) = (restored(&world), changelog_end(&world.kafka));
        assert!(reached > 1000, "{reached} copied");
        assert!(tail > 0 && tail as i64 <= all - reached, "{tail} restored, {all} in all, {reached} copied");
        feed(&world, &mut input, 4, 50);
        world.run_until_drained(&mut [&mut two]);
        assert_eq!(world.counts(), expected(&input));
        assert!(!two.threads[0].shared.directory.staging().join("1_0").exists());
    }

    #[test]
    fn local_state_wins_and_the_checkpoint_stays_as_it_was() {
        let world = World::new(1);
        let mut input = Vec::new();
        feed(&world, &mut input, 1, 50);
        let mut one = start(&world, world.config("i1"));
        world.run_until_drained(&mut [&mut one]);
        let at = place(&world, "a");
        let taken = checkpoint(&world, &mut [&mut one], 0, &at).unwrap();
        feed(&world, &mut input, 2, 50);
        world.run_until_drained(&mut [&mut one]);
        one.close();
        restored(&world);
        // The first, and the second when it comes again, have newer state of their own.
        for (instance, restores) in [("i1", false), ("i2", true), ("i2", false)] {
            let mut next = start(&world, from(&world, instance, &at));
            world.run_until_drained(&mut [&mut next]);
            next.close();
            assert_eq!(restored(&world) > 0, restores, "{instance}");
            assert_eq!(Checkpoint::read(&at).unwrap(), taken, "what is linked is not written");
        }
        assert_eq!(world.counts(), expected(&input));
    }

    #[test]
    fn tasks_that_move_meanwhile_are_copied_where_they_are() {
        let world = World::new(4);
        let mut input = Vec::new();
        let mut one = start(&world, world.config("i1"));
        feed(&world, &mut input, 1, 200);
        (0..20).for_each(|_| world.turn(&mut [&mut one]).unwrap());
        // The second instance joins as the request goes round the first.
        let mut two = start(&world, world.config("i2"));
        feed(&world, &mut input, 2, 200);
        let mut instances = [&mut one, &mut two];
        let first = checkpoint(&world, &mut instances, 0, &place(&world, "one")).unwrap();
        let second = checkpoint(&world, &mut instances, 1, &place(&world, "two")).unwrap();
        let tasks: BTreeSet<&str> = first.tasks.iter().chain(&second.tasks).map(|task| &*task.task).collect();
        assert_eq!(tasks.into_iter().collect::<Vec<_>>(), ["1_0", "1_1", "1_2", "1_3"]);
        world.run_until_drained(&mut [&mut one, &mut two]);
        one.kill();
        two.kill();
        world.kafka.expire_members(APP);
        let mut three = start(&world, from(&world, "i3", &place(&world, "two")));
        world.run_until_drained(&mut [&mut three]);
        assert_eq!(world.counts(), expected(&input));
    }

    #[test]
    fn what_was_interrupted_is_no_checkpoint() {
        let world = World::new(2);
        let mut input = Vec::new();
        feed(&world, &mut input, 1, 50);
        let mut one = start(&world, world.config("i1"));
        world.run_until_drained(&mut [&mut one]);
        let at = place(&world, "a");
        let shared = one.threads[0].shared.clone();
        let draft = shared.begin_checkpoint(&at).unwrap();
        let again = shared.begin_checkpoint(&place(&world, "b")).unwrap_err().to_string();
        assert!(again.contains("already"), "{again}");
        (0..20).for_each(|_| world.turn(&mut [&mut one]).unwrap());
        let staged = fs::read_dir(shared.directory.staging()).unwrap().next().unwrap().unwrap().path();
        assert!(staged.join("1_0/rocksdb/CURRENT").exists(), "the threads have copied");
        // kill -9: neither the draft nor the copies are taken back.
        std::mem::forget(draft);
        drop(shared);
        one.kill();
        assert!(!at.exists());
        let left: Vec<_> =
            fs::read_dir(at.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left.len(), 1);
        for path in [&at, &left[0]] {
            let error = world.instance_of(word_count(), from(&world, "i2", path)).err().unwrap().to_string();
            assert!(error.contains("there is no checkpoint.json"), "{error}");
        }
        let mut one = start(&world, world.config("i1"));
        assert!(!staged.exists());
        world.run_until_drained(&mut [&mut one]);
        checkpoint(&world, &mut [&mut one], 0, &at).unwrap();
        assert!(!left[0].exists(), "the next attempt takes its place");
        let error = checkpoint(&world, &mut [&mut one], 0, &at).err().unwrap().to_string();
        assert!(error.contains("not an empty directory"), "{error}");
        checkpoint(&world, &mut [&mut one], 0, &place(&world, "c")).unwrap();
    }

    #[test]
    fn damaged_foreign_and_old_checkpoints_are_refused_and_touch_nothing() {
        let world = World::new(1);
        let mut input = Vec::new();
        feed(&world, &mut input, 1, 50);
        let mut one = start(&world, world.config("i1"));
        world.run_until_drained(&mut [&mut one]);
        let refused = |change: &dyn Fn(&Path), words: &str, config: &dyn Fn(&mut StreamsConfig)| {
            let at = place(&world, words);
            fs::create_dir_all(&at).unwrap();
            copy_all(&place(&world, "a"), &at);
            change(&at);
            let mut from = from(&world, "i2", &at);
            config(&mut from);
            let error = world.instance_of(word_count(), from).err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!world.root.path().join("i2").join(APP).join("1_0").exists());
        };
        let taken = checkpoint(&world, &mut [&mut one], 0, &place(&world, "a")).unwrap();
        let manifest = |at: &Path| fs::read_to_string(at.join("checkpoint.json")).unwrap();
        let replace = |at: &Path, old: &str, new: &str| {
            assert!(manifest(at).contains(old), "{old}");
            fs::write(at.join("checkpoint.json"), manifest(at).replacen(old, new, 1)).unwrap();
        };
        let offset = format!("\"offset\": {}", taken.tasks[0].stores[0].offset.unwrap());
        let sst = taken.tasks[0].files.iter().find(|file| file.path.ends_with(".sst")).unwrap();
        let file = |at: &Path| at.join("1_0").join(&sst.path);
        let same = |_: &mut StreamsConfig| {};
        refused(&|at| replace(at, &offset, "\"offset\": 1"), "its checksum is another", &same);
        refused(&|at| replace(at, "\"rocksdb\"", "rocks"), "the manifest is damaged", &same);
        refused(&|at| replace(at, "\"format\": 1", "\"format\": 2"), "has format 2", &same);
        refused(&|at| fs::remove_file(file(at)).unwrap(), "is missing", &same);
        refused(&|at| fs::write(file(at), "x").unwrap(), "has 1 bytes", &same);
        let other = |config: &mut StreamsConfig| config.application_id = "other".to_owned();
        refused(&|_| {}, "it is of application `wc`, this is `other`", &other);
        let young = |config: &mut StreamsConfig| config.state_start_from_max_age = Duration::from_secs(3600);
        refused(&|_| {}, "it was taken 2 hours ago", &young);
        let engine = world.instance_with(word_count(), from(&world, "i2", &place(&world, "a")), in_memory());
        let error = engine.err().unwrap().to_string();
        assert!(error.contains("those of this application on in-memory"), "{error}");
        one.close();
        let mut again = start(&world, from(&world, "i1", &place(&world, "is missing")));
        feed(&world, &mut input, 2, 50);
        world.run_until_drained(&mut [&mut again]);
        assert_eq!(world.counts(), expected(&input), "state of its own is enough");
    }

    fn copy_all(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir_all(&target).unwrap();
                copy_all(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), &target).unwrap();
            }
        }
    }

    /// A checkpoint is often wanted on another disk: nothing can be linked there, nor from there at the start.
    #[test]
    fn another_file_system_gets_and_gives_copies() {
        use std::os::unix::fs::MetadataExt;

        let device = |path: &Path| fs::metadata(path).unwrap().dev();
        let world = World::new(1);
        let other = tempfile::tempdir_in("/dev/shm").unwrap();
        assert_ne!(device(other.path()), device(world.root.path()), "set TMPDIR to a directory on disk");
        let mut input = Vec::new();
        feed(&world, &mut input, 1, 50);
        let mut one = start(&world, world.config("i1"));
        world.run_until_drained(&mut [&mut one]);
        let at = other.path().join("a");
        let taken = checkpoint(&world, &mut [&mut one], 0, &at).unwrap();
        assert!(!taken.tasks[0].files.is_empty(), "{taken:?}");
        feed(&world, &mut input, 2, 50);
        world.run_until_drained(&mut [&mut one]);
        one.kill();
        world.kafka.expire_members(APP);
        restored(&world);
        let mut two = start(&world, from(&world, "i2", &at));
        world.run_until_drained(&mut [&mut two]);
        let tail = restored(&world) as i64;
        assert!(tail > 0 && tail < changelog_end(&world.kafka), "{tail} restored");
        assert_eq!(world.counts(), expected(&input));
        assert_eq!(Checkpoint::read(&at).unwrap(), taken);
    }

    #[test]
    fn a_task_that_restores_is_copied_as_far_as_it_is() {
        let world = World::new(1);
        let mut input = Vec::new();
        feed(&world, &mut input, 1, 50);
        let mut config = world.config("i1");
        config.statestore_cache_max_bytes = 0; // Updates are logged at once.
        let mut one = start(&world, config);
        world.run_until_drained(&mut [&mut one]);
        feed(&world, &mut input, 2, 50);
        let changelog =
            |committed| world.kafka.read_all("wc-count-store-changelog", committed).unwrap().len();
        let open = (0..200).any(|_| {
            world.turn(&mut [&mut one]).unwrap();
            changelog(false) > changelog(true)
        });
        assert!(open, "a transaction is open in the changelog: a restore waits for its end");
        one.kill();
        world.kafka.expire_members(APP);
        let mut two = start(&world, world.config("i2"));
        let at = place(&world, "a");
        let taken = checkpoint(&world, &mut [&mut two], 0, &at).unwrap();
        assert!(!two.is_running() && taken.tasks.len() == 1, "{taken:?}");
        world.clock.advance(61_000);
        world.run_until_drained(&mut [&mut two]);
        two.kill();
        world.kafka.expire_members(APP);
        feed(&world, &mut input, 3, 50);
        let mut three = start(&world, from(&world, "i3", &at));
        world.run_until_drained(&mut [&mut three]);
        assert_eq!(world.counts(), expected(&input));
    }
}
