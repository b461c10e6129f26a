//! Results of left and outer stream-stream joins, with a partner and without, and what of them a restart must not change.
//!
//! A pair comes with the later of its two records, so its place among the pairs of its key, and its headers, are given by the
//! input. A result without a partner comes with the record that finds the window of its own closed: it has the headers of that
//! record, in Kafka Streams as here (`KStreamKStreamJoin.forwardNonJoinedOuterRecords`; the store of waiting records has no
//! room for headers in 4.3.1, whatever `dsl.store.format` says: KIP-1271 leaves it for later). Which record that is
//! depends on what the operator remembers: its `TimeTracker` has the stream time and the time of a waiting record that is not
//! always the oldest, and a restart makes it forget both. So the result comes with an earlier record after a restart, as the
//! operator looks into the store at once, or with a later one, as stream time is first what the next record says. Kafka Streams
//! forgets them, too, and there it even depends on the wall clock.
//!
//! What is left to compare: pairs in their order and with their headers; results without a partner in the order of time in which
//! the store gives them; and that the headers are those of a record that closed the window. Between the two kinds there is no order.
//! A side that waits for less than records are late is different: a late record is given at once if stream time is known, and
//! waits if it was forgotten. So it has no order either.

use std::collections::BTreeMap;

use streams_state::types::Headers;

use super::{Line, Output};

/// How long records wait for a partner, ms, grace included.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    /// `None`: late records may not wait at all.
    pub(super) left_ms: Option<i64>,
    /// As `left_ms`.
    pub(super) right_ms: Option<i64>,
}

/// Which side a result without a partner is of.
enum Alone {
    Left,
    Right,
}

fn alone(output: &Output) -> Option<Alone> {
    match (output.value.ends_with("/None"), output.value.starts_with("None/")) {
        (true, _) => Some(Alone::Left),
        (false, true) => Some(Alone::Right),
        (false, false) => None,
    }
}

impl Waiting {
    /// The outputs of each key as several lists that have an order each.
    pub(super) fn apart(&self, outputs: &BTreeMap<String, Vec<Output>>) -> BTreeMap<String, Vec<Output>> {
        let mut lists: BTreeMap<String, Vec<Output>> = BTreeMap::new();
        let mut no_order = Vec::new();
        for (key, outputs) in outputs {
            for output in outputs {
                let mut output = output.clone();
                let list = match alone(&output) {
                    None => key.clone(),
                    Some(side) => {
                        output.headers = Headers::EMPTY;
                        let (waits, unordered) = match side {
                            Alone::Left => (self.left_ms, format!("{key} left alone")),
                            Alone::Right => (self.right_ms, format!("{key} right alone")),
                        };
                        match waits {
                            Some(_) => format!("{key} alone"),
                            None => {
                                no_order.push(unordered.clone());
                                unordered
                            }
                        }
                    }
                };
                lists.entry(list).or_default().push(output);
            }
        }
        for list in no_order {
            let list = lists.entry(list).or_default();
            list.sort_by(|one, other| (one.timestamp, &one.value).cmp(&(other.timestamp, &other.value)));
        }
        lists
    }

    /// Results without a partner have the headers of a record that closed their windows. Gives the number that had some.
    pub(super) fn check_headers(&self, outputs: &BTreeMap<String, Vec<Output>>, lines: &[Line]) -> usize {
        let mut checked = 0;
        for output in outputs.values().flatten() {
            let waits = match alone(output) {
                Some(Alone::Left) => self.left_ms,
                Some(Alone::Right) => self.right_ms,
                None => None,
            };
            let (Some(waits), Some(from)) = (waits, output.headers.iter().next()) else { continue };
            let number = usize::from_be_bytes(from.value.as_deref().unwrap().try_into().unwrap());
            assert!(lines[number].timestamp > output.timestamp + waits, "{output:?} by {:?}", lines[number]);
            checked += 1;
        }
        checked
    }
}
