//! What was found, as tables or JSON.

use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use indicatif::{BinaryBytes, HumanCount};

use crate::{Error, Inspection, Verdict, Verification};

/// Writes inspections.
///
/// # Errors
/// `out` cannot be written.
pub fn print_inspections(inspections: &[Inspection], json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(inspections, out);
    }
    for inspection in inspections {
        let what =
            inspection.taken_at.map_or("state".to_owned(), |at| format!("checkpoint, taken at {at} ms,"));
        writeln!(out, "application {}: {what} in {}", inspection.application_id, inspection.directory)?;
        let mut table =
            table(&["task", "store", "rows", "bytes", "topic", "offset", "end", "lag"], &[2, 3, 5, 6, 7]);
        for task in &inspection.tasks {
            for store in &task.stores {
                let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
                let (rows, bytes) = match store.kept {
                    true => (format!("~{}", HumanCount(store.rows)), BinaryBytes(store.bytes).to_string()),
                    false => ("in memory".to_owned(), "-".to_owned()),
                };
                table.add_row([
                    task.task.clone(),
                    store.store.clone(),
                    rows,
                    bytes,
                    store.topic.clone().unwrap_or("-".to_owned()),
                    number(store.offset),
                    number(store.end),
                    number(store.lag),
                ]);
            }
        }
        writeln!(out, "{table}")?;
    }
    Ok(())
}

fn print_json<T: serde::Serialize>(found: &[T], out: &mut dyn Write) -> Result<(), Error> {
    serde_json::to_writer_pretty(&mut *out, found)?;
    Ok(writeln!(out)?)
}

fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Writes verdicts.
///
/// # Errors
/// `out` cannot be written.
pub fn print_verdicts(verifications: &[Verification], json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(verifications, out);
    }
    for verification in verifications {
        writeln!(out, "application {}: state in {}", verification.application_id, verification.directory)?;
        let mut table = table(&["task", "store", "verdict"], &[]);
        for store in &verification.stores {
            let verdict = match &store.verdict {
                Verdict::Equal { rows, skipped: 0 } => format!("equal, {} rows", HumanCount(*rows)),
                Verdict::Equal { rows, skipped } => format!(
                    "equal, {} rows; {} that changed or expired since, or are no longer in the changelog, were left out",
                    HumanCount(*rows),
                    HumanCount(*skipped)
                ),
                Verdict::Differs(difference) => format!(
                    "DIFFERS in {} of {} rows, first at key {}: {}",
                    HumanCount(difference.differing),
                    HumanCount(difference.rows),
                    difference.first_key,
                    difference.first
                ),
                Verdict::NotCompared(why) => format!("not compared: {why}"),
            };
            table.add_row([&store.task, &store.store, &verdict]);
        }
        writeln!(out, "{table}")?;
    }
    Ok(())
}
