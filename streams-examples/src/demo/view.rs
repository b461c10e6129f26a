//! Shows a running application: a live view on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use kstreams::prelude::*;

/// How often plain lines are printed.
const PLAIN_INTERVAL: Duration = Duration::from_secs(1);

/// How far the application is.
pub struct Progress {
    /// Units of input whose results are committed.
    pub done: u64,
    /// Units of input in all, as far as known.
    pub total: Option<u64>,
    /// What a unit is: `words`.
    pub unit: &'static str,
    /// Figures of the application.
    pub metrics: MetricsSnapshot,
    /// Rows to show: a label and a count.
    pub rows: Vec<(String, i64)>,
}

/// The view.
pub struct View {
    began: Instant,
    mode: Mode,
}

enum Mode {
    Live(ProgressBar),
    Plain { printed: Instant },
}

impl View {
    /// Opens the view under a head line.
    pub fn new(title: &str) -> Self {
        let began = Instant::now();
        if !std::io::stderr().is_terminal() {
            eprintln!("{title}");
            return Self { began, mode: Mode::Plain { printed: began } };
        }
        let bar = ProgressBar::new(0);
        bar.set_style(style("{prefix:.bold}\n{msg}"));
        bar.set_prefix(title.to_owned());
        Self { began, mode: Mode::Live(bar) }
    }

    /// Shows `progress`.
    pub fn update(&mut self, progress: &Progress) {
        let elapsed = self.began.elapsed();
        match &mut self.mode {
            Mode::Live(bar) => {
                let metrics = &progress.metrics;
                if metrics.restore_records_left > 0 {
                    bar.set_style(style(
                        "{prefix:.bold}\n[{bar:50.yellow/dim}] {percent:>3}% restored\n{msg}",
                    ));
                    bar.set_length(metrics.records_restored + metrics.restore_records_left);
                    bar.set_position(metrics.records_restored);
                } else if let Some(total) = progress.total {
                    bar.set_style(style("{prefix:.bold}\n[{bar:50.cyan/dim}] {percent:>3}%\n{msg}"));
                    bar.set_length(total);
                    bar.set_position(progress.done);
                }
                let rows: String = progress.rows.iter().map(|row| live_row(row, &progress.rows)).collect();
                bar.set_message(format!("{}\n{rows}", figures(progress, elapsed)));
            }
            Mode::Plain { printed } if printed.elapsed() >= PLAIN_INTERVAL => {
                *printed = Instant::now();
                let rows: Vec<String> = progress
                    .rows
                    .iter()
                    .take(3)
                    .map(|(label, count)| format!("{label} {}", thousands(*count)))
                    .collect();
                eprintln!(
                    "{:6.1} s  {}  [{}]",
                    elapsed.as_secs_f64(),
                    figures(progress, elapsed),
                    rows.join(", ")
                );
            }
            Mode::Plain { .. } => {}
        }
    }

    /// Closes the view; what is printed next stands below it. Returns the time since it was opened.
    pub fn finish(self) -> Duration {
        if let Mode::Live(bar) = self.mode {
            bar.finish_and_clear();
        }
        self.began.elapsed()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn figures(progress: &Progress, elapsed: Duration) -> String {
    let metrics = &progress.metrics;
    if metrics.restore_records_left > 0 {
        return format!(
            "restoring state: {} changelog records, {} left · {} records/s · about {} s left",
            thousands(metrics.records_restored as i64),
            thousands(metrics.restore_records_left as i64),
            thousands(metrics.restore_records_per_second as i64),
            metrics.restore_seconds_left,
        );
    }
    let total = progress.total.map_or(String::new(), |total| format!(" of {}", thousands(total as i64)));
    format!(
        "{}{total} {} · {} records/s · {} commits · state {} · lag {}",
        thousands(progress.done as i64),
        progress.unit,
        thousands((metrics.records_processed as f64 / elapsed.as_secs_f64().max(0.001)) as i64),
        thousands(metrics.commits as i64),
        bytes(metrics.state_memory_bytes + metrics.state_engine_bytes),
        thousands(metrics.lag.max(0)),
    )
}

fn live_row((label, count): &(String, i64), rows: &[(String, i64)]) -> String {
    const WIDTH: i64 = 40;
    let largest = rows.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let bar = "█".repeat((count * WIDTH / largest).max(0) as usize);
    format!("  {label:>12} {:>10} {bar}\n", thousands(*count))
}

/// A number with separators: `1,234,567`.
#[must_use]
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A size for people: `1.2 MiB`.
#[must_use]
pub fn bytes(size: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit = units.get(unit).unwrap_or(&"");
    if size < 1024 { format!("{size} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(-1_234_567), "-1,234,567");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
    }
}
