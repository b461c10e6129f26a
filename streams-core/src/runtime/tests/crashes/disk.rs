//! One fault of a disk at a time, and what the thread says and does about it.

use super::kept::Failure;
use super::{Case, Random, Results, Stage, flush, input, uninterrupted};
use crate::runtime::StreamsError;
use crate::runtime::tests::world::Instance;

fn case() -> Case {
    Case { records: 120, ..Case::new(super::aggregates::hopping_topology) }
}

/// Half of the input is counted and on disk; then a call of the engine fails.
fn half(stage: &Stage, failure: Failure) -> Instance {
    let lines = input(&case(), 1);
    let mut one = stage.start("i1", 1);
    lines[..60].iter().for_each(|line| stage.produce(line));
    stage.world.run_until_drained(&mut [&mut one]);
    one.threads.iter_mut().for_each(flush);
    lines[60..].iter().for_each(|line| stage.produce(line));
    stage.kept.fail_after(0, failure);
    one
}

fn error_of(stage: &Stage, one: &mut Instance) -> StreamsError {
    let failed = (0..300).find_map(|_| {
        let turned = stage.world.turn(&mut [&mut *one]);
        turned.and_then(|()| super::turn(stage, std::slice::from_mut(one), &mut Random::new(1))).err()
    });
    failed.expect("it went on")
}

fn equal(stage: &Stage, expected: &Results) {
    assert_eq!(stage.results().changelogs, expected.changelogs);
    assert_eq!(stage.results().outputs, expected.outputs);
}

#[test]
fn damaged_state_is_restored_once_and_the_thread_goes_on() {
    let expected = uninterrupted(&case(), &input(&case(), 1));
    let stage = Stage::new(&case(), false);
    let mut one = half(&stage, Failure::Damaged);
    stage.world.restores.0.lock().unwrap().clear();
    one.threads.iter_mut().for_each(|thread| {
        if let Err(trouble) = super::try_flush(thread) {
            thread.recover(trouble).unwrap();
        }
    });
    stage.world.run_until_drained(&mut [&mut one]);
    equal(&stage, &expected);
    let restores = stage.world.restores.0.lock().unwrap();
    let whole = restores.iter().filter(|(_, from, records)| *from == 0 && *records > 0).count();
    assert!(whole > 0, "{restores:?}");
}

#[test]
fn state_that_is_damaged_again_at_once_stops_the_thread() {
    let stage = Stage::new(&case(), false);
    let mut one = half(&stage, Failure::Damaged);
    let mut random = Random::new(3);
    for _ in 0..200 {
        stage.kept.fail_after(0, Failure::Damaged);
        if let Err(error) = super::turn(&stage, std::slice::from_mut(&mut one), &mut random) {
            let text = error.to_string();
            let says = text.contains("damaged again") && text.contains("task ") && text.contains("i1/wc/");
            assert!(says && text.contains("delete the directory of the task"), "{text}");
            return;
        }
    }
    panic!("it went on");
}

#[test]
fn a_disk_that_refuses_stops_the_thread_and_the_state_stays() {
    let expected = uninterrupted(&case(), &input(&case(), 1));
    let stage = Stage::new(&case(), false);
    let mut one = half(&stage, Failure::Refused);
    let error = error_of(&stage, &mut one);
    assert!(error.to_string().contains("as it was told"), "{error}");
    one.kill();
    stage.world.restores.0.lock().unwrap().clear();
    let mut one = stage.start("i1", 1);
    stage.world.run_until_drained(&mut [&mut one]);
    equal(&stage, &expected);
    let restores = stage.world.restores.0.lock().unwrap();
    assert!(restores.iter().any(|(_, from, _)| *from > 0), "only the tail: {restores:?}");
}
