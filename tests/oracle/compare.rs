//! What "equal" means. Comes in: a case and what we observed. Goes out: the first thing that differs, if any.
//! Never looser than Kafka Streams' result, except for what the case files call Java's internals.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::case::{Case, ExpectedError};
use crate::functions::Text;

/// Records by topic, in the form of the case files.
pub(crate) type Topics = BTreeMap<String, Vec<Value>>;

/// Where and why our run ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    /// `build`, `start` or `input`.
    pub(crate) phase: &'static str,
    /// Input item, in phase `input`.
    pub(crate) index: Option<usize>,
    pub(crate) message: String,
}

/// Everything that can be seen of our run, in the form of the case files.
#[derive(Default)]
pub(crate) struct Observed {
    pub(crate) describe: Option<String>,
    pub(crate) outputs: Topics,
    pub(crate) internal: Topics,
    pub(crate) seen: Vec<Value>,
    pub(crate) stores: BTreeMap<String, Value>,
    pub(crate) dropped: u64,
    pub(crate) error: Option<Failure>,
}

/// How much of a case has to be equal. Each level includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    /// Outputs, what peek and foreach saw, stores, dropped records, errors.
    A,
    /// The text of `describe`.
    B,
    /// Internal topics, byte by byte.
    C,
}

/// The first thing that differs.
pub(crate) struct Difference {
    pub(crate) level: Level,
    /// Topic and index, or store and row.
    pub(crate) place: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
    /// Input item during which it happened.
    pub(crate) at: Option<i64>,
}

/// Why a case counts nowhere, if so: it records a Java defect that nobody has to repeat. `refused`: our build refused the
/// topology. What counts is: a topology refused as such, and a buffer that is full.
pub(crate) fn skips(error: &ExpectedError, refused: bool) -> Option<String> {
    let kind = |class: &str| class.rsplit('.').next().unwrap_or_default().to_owned();
    match (error.phase.as_str(), kind(&error.class).as_str()) {
        ("build", "TopologyException" | "IllegalArgumentException") => {
            let skipped = !refused && names_nodes_only(&error.message);
            skipped.then(|| "build: refused for names of Java's nodes".to_owned())
        }
        ("input", _) if is_full_buffer(error) => None,
        (phase, _) => Some(format!("{phase}: {}", kind(&error.root))),
    }
}

/// Nothing else makes Kafka Streams end with a root of this class at an input item. Its "buffer exceeded" may stand in the
/// root's message, which is not recorded if the error was wrapped.
fn is_full_buffer(error: &ExpectedError) -> bool {
    error.root.ends_with(".StreamsException")
}

/// Refusals that come from how Java names its nodes (quirks 7 and 9), not from what the topology says.
fn names_nodes_only(message: &str) -> bool {
    message.contains("exactly one store but got 0")
        || message.contains("COGROUPKSTREAM-") && message.contains("is already added")
}

/// The first difference of the lowest level that has one; `None` if all is equal, be it with changelogs or without.
pub(crate) fn first_difference(case: &Case, ours: &Observed, changelogs: bool) -> Option<Difference> {
    let internal = |topics: &Topics| -> Topics {
        let counts = |name: &String| changelogs || !name.ends_with("-changelog");
        topics
            .iter()
            .filter(|(name, _)| counts(name))
            .map(|(name, all)| (name.clone(), all.clone()))
            .collect()
    };
    behaviour(case, ours)
        .or_else(|| described(case, ours))
        .or_else(|| {
            let theirs = expected_topics(case, "internal");
            topics(Level::C, &internal(&theirs), &internal(&ours.internal))
        })
        .or_else(|| stores(case, ours, Level::C))
}

fn behaviour(case: &Case, ours: &Observed) -> Option<Difference> {
    let theirs = case.error();
    errors(theirs.as_ref(), ours.error.as_ref())
        .or_else(|| topics(Level::A, &expected_topics(case, "outputs"), &ours.outputs))
        .or_else(|| {
            let theirs = case.expected.get("seen").and_then(Value::as_array).cloned().unwrap_or_default();
            records(Level::A, "seen", &theirs, &ours.seen)
        })
        .or_else(|| stores(case, ours, Level::A))
        .or_else(|| {
            let theirs = case.expected.get("dropped").and_then(Value::as_u64);
            let same = theirs.is_none_or(|theirs| theirs == ours.dropped);
            let place = || "dropped".to_owned();
            (!same).then(|| plain(Level::A, place(), &ours.dropped, &theirs.unwrap_or_default()))
        })
}

fn plain(level: Level, place: String, ours: &dyn ToString, theirs: &dyn ToString) -> Difference {
    Difference { level, place, ours: ours.to_string(), theirs: theirs.to_string(), at: None }
}

fn errors(theirs: Option<&ExpectedError>, ours: Option<&Failure>) -> Option<Difference> {
    let same = match (theirs, ours) {
        (None, None) => true,
        (Some(theirs), Some(ours)) => {
            theirs.phase == ours.phase
                && theirs.index == ours.index
                && lists_unnamed(&theirs.message, &ours.message)
                && (theirs.phase != "input" || ours.message.contains("buffer exceeded"))
        }
        (Some(_), None) | (None, Some(_)) => false,
    };
    let at = |phase: &str, index: Option<usize>| match index {
        Some(index) => format!("{phase} {index}"),
        None => phase.to_owned(),
    };
    let none = || "no error".to_owned();
    (!same).then(|| Difference {
        level: Level::A,
        place: "error".to_owned(),
        ours: ours.map_or_else(none, |e| format!("{}: {}", at(e.phase, e.index), e.message)),
        theirs: theirs.map_or_else(none, |e| format!("{}: {}", at(&e.phase, e.index), e.message)),
        at: ours.and_then(|e| e.index).or(theirs.and_then(|e| e.index)).map(|index| index as i64),
    })
}

