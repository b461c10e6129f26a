//! What came out of a workload, compared with the model of the fault tests on real processes (I1, I2, I3, I12), and what the changelogs
//! end in (I4).

use kstreams::sim::Observed;

use crate::model::{Log, Violations, Workload, compare_rows, replay};
use crate::support::Read;

/// All that is wrong. With at least once nothing may be lost or invented; repetitions, and what follows from them, are allowed.
pub(crate) fn differences(workload: Workload, seen: &Observed<'_>) -> Vec<String> {
    let mut violations = Violations::default();
    let outputs: Vec<Log> = workload.outputs("out").iter().map(|topic| committed(seen, topic)).collect();
    let stores = workload.check(&committed(seen, "in"), &outputs, &mut violations);
    if !seen.schedule.exactly_once {
        ["duplicate", "wrong value", "order", "sum"]
            .into_iter()
            .for_each(|kind| drop(violations.0.remove(kind)));
    }
    // With at least once the numbers of `ids` depend on what was repeated.
    if seen.schedule.exactly_once || workload != Workload::Ids {
        for (store, rows) in stores {
            let changelog = format!("{}-{store}-changelog", workload.name());
            compare_rows(&changelog, &rows, &replay(&committed(seen, &changelog)), &mut violations);
        }
    }
    let told = |(kind, (count, examples)): (&str, (usize, Vec<String>))| {
        format!("{count} {kind}: {}", examples.join("; "))
    };
    violations.0.into_iter().map(told).collect()
}

/// The committed records of a topic, partition by partition; none if there is no such topic.
fn committed(seen: &Observed<'_>, topic: &str) -> Log {
    let partitions = seen.kafka.partition_count(topic).unwrap_or(0);
    let mut log = vec![Vec::new(); partitions as usize];
    for record in seen.kafka.read_all(topic, true).unwrap_or_default() {
        log[record.partition as usize].push(Read {
            slot: record.partition as u32,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
    log
}
