//! `describe.json`: topologies, built again from their programs, and once more from their recorded nodes, and compared in
//! all that was recorded of them.

// What a program's topology must be.
mod catalogue;
// The recorded programs, their steps and stores.
mod program;
// Programs of the DSL, step by step.
mod dsl_steps;
// Programs of the Processor API, step by step.
mod processor_steps;
// The same topologies from their nodes, without the DSL.
mod arena;

use serde_json::Value;

use crate::tally::{Difference, Tally, Verdict, equal};
use crate::vectors::{lists, unknown_list};

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    for (name, list) in lists(file) {
        match name {
            "topologies" => {
                for (index, golden) in list.as_array().unwrap().iter().enumerate() {
                    let list = format!("topologies({})", golden["name"].as_str().unwrap());
                    tally.vector(&list, index, || topology(golden));
                }
            }
            // What the programs have in common, and how many there are.
            "application_id" => {}
            "count" => tally.vector(name, 0, || {
                let programs = file["topologies"].as_array().map(|list| list.len() as u64);
                equal(name, list.as_u64(), programs)
            }),
            other => unknown_list(tally, other),
        }
    }
}

fn topology(golden: &Value) -> Verdict {
    let differ = |what: &str, got: String| {
        Err(Difference { what: what.to_owned(), expected: "the recorded topology".to_owned(), got })
    };
    if let Err(got) = catalogue::compare(golden) {
        return differ("from its program", got);
    }
    match arena::differences(golden) {
        differences if differences.is_empty() => Ok(()),
        differences => differ("from its nodes", differences.join("\n")),
    }
}
