//! What is on the disks in the end (I4, I5).

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