/// Whether our message lists the resources without a name that theirs lists, kind by kind; true if theirs is about something else.
fn lists_unnamed(theirs: &str, ours: &str) -> bool {
    let theirs = theirs.trim_start_matches("Invalid topology: ");
    let kinds = [
        ("changelog topic", "changelog topics"),
        ("state store", "state stores"),
        ("repartition topic", "repartition topics"),
    ];
    kinds.iter().all(|(kind, kinds)| {
        let line = format!("Following {kind}(s) has not been named: ");
        let Some(names) = theirs.lines().find_map(|text| text.strip_prefix(line.as_str())) else {
            return true;
        };
        let ends = format!(": {names}");
        ours.lines()
            .any(|text| text.contains(&format!("these {kinds} have no name")) && text.ends_with(&ends))
    })
}

fn described(case: &Case, ours: &Observed) -> Option<Difference> {
    if case.describe == ours.describe {
        return None;
    }
    let lines = |text: &Text| -> Vec<String> {
        text.as_deref().map_or(Vec::new(), |text| text.split('\n').map(str::to_owned).collect())
    };
    let (theirs, ours) = (lines(&case.describe), lines(&ours.describe));
    let line =
        (0..theirs.len().max(ours.len())).find(|line| theirs.get(*line) != ours.get(*line)).unwrap_or(0);
    let text =
        |lines: &[String]| lines.get(line).map_or("(ends before)".to_owned(), |line| format!("{line:?}"));
    Some(plain(Level::B, format!("describe line {}", line + 1), &text(&ours), &text(&theirs)))
}

fn expected_topics(case: &Case, field: &str) -> Topics {
    let topics = case.expected.get(field).and_then(Value::as_object);
    let records = |value: &Value| value.as_array().cloned().unwrap_or_default();
    topics.into_iter().flatten().map(|(topic, value)| (topic.clone(), records(value))).collect()
}

/// The difference that happened first, over all topics.
fn topics(level: Level, theirs: &Topics, ours: &Topics) -> Option<Difference> {
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let none = Vec::new();
    let all = |topics: &'_ Topics, name: &String| topics.get(name).cloned().unwrap_or_else(|| none.clone());
    names
        .into_iter()
        .filter_map(|name| records(level, name, &all(theirs, name), &all(ours, name)))
        .min_by_key(|difference| difference.at.unwrap_or(i64::MAX))
}

fn records(level: Level, place: &str, theirs: &[Value], ours: &[Value]) -> Option<Difference> {
    let index = (0..theirs.len().max(ours.len())).find(|index| theirs.get(*index) != ours.get(*index))?;
    let text = |list: &[Value]| list.get(index).map_or("nothing".to_owned(), Value::to_string);
    // A record carries `at`; an entry of `seen` ends with it.
    let at = |list: &[Value]| {
        let entry = list.get(index)?;
        entry.get("at").or_else(|| entry.get(3)).and_then(Value::as_i64)
    };
    Some(Difference {
        level,
        place: format!("{place}[{index}]"),
        ours: text(ours),
        theirs: text(theirs),
        at: at(theirs).into_iter().chain(at(ours)).min(),
    })
}

fn stores(case: &Case, ours: &Observed, level: Level) -> Option<Difference> {
    let theirs = case.expected.get("stores").and_then(Value::as_object)?;
    let names: BTreeSet<&String> = theirs.keys().chain(ours.stores.keys()).collect();
    names.into_iter().find_map(|name| match (theirs.get(name), ours.stores.get(name)) {
        (Some(theirs), Some(ours)) => store(name, theirs, ours, level),
        (theirs, ours) => {
            let text = |store: Option<&Value>| store.map_or("no such store".to_owned(), Value::to_string);
            Some(plain(level, format!("store {name}"), &text(ours), &text(theirs)))
        }
    })
}

fn store(name: &str, theirs: &Value, ours: &Value, level: Level) -> Option<Difference> {
    if theirs.get("unreadable").is_some() {
        return None;
    }
    let fields: &[&str] = if theirs["type"] == "buffer" { &["type", "records"] } else { &["type"] };
    for field in fields {
        if theirs[*field] != ours[*field] {
            let place = format!("store {name}, {field}");
            return Some(plain(level, place, &ours[*field], &theirs[*field]));
        }
    }
    let rows = |store: &Value| -> Vec<Value> {
        let rows = store["rows"].as_array().cloned().unwrap_or_default();
        let strip = level < Level::C;
        rows.into_iter().map(|row| if strip { without_internals(name, row) } else { row }).collect()
    };
    let found = records(level, &format!("store {name} row "), &rows(theirs), &rows(ours));
    found.map(|difference| Difference { at: None, ..difference })
}

/// A row without the fields that come from Java's store wrappers: they count at level C only.
fn without_internals(store: &str, mut row: Value) -> Value {
    let of_a_join = ["KSTREAM-JOINTHIS-", "KSTREAM-JOINOTHER-", "KSTREAM-OUTERTHIS-", "KSTREAM-OUTEROTHER-"]
        .iter()
        .any(|prefix| store.starts_with(prefix))
        || store.ends_with("-this-join-store")
        || store.ends_with("-other-join-store");
    if let Some(fields) = row.as_object_mut()
        && (of_a_join && fields.contains_key("start") || fields.contains_key("primaryKey"))
    {
        for field in ["timestamp", "headers", "version", "primaryPartition"] {
            fields.remove(field);
        }
    }
    row
}
