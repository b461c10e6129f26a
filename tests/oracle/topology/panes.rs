//! Hopping windows in panes: which aggregations of a case can be made of parts, and how. Comes in: a case, a step. Goes out: a
//! windowed table, of which all but the changelog must be what it is without panes.

use std::collections::BTreeSet;

use kstreams::dsl::TimeWindowedKStream;

use super::windows::WindowedTable;
use super::{Text, materialized};
use crate::case::{Case, Input, Step};
use crate::functions::{self, clip, s};

/// The results of the aggregations of `case` that can be made in panes.
pub(crate) fn in_panes(case: &Case) -> BTreeSet<String> {
    let hops = |window: Step| {
        window.text("type") == "time"
            && window.number("advance").is_some_and(|by| Some(by) < window.number("size"))
    };
    let hopping = |step: &&Step| step.op() == "windowedBy" && step.part("window").is_some_and(hops);
    let out = |step: &Step| step.find("out").map(str::to_owned);
    let windowed: BTreeSet<String> = case.steps().iter().filter(hopping).filter_map(out).collect();
    let conditions = Conditions::of(case);
    let combinable = |(place, step): &(usize, &Step)| {
        let rest = &case.steps()[place + 1..];
        step.find("in").is_some_and(|group| windowed.contains(group)) && conditions.allow(step, rest)
    };
    case.steps().iter().enumerate().filter(combinable).filter_map(|(_, step)| out(step)).collect()
}

/// Whether this step gives a store a name with a number, or may.
fn numbers_a_store(step: &Step) -> bool {
    let unnamed = || step.part("mat").is_none_or(|options| options.find("store").is_none());
    match step.op() {
        "count" | "reduce" | "aggregate" | "table" | "toTable" | "tableTableJoin" => unnamed(),
        "suppress" | "streamStreamJoin" | "streamTableJoin" | "foreignKeyJoin" | "globalTable" => true,
        _ => step.part("mat").is_some() && unnamed(),
    }
}

/// What the functions of the cases need to be functions of parts.
struct Conditions {
    /// Records come in the order of their time.
    in_order: bool,
    /// Values may be null: then a maximum deletes rows.
    nulls: bool,
}

impl Conditions {
    fn of(case: &Case) -> Self {
        let (mut times, mut nulls) = (Vec::new(), false);
        for item in &case.input {
            if let Input::Record { value, ts, .. } = item {
                times.push(*ts);
                nulls |= value.is_none();
            }
        }
        let makes_null = |step: &Step| step.mentions("ull") || step.mentions("keyTwice");
        Self { in_order: times.is_sorted(), nulls: nulls || case.steps().iter().any(makes_null) }
    }

    fn allow(&self, step: &Step, rest: &[Step]) -> bool {
        match (step.op(), step.find("adder")) {
            ("count", _) => true,
            // Its results are unwrapped by a node more, which takes a number: stores after it would have others.
            ("reduce", Some("max")) => !self.nulls && !rest.iter().any(numbers_a_store),
            ("aggregate", Some("add" | "addKey")) => self.in_order,
            _ => false,
        }
    }
}

pub(super) fn aggregation(step: &Step, group: TimeWindowedKStream<Text, Text>) -> WindowedTable {
    let group = match step.find("name") {
        Some(name) => group.named(name).in_panes(),
        None => group.in_panes(),
    };
    match step.op() {
        "count" => {
            let counts = match materialized(step) {
                Some(materialized) => group.count_with(materialized),
                None => group.count(),
            };
            counts.map_values(|count| count.to_string())
        }
        "reduce" => {
            let larger =
                |one: Text, two: Text| if s(one.as_deref()) >= s(two.as_deref()) { one } else { two };
            let texts = match materialized(step) {
                Some(materialized) => group.reduce_with(larger, materialized),
                None => group.reduce(larger),
            };
            texts.map_values(|text| s(text.as_deref()).to_owned())
        }
        _ => {
            // Parts are texts that begin as the initial one does; a text that was clipped is clipped to the same again.
            let first = s(functions::init(step.text("init")).as_deref()).to_owned();
            let (name, prefix) = (step.text("adder").to_owned(), first.len());
            let add = move |k: &Text, v: Text, a: &mut String| {
                let sum = functions::aggregate(&name, k.as_deref(), v.as_deref(), Some(a));
                *a = sum.unwrap_or_default();
            };
            let combine = move |_: &Text, a: String, b: &String| clip(format!("{a}{}", &b[prefix..]));
            match materialized(step) {
                Some(materialized) => group.aggregate_with(move || first.clone(), add, combine, materialized),
                None => group.aggregate(move || first.clone(), add, combine),
            }
        }
    }
}
