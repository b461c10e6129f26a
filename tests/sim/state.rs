//! What is on the disks and in the changelogs in the end (I4, I5).

use std::collections::BTreeMap;

use kstreams::sim::Observed;
use streams_cli::{Verdict, find, verify};

/// Stores whose rows are not those that their changelogs give, replayed up to the offset that they claim.
pub(crate) fn differences(seen: &Observed<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    for directory in &seen.state_dirs {
        // An instance whose state was wiped at last may have none.
        for found in find(directory, None).unwrap_or_default() {
            match verify(&found, seen.engines, seen.kafka) {
                Ok(verification) => {
                    violations.extend(verification.stores.into_iter().filter_map(
                        |store| match store.verdict {
                            Verdict::Differs(difference) => Some(format!(
                                "I4: store `{}` of task {} in {}: {difference:?}",
                                store.store,
                                store.task,
                                directory.display()
                            )),
                            Verdict::Equal { .. } | Verdict::NotCompared(_) => None,
                        },
                    ))
                }
                Err(error) => violations.push(format!("I4: {} cannot be read: {error}", directory.display())),
            }
        }
    }
    violations
}

/// The changelog of a store without a cache holds the last output of each key.
pub(crate) fn changelogs_end_like_outputs(seen: &Observed<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    for (changelog, output) in [("bank-balances-changelog", "out"), ("echo-sum-agg-changelog", "out-agg")] {
        if seen.kafka.partition_count(changelog).is_none() {
            continue;
        }
        let last = |topic: &str| -> BTreeMap<Vec<u8>, Vec<u8>> {
            let records = seen.kafka.read_all(topic, true).unwrap();
            records.into_iter().map(|record| (record.key.unwrap(), record.value.unwrap())).collect()
        };
        if last(changelog) != last(output) {
            violations.push(format!("I4: {changelog} does not end like {output}"));
        }
    }
    violations
}
