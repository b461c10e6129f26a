//! What happens to instances: killed, frozen, started twice, replaced, slow.

use std::time::{Duration, Instant};

use crate::Site;
use crate::feed::now;
use crate::model::{Random, Workload};
use crate::process::signal;
use crate::scene::{Outcome, PARTITIONS, SESSION, Scene, TRANSACTION};
use crate::support::Writer;

/// Three times `kill -9` of one of two instances, which starts again at once.
pub(crate) fn killed(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "killed", Workload::Bank);
    scene.begin(2);
    for round in 0..3 {
        pause(500);
        scene.kill(round % 2);
        scene.start_again_and_wait(round % 2);
    }
    scene.finish()
}

/// The same at least once: nothing is lost. What came out twice is counted; that there may be some is what exactly once prevents.
pub(crate) fn killed_at_least_once(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "killed-alos", Workload::EchoSum);
    scene.set("GUARANTEE", "at_least_once");
    // Long enough that a kill finds records which came out and are not committed.
    scene.set("COMMIT_MS", "2000");
    scene.begin(2);
    for round in 0..3 {
        pause(1000);
        scene.kill(round % 2);
        scene.start_again_and_wait(round % 2);
    }
    let mut outcome = scene.finish();
    if outcome.duplicates == 0 {
        outcome
            .violations
            .add("blind", "no duplicate was seen after three kills: could the comparison see one?");
    }
    outcome.notes.push(format!("{} duplicates seen", outcome.duplicates));
    outcome
}

/// A frozen instance is replaced, and comes back as a zombie with an open transaction.
pub(crate) fn frozen(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "frozen", Workload::EchoSum);
    scene.begin(2);
    let longest = SESSION.max(TRANSACTION);
    let (frozen, since) = (scene.instances[0].pid(), now());
    signal(frozen, "STOP");
    scene.recover("SIGSTOP, on the other instance", since);
    let rest = (longest * 3 / 2).as_millis() as i64 - (now() - since);
    pause(rest.max(0) as u64);
    let since = now();
    signal(frozen, "CONT");
    scene.recover("SIGCONT", since);
    pause(2000);
    if !scene.instances[0].lives() {
        scene
            .outcome
            .violations
            .add("end", format!("the thawed instance ended: {}", scene.instances[0].said()));
    }
    scene.finish()
}

/// A second process on the state directory of a living one refuses at once; the first one does not notice.
pub(crate) fn same_directory(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "same-directory", Workload::Ids);
    scene.begin(1);
    let directory = scene.instances[0].state_dir.clone();
    let begin = Instant::now();
    let second = scene.start_on("i2", &directory, None);
    let status = scene.instances[second].ended_within(Duration::from_secs(5));
    let said = scene.instances[second].said();
    match status {
        Some(status) if !status.success() && said.contains(&*directory.to_string_lossy()) => {
            scene.outcome.notes.push(format!("refused after {:.2} s", begin.elapsed().as_secs_f64()));
        }
        status => {
            let text = format!("the second process: {status:?}, it said {said}");
            scene.outcome.violations.add("same directory", text);
        }
    }
    let since = now();
    scene.recover("a second process", since);
    scene.finish()
}

/// A processor that takes longer than the time between two polls may: another instance takes over, and what the slow one then has to
/// commit is refused.
pub(crate) fn slow(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "slow", Workload::EchoSum);
    scene.set("EXTRA", "main.consumer.max.poll.interval.ms=6000");
    scene.set("STALL", "slow=10000");
    scene.start("i1");
    scene.environment.remove("STALL");
    scene.start("i2");
    scene.feed();
    let since = now();
    scene.recover("the first start", since);
    let mut writer = Writer::plain(&scene.kafka);
    // Each of two instances has one of them.
    let ends = [0, PARTITIONS - 1];
    ends.into_iter()
        .for_each(|partition| writer.send(&scene.input(), partition, &format!("slow{partition}"), "1,1"));
    writer.flush();
    let since = now();
    pause(500);
    scene.recover("a slow processor", since);
    if scene.outcome.recoveries.last().is_some_and(|seconds| *seconds < 3.0) {
        scene.outcome.violations.add("blind", "nobody was slow");
    }
    pause(20_000);
    let since = now();
    scene.recover("the end of its work", since);
    if !scene.instances[0].lives() {
        scene
            .outcome
            .violations
            .add("end", format!("the slow instance ended: {}", scene.instances[0].said()));
    }
    scene.finish()
}

