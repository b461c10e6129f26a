//! What a new version of a topology means for the state and the records that the old one left behind.
//!
//! In: two snapshots. Out: a list of changes, the ones that lose something first, each with what to do.

use std::collections::BTreeSet;
use std::fmt;

use super::snapshot::{StoreSnapshot, TopologySnapshot};

/// How much a change matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Rows or records that exist will not be read any more.
    Loss,
    /// What exists cannot be used as it is: the application must be reset, or stops at start.
    Break,
    /// State is restored from its changelog once, or starts empty as it is new.
    Restore,
    /// Nothing that exists is touched.
    Harmless,
}

/// One change between two versions of a topology.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanChange {
    /// How much it matters.
    pub severity: Severity,
    /// The store or topic.
    pub subject: String,
    /// What happens, and what to do.
    pub message: String,
}

/// All changes between two versions of a topology; prints one line for each.
///
/// ```
/// # use streams_core::{dsl::StreamsBuilder, topic::Topic, topology::Severity};
/// const WORDS: Topic<String, String> = Topic::new("words");
/// let old = StreamsBuilder::new();
/// old.stream(&WORDS).group_by_key().count();
/// let new = StreamsBuilder::new();
/// new.stream(&WORDS).filter(|_, word| word != "a").group_by_key().count();
///
/// // The count has no name of its own: the filter above moves it.
/// let diff = old.build()?.snapshot().diff(&new.build()?.snapshot());
/// assert!(diff.loses_state());
/// assert_eq!(diff.changes[0].severity, Severity::Loss);
/// assert!(diff.to_string().contains("KSTREAM-AGGREGATE-STATE-STORE-0000000001"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanDiff {
    /// The changes, those that matter most first.
    pub changes: Vec<PlanChange>,
}

impl PlanDiff {
    /// Whether rows or records that exist would not be read any more.
    pub fn loses_state(&self) -> bool {
        self.changes.iter().any(|change| change.severity == Severity::Loss)
    }

    /// Whether the new version can start where the old one stopped, with everything that it left.
    pub fn is_compatible(&self) -> bool {
        self.changes.iter().all(|change| change.severity > Severity::Break)
    }

    fn add(&mut self, severity: Severity, subject: &str, message: String) {
        self.changes.push(PlanChange { severity, subject: subject.to_owned(), message });
    }
}

impl fmt::Display for PlanDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return writeln!(f, "no change: all state and topics stay as they are");
        }
        self.changes.iter().try_for_each(|change| {
            let word = match change.severity {
                Severity::Loss => "LOSS",
                Severity::Break => "BREAK",
                Severity::Restore => "RESTORE",
                Severity::Harmless => "ok",
            };
            writeln!(f, "{word:<8} {}: {}", change.subject, change.message)
        })
    }
}

impl TopologySnapshot {
    /// What happens to state and topics if the application goes on with `newer`.
    pub fn diff(&self, newer: &TopologySnapshot) -> PlanDiff {
        let mut diff = PlanDiff { changes: Vec::new() };
        self.diff_stores(newer, &mut diff);
        self.diff_repartition_topics(newer, &mut diff);
        self.diff_sources(newer, &mut diff);
        diff.changes.sort_by(|one, two| (one.severity, &one.subject).cmp(&(two.severity, &two.subject)));
        diff
    }

    fn diff_stores(&self, newer: &TopologySnapshot, diff: &mut PlanDiff) {
        for (name, old) in &self.stores {
            match newer.stores.get(name) {
                Some(new) => {
                    diff_store(name, old, new, diff);
                    let (from, to) = (self.part_of(name), newer.part_of(name));
                    if from != to {
                        let message = format!(
                            "moves from sub-topology {} to {}: its tasks have other ids and restore it once",
                            or_none(from),
                            or_none(to)
                        );
                        diff.add(Severity::Restore, name, message);
                    }
                }
                None => diff.add(Severity::Loss, name, self.lost(name, old, newer)),
            }
        }
        for name in newer.stores.keys().filter(|name| !self.stores.contains_key(*name)) {
            let message = "is new and starts empty: it sees only records from now on".to_owned();
            diff.add(Severity::Restore, name, message);
        }
    }

    /// Says what is lost with a store, and what it may be called now.
    fn lost(&self, name: &str, old: &StoreSnapshot, newer: &TopologySnapshot) -> String {
        let left = match &old.changelog {
            Some(changelog) => format!("its rows stay behind in topic `<application.id>-{changelog}`"),
            None => "it had no changelog, its rows are gone".to_owned(),
        };
        let same_shape = newer.stores.iter().filter(|(other, new)| {
            !self.stores.contains_key(*other) && new.kind == old.kind && new.global == old.global
        });
        let others: Vec<String> = same_shape.map(|(other, _)| format!("`{other}`")).collect();
        match others.is_empty() {
            true => format!("is not in the new version: {left}"),
            false => format!(
                "is not in the new version: {left}; if {} is the same store under a new name, name it in both \
                 versions (Materialized, `{name}`) to keep the rows",
                others.join(" or ")
            ),
        }
    }

