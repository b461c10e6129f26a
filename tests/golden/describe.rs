//! `describe.json`: topologies, built again from their programs and compared in all that was recorded of them.

use serde_json::Value;

use crate::golden_describe::catalogue::{Outcome, compare, unsupported_allowed};
use crate::tally::{Difference, Tally};
use crate::vectors::{lists, unknown_list};

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    for (name, list) in lists(file) {
        match name {
            "topologies" => {
                let programs = list.as_array().unwrap();
                let allowed = if tally.is_own() { unsupported_allowed(programs.len()) } else { 0 };
                programs.iter().enumerate().for_each(|(index, program)| one(program, index, allowed, tally));
            }
            // What the programs have in common, and how many there are.
            "application_id" => {}
            "count" => tally.vector(name, 0, || {
                crate::tally::equal(
                    name,
                    list.as_u64(),
                    file["topologies"].as_array().map(|list| list.len() as u64),
                )
            }),
            other => unknown_list(tally, other),
        }
    }
}

fn one(program: &Value, index: usize, allowed: usize, tally: &mut Tally) {
    let name = program["name"].as_str().unwrap();
    // A panic must reach the tally as a difference, so the program is built inside of it.
    let mut unsupported = None;
    let list = format!("topologies({name})");
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compare(program)));
    let verdict = match outcome {
        Ok(Outcome::Equal | Outcome::Refused) => Ok(()),
        Ok(Outcome::Unsupported(what)) => {
            unsupported = Some(what);
            Ok(())
        }
        Ok(Outcome::Different(got)) => Err(got),
        Err(_) => Err("panic (see above)".to_owned()),
    };
    match unsupported {
        Some(what) => tally.unsupported(what, allowed),
        None => tally.vector(&list, index, || {
            let expected = "the recorded topology".to_owned();
            verdict.map_err(|got| Difference { what: "topology".to_owned(), expected, got })
        }),
    }
}
