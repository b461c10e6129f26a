//! The busy shares of nodes: one node works as long as the test wants, so that all looks find its thread there.

use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use streams_core::dsl::StreamsBuilder;
use streams_core::topology::Topology;

use super::application::{ORDERS, Running, SECOND, TOTALS, log, order};
use super::browser::{document, find};

/// Holds who comes up, until it is open.
#[derive(Default)]
struct Door {
    /// Somebody came; it is open.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Door {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, open)| !*open).unwrap());
    }

    fn await_somebody(&self) {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_timeout_while(state, 60 * SECOND, |(came, _)| !*came).unwrap();
        assert!(!waited.1.timed_out(), "no record came to the node");
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

/// Orders pass `quick`, and wait in `slow`.
fn topology(door: Arc<Door>) -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream(&ORDERS)
        .named("quick")
        .filter(|_, value| *value >= 0)
        .named("slow")
        .peek(move |_, _| door.pass())
        .named("last")
        .filter(|_, _| true)
        .to(&TOTALS);
    builder.build().unwrap()
}

fn node<'a>(work: &'a Value, name: &str) -> &'a Value {
    work["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap()
}

#[test]
fn the_node_at_which_a_thread_works_has_its_time() {
    let (kafka, door) = (log(), Arc::new(Door::default()));
    order(&kafka, "ada", &7_i64.to_be_bytes());
    let mut shop = Running::new(topology(door.clone()), &kafka, true);
    shop.start();
    door.await_somebody();
    // Nobody has looked before the first question; all looks after it find the thread where it is held.
    let none = shop.await_json("work", |_| true);
    assert_eq!((&none["samples"], &node(&none, "slow")["share"]), (&0.into(), &json!(0.0)));
    let work = shop.await_json("work", |work| work["samples"].as_u64() > Some(20));
    assert_eq!(
        *node(&work, "slow"),
        json!({"name": "slow", "share": 1.0, "tasks": [{"id": "0_0", "share": 1.0}]})
    );
    for other in ["KSTREAM-SOURCE-0000000000", "quick", "last", "KSTREAM-SINK-0000000004"] {
        assert_eq!(*node(&work, other), json!({"name": other, "share": 0.0, "tasks": []}));
    }
    let outside = json!({"polling": 0.0, "restoring": 0.0, "sending": 0.0, "committing": 0.0, "other": 0.0});
    assert_eq!(work["threads"], outside);
    if let Some(browser) = find() {
        let page = document(browser, &shop.url("#node=slow"), Some(("busy", "1300,1200")));
        for text in [
            "aria-label=\"processor, quick, busy 0 %\"",
            "aria-label=\"processor, slow, busy 100 %\"",
            "busy 100 %, its own work as a share of the time of all stream threads",
            "Tasks that are busy with the node",
            "Outside of nodes: polling 0 %, ",
        ] {
            assert!(page.contains(text), "`{text}` is not in\n{page}");
        }
    }

    door.open();
    let share = |share: &Value| share.as_f64().unwrap();
    let waits =
        |work: &Value| share(&work["threads"]["polling"]) > 0.0 && share(&node(work, "slow")["share"]) < 1.0;
    shop.await_json("work", waits);
    shop.streams.close(30 * SECOND).unwrap();
}
