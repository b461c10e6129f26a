//! Counts the vectors of a file and keeps those that differ.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What was expected and what came instead.
pub(crate) struct Difference {
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// What a judge says about one vector.
pub(crate) type Verdict = Result<(), Difference>;

/// Compares one part of a vector.
pub(crate) fn equal<T: PartialEq + Debug>(what: &str, expected: T, got: T) -> Verdict {
    if expected == got {
        return Ok(());
    }
    Err(Difference { what: what.to_owned(), expected: format!("{expected:?}"), got: format!("{got:?}") })
}

/// The vectors of one file.
pub(crate) struct Tally {
    file: &'static str,
    least: Option<usize>,
    total: usize,
    equal: usize,
    differences: Vec<(String, usize, Difference)>,
}

impl Tally {
    /// `least`: how many vectors the file must have.
    pub(crate) fn new(file: &'static str, least: Option<usize>) -> Self {
        Self { file, least, total: 0, equal: 0, differences: Vec::new() }
    }

    /// Judges a vector of `list`. A panic is a difference.
    pub(crate) fn vector(&mut self, list: &str, index: usize, judge: impl FnOnce() -> Verdict) {
        self.total += 1;
        let verdict = catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|_| {
            let expected = "no panic".to_owned();
            Err(Difference { what: "code".to_owned(), expected, got: "panic (see above)".to_owned() })
        });
        match verdict {
            Ok(()) => self.equal += 1,
            Err(difference) => self.differences.push((list.to_owned(), index, difference)),
        }
    }

    /// `keys.json 812/812`.
    pub(crate) fn line(&self) -> String {
        format!("{}.json {}/{}", self.file, self.equal, self.total)
    }

    /// Prints at most `limit` differences; gives how many are still allowed.
    pub(crate) fn print_differences(&self, limit: usize) -> usize {
        for (list, index, Difference { what, expected, got }) in self.differences.iter().take(limit) {
            println!("\n{}.json {list}[{index}] {what}\n  expected {expected}\n  got      {got}", self.file);
        }
        if let Some(least) = self.least.filter(|least| self.total < *least) {
            println!("\n{}.json has {} vectors, and had {least}", self.file, self.total);
        }
        limit - self.differences.len().min(limit)
    }

    /// Whether everything is equal.
    pub(crate) fn holds(&self) -> bool {
        self.differences.is_empty() && self.least.is_none_or(|least| self.total >= least)
    }
}