/// Every one to three seconds an instance comes or goes, cleanly or killed; at the end all are there.
pub(crate) fn storm(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "storm", Workload::Bank);
    scene.begin(4);
    let (mut random, begin) = (Random(site.seed), Instant::now());
    while begin.elapsed() < site.length {
        pause(1000 + random.below(2000));
        let at = random.below(4) as usize;
        if !scene.instances[at].lives() {
            scene.start_again(at);
        } else if random.below(2) == 0 {
            scene.kill(at);
        } else {
            signal(scene.instances[at].pid(), "TERM");
        }
    }
    let since = now();
    for at in 0..4 {
        // One that was told to end may still be about it.
        if scene.instances[at].ended_within(Duration::from_secs(10)).is_some() {
            scene.start_again(at);
        }
    }
    scene.recover("a storm", since);
    scene.finish()
}

/// Files may not grow any more (`ulimit -f`): the instance stops and names the store and what to do; when there is room it goes on.
pub(crate) fn disk_full(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "disk-full", Workload::EchoSum);
    scene.set("ON_ERROR", "shutdown");
    let directory = scene.directory("i1");
    // In blocks of 512 bytes or 1 KiB, as the shell likes: RocksDB's own small files fit.
    scene.start_on("i1", &directory, Some(128));
    scene.feed();
    scene.must_stop(0, 3, &["store `agg`", &directory.to_string_lossy(), "make room"]);
    let since = now();
    scene.start_again(0);
    scene.recover("a full disk", since);
    scene.finish()
}

/// More state than memory: each instance stays below its budget and 64 MiB.
pub(crate) fn memory(site: &Site) -> Outcome {
    const BUDGET: u64 = 64 << 20;
    let mut scene = Scene::new(site, "memory", Workload::EchoSum);
    scene.set("EXTRA", &format!("memory.max.bytes={BUDGET}"));
    (scene.keys, scene.rate) = (1_000_000, 20_000);
    scene.begin(1);
    let begin = Instant::now();
    while begin.elapsed() < site.length.min(Duration::from_secs(60)) {
        pause(1000);
    }
    scene.stop_feed();
    scene.drain();
    let peak = scene.instances[0].peak_memory();
    scene.outcome.notes.push(format!("peak {} MiB of {} + 64", peak >> 20, BUDGET >> 20));
    if peak > BUDGET + (64 << 20) {
        scene.outcome.violations.add("memory", format!("{peak} bytes"));
    }
    scene.finish()
}

/// Lets the application run.
pub(crate) fn pause(milliseconds: u64) {
    std::thread::park_timeout(Duration::from_millis(milliseconds));
}

/// Random kills, also while stores are restored, of one instance or of all; freezes; clean restarts; lost directories.
pub(crate) fn random(site: &Site, workload: Workload) -> Outcome {
    let mut scene = Scene::new(site, &format!("random-{}", workload.name()), workload);
    scene.begin(3);
    let (mut random, begin) = (Random(site.seed), Instant::now());
    while begin.elapsed() < site.length && scene.outcome.violations.count() == 0 {
        pause(random.below(2000));
        let at = random.below(3) as usize;
        match random.below(10) {
            0..=4 => {
                scene.kill(at);
                pause(random.below(1000));
                scene.start_again_and_wait(at);
            }
            5 => {
                // The second kill hits the start: its restore, its first transaction.
                scene.kill(at);
                scene.start_again(at);
                pause(random.below(600));
                scene.kill(at);
                scene.start_again_and_wait(at);
            }
            6 => {
                (0..3).for_each(|each| scene.kill(each));
                (0..2).for_each(|each| scene.start_again(each));
                scene.start_again_and_wait(2);
            }
            7 => {
                scene.kill(at);
                std::fs::remove_dir_all(&scene.instances[at].state_dir).unwrap();
                let since = now();
                scene.start_again(at);
                scene.recover("the loss of a directory", since);
            }
            8 => {
                let pid = scene.instances[at].pid();
                signal(pid, "STOP");
                pause(TRANSACTION.as_millis() as u64 * 3 / 2);
                let since = now();
                signal(pid, "CONT");
                scene.recover("SIGCONT", since);
            }
            _ => restart_cleanly(&mut scene, at),
        }
    }
    scene.finish()
}

/// SIGTERM and a new start of one instance after the other.
pub(crate) fn rolling(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "rolling", Workload::Bank);
    scene.begin(3);
    for round in 0..6 {
        restart_cleanly(&mut scene, round % 3);
    }
    scene.finish()
}

fn restart_cleanly(scene: &mut Scene<'_>, at: usize) {
    let since = now();
    signal(scene.instances[at].pid(), "TERM");
    let status = scene.instances[at].ended_within(Duration::from_secs(10));
    if !status.is_some_and(|status| status.success()) {
        scene
            .outcome
            .violations
            .add("end", format!("after SIGTERM: {status:?}, {}", scene.instances[at].said()));
        scene.kill(at);
    }
    scene.start_again(at);
    scene.recover("a clean restart", since);
}
