//! Damaged state on a real disk: files of a task's RocksDB are flipped, cut off and deleted, between two runs and under a
//! running instance. The task is rebuilt from its changelog, and the counts are those of a run without damage.

use std::fs;
use std::path::{Path, PathBuf};

use super::crashes::{Random, flush};
use super::world::{Instance, World, dir, expected, lines};

/// Files of all tasks' databases whose names end like this.
fn files(world: &World, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for task in fs::read_dir(dir(world, "i1").join("wc")).unwrap().flatten() {
        let Ok(database) = fs::read_dir(task.path().join("rocksdb")) else { continue };
        let paths = database.flatten().map(|entry| entry.path());
        found.extend(paths.filter(|path| path.to_str().unwrap().ends_with(suffix)));
    }
    assert!(!found.is_empty(), "no {suffix}");
    found
}

fn flip(path: &Path, random: &mut Random) {
    let mut bytes = fs::read(path).unwrap();
    for _ in 0..8 {
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
    }
    fs::write(path, bytes).unwrap();
}

fn run(world: &World, instance: &mut Instance, lines: &[String]) {
    lines.iter().for_each(|line| world.line(line));
    world.run_until_drained(&mut [&mut *instance]);
    instance.threads.iter_mut().for_each(flush);
}

#[test]
fn a_damaged_task_is_rebuilt_when_it_is_opened() {
    let damages: [(&str, fn(&Path)); 5] = [
        (".sst", |path| flip(path, &mut Random::new(3))),
        (".sst", |path| fs::remove_file(path).unwrap()),
        (".sst", |path| fs::write(path, "short").unwrap()),
        ("CURRENT", |path| fs::remove_file(path).unwrap()),
        ("CURRENT", |path| fs::write(path, "MANIFEST-999999\n").unwrap()),
    ];
    let all = lines(7, 200);
    for (number, (suffix, damage)) in damages.into_iter().enumerate() {
        let world = World::new(2);
        let mut one = world.instance("i1");
        run(&world, &mut one, &all[..150]);
        one.close();
        files(&world, suffix).iter().for_each(|path| damage(path));
        let mut one = world.instance("i1");
        run(&world, &mut one, &all[150..]);
        assert_eq!(world.counts(), expected(&all), "damage {number}");
        let restored: u64 = world.restores.0.lock().unwrap().iter().map(|(_, _, records)| records).sum();
        assert!(restored > 0, "damage {number}: nothing was restored");
    }
}

#[test]
fn damage_under_a_running_instance_takes_nothing_away() {
    let all = lines(9, 400);
    let world = World::new(2);
    let mut config = world.config("i1");
    // Rows are read from the engine, again and again.
    config.memory_max_bytes = 1;
    config.statestore_cache_max_bytes = 0;
    let mut one = world.instance_of(super::world::word_count(), config).unwrap();
    let mut random = Random::new(5);
    run(&world, &mut one, &all[..100]);
    let before = world.restores.0.lock().unwrap().len();
    for part in all[100..].chunks(100) {
        files(&world, ".sst").iter().for_each(|path| flip_in_place(path, &mut random));
        run(&world, &mut one, part);
        world.clock.advance(700_000);
    }
    assert_eq!(world.counts(), expected(&all));
    assert!(world.restores.0.lock().unwrap().len() > before, "no damage was found");
}

/// The file stays the same one, as the instance has it open.
fn flip_in_place(path: &Path, random: &mut Random) {
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    for _ in 0..8 {
        let (at, mut byte) = (random.below(length), [0]);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << random.below(8)], at).unwrap();
    }
}
