//! Counts and prints. One line a level, then the first difference of each failing case, then what is unsupported.

use std::collections::BTreeMap;

use crate::compare::{Difference, Level};

/// What became of a case.
pub(crate) enum Outcome {
    /// Equal at all levels.
    Equal,
    /// Equal below the level of this difference.
    Differs(Difference),
    /// Uses operators that the DSL does not have: counts as failed.
    Unsupported(Vec<String>),
    /// Records a Java defect, of this kind: counts nowhere.
    Skipped(String),
}

/// A case and what became of it.
pub(crate) struct Verdict {
    pub(crate) id: String,
    pub(crate) level: u32,
    pub(crate) outcome: Outcome,
}

#[derive(Default)]
struct Tally {
    total: usize,
    equal: [usize; 3],
    unsupported: usize,
    skipped: usize,
}

/// Prints the report, with at most `limit` differences. Returns whether all supported cases are equal.
pub(crate) fn print(verdicts: &[Verdict], limit: usize) -> bool {
    let mut tallies: BTreeMap<u32, Tally> = BTreeMap::new();
    let mut unsupported: BTreeMap<&str, usize> = BTreeMap::new();
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    for verdict in verdicts {
        let tally = tallies.entry(verdict.level).or_default();
        count(tally, &verdict.outcome);
        match &verdict.outcome {
            Outcome::Unsupported(operators) => {
                operators.iter().for_each(|operator| *unsupported.entry(operator).or_default() += 1);
            }
            Outcome::Skipped(why) => *skipped.entry(why).or_default() += 1,
            Outcome::Equal | Outcome::Differs(_) => {}
        }
    }
    for (level, tally) in &tallies {
        let [a, b, c] = tally.equal.map(|equal| format!("{equal}/{}", tally.total));
        let skipped = if tally.skipped > 0 { format!(", skipped {}", tally.skipped) } else { String::new() };
        println!("L{level}: A {a}, B {b}, C {c}, unsupported {}{skipped}", tally.unsupported);
    }
    let differing: Vec<(&Verdict, &Difference)> = verdicts
        .iter()
        .filter_map(|verdict| match &verdict.outcome {
            Outcome::Differs(difference) => Some((verdict, difference)),
            Outcome::Equal | Outcome::Unsupported(_) | Outcome::Skipped(_) => None,
        })
        .collect();
    for (verdict, difference) in differing.iter().take(limit) {
        print_difference(&verdict.id, difference);
    }
    if differing.len() > limit {
        println!("... and {} more cases differ (--limit N shows more)", differing.len() - limit);
    }
    list("unsupported (cases)", &unsupported);
    list("skipped, Java defects (cases)", &skipped);
    differing.is_empty()
}

fn list(title: &str, cases: &BTreeMap<&str, usize>) {
    if !cases.is_empty() {
        let list: Vec<String> = cases.iter().map(|(name, cases)| format!("{name} {cases}")).collect();
        println!("{title}: {}", list.join(", "));
    }
}

fn count(tally: &mut Tally, outcome: &Outcome) {
    let reached = match outcome {
        Outcome::Skipped(_) => {
            tally.skipped += 1;
            return;
        }
        Outcome::Equal => 3,
        Outcome::Differs(difference) => difference.level as usize,
        Outcome::Unsupported(_) => {
            tally.unsupported += 1;
            0
        }
    };
    tally.total += 1;
    tally.equal.iter_mut().take(reached).for_each(|equal| *equal += 1);
}

fn print_difference(id: &str, difference: &Difference) {
    let Difference { level, place, ours, theirs, at } = difference;
    let at = at.map_or(String::new(), |at| format!(", at input item {at}"));
    println!("{id} {}: {place}{at}", level_name(*level));
    println!("    ours:          {ours}");
    println!("    Kafka Streams: {theirs}");
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::A => "A",
        Level::B => "B",
        Level::C => "C",
    }
}