    fn diff_repartition_topics(&self, newer: &TopologySnapshot, diff: &mut PlanDiff) {
        for (topic, old) in &self.repartition_topics {
            match newer.repartition_topics.get(topic) {
                None => {
                    let message = "repartition topic is not read any more: let the old version drain it before it \
                                   stops, or records in it are not processed";
                    diff.add(Severity::Loss, topic, message.to_owned());
                }
                Some(new) if new != old => {
                    let count = |partitions: &Option<i32>| match partitions {
                        Some(partitions) => partitions.to_string(),
                        None => "as many as its input".to_owned(),
                    };
                    let message = format!(
                        "repartition topic had {} partitions and wants {}: reset the application, or keep the number",
                        count(old),
                        count(new)
                    );
                    diff.add(Severity::Break, topic, message);
                }
                Some(_) => {}
            }
        }
        let known = |topic: &&String| self.repartition_topics.contains_key(*topic);
        for topic in newer.repartition_topics.keys().filter(|topic| !known(topic)) {
            diff.add(Severity::Harmless, topic, "repartition topic is new".to_owned());
        }
    }

    fn diff_sources(&self, newer: &TopologySnapshot, diff: &mut PlanDiff) {
        let (old, new) = (self.source_topics(), newer.source_topics());
        for topic in old.difference(&new) {
            let message = "input topic is not read any more".to_owned();
            diff.add(Severity::Harmless, topic, message);
        }
        for topic in new.difference(&old) {
            let message = "input topic is new: it is read from where its reset policy says".to_owned();
            diff.add(Severity::Harmless, topic, message);
        }
    }

    /// Topics that the application reads and does not make itself.
    fn source_topics(&self) -> BTreeSet<&String> {
        let topics = self.subtopologies.iter().flat_map(|part| &part.source_topics);
        topics.filter(|topic| !self.repartition_topics.contains_key(*topic)).collect()
    }

    fn part_of(&self, store: &str) -> Option<u32> {
        let holds = |names: &[String]| names.iter().any(|name| name == store);
        self.subtopologies.iter().find(|part| holds(&part.stores)).map(|part| part.id)
    }
}

fn or_none(id: Option<u32>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| id.to_string())
}

/// A store that both versions have.
fn diff_store(name: &str, old: &StoreSnapshot, new: &StoreSnapshot, diff: &mut PlanDiff) {
    if old.kind != new.kind || old.global != new.global {
        let word = |store: &StoreSnapshot| if store.global { "global " } else { "" };
        let message = format!(
            "was a {}{} store and is a {}{} one: give it another name, or reset the application",
            word(old),
            old.kind,
            word(new),
            new.kind
        );
        return diff.add(Severity::Break, name, message);
    }
    match (&old.changelog, &new.changelog) {
        (Some(changelog), None) => {
            let message = format!(
                "has no changelog any more: rows that are only in topic `{changelog}` are not restored on a new machine"
            );
            diff.add(Severity::Loss, name, message);
        }
        (None, Some(_)) => {
            let message = "gets a changelog: rows from before are in it only once they change".to_owned();
            diff.add(Severity::Restore, name, message);
        }
        (Some(from), Some(to)) if from != to => {
            let message = format!("is backed by topic `{to}` instead of `{from}`: it is restored from there");
            diff.add(Severity::Restore, name, message);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let (Some(from), Some(to)) = (old.retention_ms, new.retention_ms)
        && to < from
    {
        let message = format!("keeps {to} ms instead of {from} ms: what is older goes at the start");
        diff.add(Severity::Loss, name, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{StoreKind, testing::Sketch};

    fn snapshot(store: &str, change: impl FnOnce(&mut crate::topology::StoreSpec)) -> TopologySnapshot {
        let sketch = Sketch::new().source("a", &["in"]).processor("p", &["a"]).store(store, &["p"]);
        sketch.with_store(change).topology().snapshot()
    }

    #[test]
    fn the_same_topology_has_no_changes() {
        let old = snapshot("s", |_| {});
        let diff = old.diff(&old);
        assert!(diff.is_compatible() && diff.changes.is_empty());
        assert!(diff.to_string().starts_with("no change"));
    }

    #[test]
    fn a_renamed_store_is_a_loss_and_the_new_name_is_guessed() {
        let diff = snapshot("old-name", |_| {}).diff(&snapshot("new-name", |_| {}));
        assert!(diff.loses_state() && !diff.is_compatible());
        let text = diff.to_string();
        assert!(
            text.contains("LOSS     old-name") && text.contains("`new-name` is the same store"),
            "{text}"
        );
        assert!(text.contains("RESTORE  new-name: is new and starts empty"), "{text}");
    }

    #[test]
    fn a_store_of_another_shape_breaks() {
        let diff = snapshot("s", |_| {})
            .diff(&snapshot("s", |store| store.kind = StoreKind::Session { retention: 9 }));
        assert!(!diff.is_compatible() && !diff.loses_state());
        assert!(diff.to_string().contains("was a key-value store and is a session one"), "{diff}");
    }

    #[test]
    fn a_changelog_that_is_switched_off_is_a_loss() {
        let diff = snapshot("s", |_| {}).diff(&snapshot("s", |store| store.logging = false));
        assert!(diff.loses_state());
        let diff = snapshot("s", |store| store.logging = false).diff(&snapshot("s", |_| {}));
        assert!(diff.is_compatible());
    }

    #[test]
    fn a_shorter_retention_is_a_loss() {
        let with = |retention| {
            move |store: &mut crate::topology::StoreSpec| store.kind = StoreKind::Session { retention }
        };
        assert!(snapshot("s", with(10)).diff(&snapshot("s", with(9))).loses_state());
        assert!(snapshot("s", with(9)).diff(&snapshot("s", with(10))).is_compatible());
    }
}
