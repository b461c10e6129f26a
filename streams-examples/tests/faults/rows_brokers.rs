//! What happens to brokers: killed, frozen, restarted one after the other, two of three gone.

use std::time::{Duration, Instant};

use crate::Site;
use crate::cluster::NODES;
use crate::feed::now;
use crate::model::Workload;
use crate::rows_instances::pause;
use crate::scene::{Outcome, Scene};

/// `kill -9` of each node in turn. Whoever is the controller, coordinates the group or its transactions, or leads a partition keeps
/// that until it is killed: so each of them is killed once at least.
pub(crate) fn killed(site: &Site) -> Outcome {
    each_node(site, "brokers-killed", Workload::Bank, |scene, node| {
        scene.site.cluster.kill(node);
        scene.outcome.kills += 1;
    })
}

/// The same for one node, the short form.
pub(crate) fn one_killed(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "broker-killed", Workload::Bank);
    scene.begin(2);
    pause(500);
    let since = now();
    site.cluster.kill(0);
    scene.outcome.kills += 1;
    scene.recover("kill -9 of a broker", since);
    site.cluster.start_again(0);
    scene.finish()
}

/// A clean stop and start of each node in turn.
pub(crate) fn rolling(site: &Site) -> Outcome {
    each_node(site, "brokers-rolling", Workload::EchoSum, |scene, node| scene.site.cluster.stop(node))
}

fn each_node(site: &Site, row: &str, workload: Workload, end: fn(&mut Scene<'_>, usize)) -> Outcome {
    let mut scene = Scene::new(site, row, workload);
    scene.begin(2);
    let begin = Instant::now();
    while begin.elapsed() < site.length && scene.outcome.violations.count() == 0 {
        for node in 0..NODES {
            pause(500);
            let since = now();
            end(&mut scene, node);
            scene.recover("a broker that ended", since);
            let since = now();
            site.cluster.start_again(node);
            scene.recover("a broker that is back", since);
            // Time to catch up: with two nodes behind nothing can be written.
            pause(5000);
        }
    }
    scene.finish()
}

/// Each node in turn holds its connections and answers nothing: past the timeouts of requests, sessions and transactions.
pub(crate) fn frozen(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "brokers-frozen", Workload::Bank);
    scene.begin(2);
    for node in 0..NODES {
        pause(500);
        let since = now();
        site.cluster.freeze(node);
        pause(20_000);
        site.cluster.thaw(node);
        scene.recover("a broker that was frozen for 20 s", since);
        pause(5000);
    }
    scene.finish()
}

/// Two of three are killed: nothing can be written, until one is back.
pub(crate) fn two_of_three(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "two-brokers-killed", Workload::Bank);
    scene.begin(2);
    pause(500);
    let since = now();
    [0, 1].into_iter().for_each(|node| {
        site.cluster.kill(node);
        scene.outcome.kills += 1;
    });
    std::thread::park_timeout(Duration::from_secs(20));
    std::thread::scope(|scope| {
        [0, 1].into_iter().for_each(|node| drop(scope.spawn(move || site.cluster.start_again(node))));
    });
    scene.recover("two of three brokers were gone for 20 s", since);
    scene.finish()
}
