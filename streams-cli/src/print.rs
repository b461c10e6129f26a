//! What was found, as tables or JSON.

use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use indicatif::{BinaryBytes, HumanCount};

use crate::dlq::{Bytes, Listing, Replay, ShownLetter};
use crate::{Error, Inspection, Reset, Verdict, Verification};

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

pub(crate) fn print_json<T: serde::Serialize + ?Sized>(found: &T, out: &mut dyn Write) -> Result<(), Error> {
    serde_json::to_writer_pretty(&mut *out, found)?;
    Ok(writeln!(out)?)
}

pub(crate) fn table(header: &[&str], right: &[usize]) -> Table {
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

/// Writes how many dead letters there are.
///
/// # Errors
/// `out` cannot be written.
pub fn print_listing(listing: &Listing, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(listing, out);
    }
    let (letters, replayed) = (HumanCount(listing.letters), HumanCount(listing.replayed));
    writeln!(out, "dead letters in {}: {letters}, {replayed} of them put back", listing.topic)?;
    let mut table = table(
        &["topic", "error", "letters", "put back", "first", "last", "retries", "last message"],
        &[2, 3, 6],
    );
    for kind in &listing.kinds {
        let word = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), line);
        table.add_row([
            word(&kind.source_topic),
            word(&kind.exception),
            HumanCount(kind.letters).to_string(),
            HumanCount(kind.replayed).to_string(),
            time(kind.first),
            time(kind.last),
            kind.retries_max.to_string(),
            word(&kind.message),
        ]);
    }
    Ok(writeln!(out, "{table}")?)
}

/// Writes dead letters.
///
/// # Errors
/// `out` cannot be written.
pub fn print_letters(letters: &[ShownLetter], json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(letters, out);
    }
    for letter in letters {
        let put_back = if letter.replayed { ", put back" } else { "" };
        let at = time(letter.timestamp);
        writeln!(out, "partition {} offset {} at {at}{put_back}", letter.partition, letter.offset)?;
        for header in &letter.headers {
            writeln!(out, "  {}: {}", line(&header.key), bytes(&header.value))?;
        }
        writeln!(out, "  key: {}", bytes(&letter.key))?;
        writeln!(out, "  value: {}", bytes(&letter.value))?;
    }
    Ok(())
}

/// Writes what was put back.
///
/// # Errors
/// `out` cannot be written.
pub fn print_replay(replay: &Replay, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(replay, out);
    }
    let verb = if replay.dry_run { "would be put back" } else { "put back" };
    let (done, before) = (HumanCount(replay.replayed), HumanCount(replay.before));
    writeln!(out, "dead letters in {}: {done} {verb}, {before} were before", replay.topic)?;
    let mut table = table(&["to", "partition", "letters"], &[1, 2]);
    for target in &replay.targets {
        let letters = HumanCount(target.letters).to_string();
        table.add_row([line(&target.topic), target.partition.to_string(), letters]);
    }
    if !replay.targets.is_empty() {
        writeln!(out, "{table}")?;
    }
    for left in &replay.left {
        let (partition, offset) = left.first;
        writeln!(
            out,
            "{} stay: {}; the first is {partition}@{offset}",
            HumanCount(left.letters),
            line(&left.why)
        )?;
    }
    Ok(())
}

/// Writes what was reset.
///
/// # Errors
/// `out` cannot be written.
pub fn print_reset(reset: &Reset, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    if json {
        return print_json(reset, out);
    }
    if reset.dry_run {
        writeln!(out, "dry run: nothing is changed, this would be done")?;
    }
    if !reset.offsets.is_empty() {
        let mut table = table(&["topic", "partition", "was at", "begins at", ""], &[1, 2, 3]);
        for moved in &reset.offsets {
            table.add_row([
                line(&moved.topic),
                moved.partition.to_string(),
                moved.before.map_or("-".to_owned(), |offset| offset.to_string()),
                moved.offset.to_string(),
                moved.note.clone().unwrap_or_default(),
            ]);
        }
        writeln!(out, "offsets of group {}:\n{table}", reset.application_id)?;
    }
    for topic in &reset.missing {
        writeln!(out, "there is no topic `{}`: skipped", line(topic))?;
    }
    match (reset.deleted.join(", "), reset.dry_run) {
        (none, _) if none.is_empty() => writeln!(out, "no internal topics to delete")?,
        (all, true) => writeln!(out, "internal topics to delete: {all}")?,
        (all, false) => writeln!(out, "internal topics deleted: {all}")?,
    }
    let hint = "local state is not touched: before the next start, call `clean_up()` in each instance, or delete its state directory";
    Ok(writeln!(out, "{hint}")?)
}

/// Longest text of others in a table.
const LINE_CHARS: usize = 120;

/// Text that others wrote, on one line, and without what moves the cursor.
pub(crate) fn line(text: &str) -> String {
    let letters = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut short: String = letters.clone().take(LINE_CHARS).collect();
    if letters.count() > LINE_CHARS {
        short.push_str("...");
    }
    short
}

/// All of it, over several lines if it has several.
fn bytes(bytes: &Bytes) -> String {
    match bytes {
        Bytes::Null => "null".to_owned(),
        Bytes::Json(value) => value.to_string(),
        // Of white space only line ends can harm, and they are behind an indent.
        Bytes::Text(text) => text.replace('\r', "").replace('\n', "\n    "),
        Bytes::Hex(digits) => format!("0x{digits}"),
    }
}

fn time(ms: i64) -> String {
    let since = u64::try_from(ms).ok().map(std::time::Duration::from_millis);
    let at = since.and_then(|since| std::time::SystemTime::UNIX_EPOCH.checked_add(since));
    // Formatting fails beyond the year 9999.
    let at = at.filter(|_| ms < 253_402_300_800_000);
    at.map_or_else(|| format!("{ms} ms"), |at| humantime::format_rfc3339_millis(at).to_string())
}
