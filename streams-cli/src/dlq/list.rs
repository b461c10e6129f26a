//! How many dead letters of which kind: by topic, by what failed, with the times between which they lie.

use std::collections::BTreeMap;

use serde::Serialize;
use streams_core::client::ClientSupplier;
use streams_state::types::Timestamp;

use super::letters::Letters;
use super::marks::Marks;
use super::{Filter, Progress};
use crate::Error;
use crate::cluster::Cluster;

/// A dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The topic.
    pub topic: String,
    /// Letters that the filter took.
    pub letters: u64,
    /// Of these, letters that were put back.
    pub replayed: u64,
    /// By kind, most frequent first.
    pub kinds: Vec<Kind>,
}

/// Letters of one topic that failed in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// Topic of the records that failed; `None`: the letter does not say.
    pub source_topic: Option<String>,
    /// The stage, or the class of an exception; `None`: the letter does not say.
    pub exception: Option<String>,
    /// How many.
    pub letters: u64,
    /// Of these, letters that were put back.
    pub replayed: u64,
    /// Earliest timestamp, ms.
    pub first: Timestamp,
    /// Latest timestamp, ms.
    pub last: Timestamp,
    /// Most tries after the first.
    pub retries_max: u32,
    /// The message of the last one.
    pub message: Option<String>,
}

/// Counts the letters of `topic`.
///
/// # Errors
/// There is no such topic, or the cluster does not answer.
pub fn list(
    supplier: &dyn ClientSupplier,
    topic: &str,
    filter: &Filter,
    tell: &mut dyn FnMut(Progress),
) -> Result<Listing, Error> {
    let mut cluster = Cluster::connect(supplier)?;
    let letters = Letters::open(&mut cluster, topic)?;
    let marks = Marks::read(&mut cluster, &letters.topic)?;
    let (total, mut seen) = (letters.total(), 0);
    let mut kinds: BTreeMap<(Option<String>, Option<String>), Kind> = BTreeMap::new();
    letters.each(&mut cluster, |letter| {
        seen += 1;
        tell(Progress { seen, total });
        if !filter.takes(&letter) {
            return Ok(true);
        }
        let failure = letter.failure;
        let source_topic = failure.source.map(|(topic, _, _)| topic);
        let at = letter.timestamp;
        let kind =
            kinds.entry((source_topic, failure.exception)).or_insert_with_key(|(topic, exception)| Kind {
                source_topic: topic.clone(),
                exception: exception.clone(),
                letters: 0,
                replayed: 0,
                first: at,
                last: at,
                retries_max: 0,
                message: None,
            });
        kind.letters += 1;
        kind.replayed += u64::from(marks.has(letter.partition, letter.offset));
        (kind.first, kind.last) = (kind.first.min(at), kind.last.max(at));
        kind.retries_max = kind.retries_max.max(failure.retries);
        kind.message = failure.message;
        Ok(true)
    })?;
    let mut kinds: Vec<Kind> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.letters));
    let sum = |count: fn(&Kind) -> u64| kinds.iter().map(count).sum();
    let (letters, replayed) = (sum(|kind| kind.letters), sum(|kind| kind.replayed));
    Ok(Listing { topic: topic.to_owned(), letters, replayed, kinds })
}
