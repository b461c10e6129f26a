//! What every decoder must keep to, and the measure of it.
//!
//! In: a decoder, an input. Out: whether the decoder took it for one of its own, or which rule it broke:
//!
//! - It does not panic.
//! - While it reads, the memory that it holds is at most 4 times the input and 64 KiB. Where the type that it must give is larger than its
//!   shortest bytes, the decoder's entry says so, with the reason, and more times. A length that is believed before it is checked
//!   breaks this.
//! - It does a number of allocations, and allocates bytes in sum, that are linear in the input; inputs of 1 MiB come to their end, so
//!   that work that is not linear and allocates nothing is at least noticed.
//! - What it took is written again as the same value, and as the same bytes where the format has one form for each value.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes of large inputs.
pub(crate) const LARGE_BYTES: usize = 1 << 20;
/// Memory that every decoder may hold: texts of errors, tables of fixed size.
const FIXED_BYTES: u64 = 64 << 10;
/// Allocations that every decoder may do.
const FIXED_COUNT: u64 = 500;

/// What a decoder made of an input: it took it, refused it, or broke a rule.
pub(crate) type Verdict = Result<bool, String>;

/// A decoder of foreign bytes.
pub(crate) struct Decoder {
    pub(crate) name: &'static str,
    pub(crate) seeds: Vec<Vec<u8>>,
    /// Of so many inputs one is tried: files and applications take longer than bytes.
    pub(crate) one_of: u64,
    /// The large input that takes most memory, of a decoder that may hold more than others.
    pub(crate) worst: Option<Vec<u8>>,
    /// Times the input that it may hold in memory, and allocations that it may do for each byte.
    factor: u64,
    allocations: u64,
    /// Memory that it may hold whatever the input.
    fixed: u64,
    decode: Box<dyn Fn(&[u8], &mut Meter) -> Verdict>,
    /// Bytes that it held at once for each byte of a large input, at most.
    held: Cell<u64>,
}

impl Decoder {
    pub(crate) fn new(
        name: &'static str,
        seeds: Vec<Vec<u8>>,
        decode: impl Fn(&[u8], &mut Meter) -> Verdict + 'static,
    ) -> Self {
        Self {
            name,
            seeds,
            one_of: 1,
            worst: None,
            factor: 4,
            allocations: 4,
            fixed: FIXED_BYTES,
            decode: Box::new(decode),
            held: Cell::new(0),
        }
    }

    /// One of `count` inputs is enough.
    pub(crate) fn one_of(self, count: u64) -> Self {
        Self { one_of: count, ..self }
    }

    /// It may hold `factor` times the input, because of `_why`.
    pub(crate) fn holds(self, factor: u64, _why: &str) -> Self {
        Self { factor, ..self }
    }

    /// It may hold `bytes` whatever the input, because of `_why`.
    pub(crate) fn holds_always(self, bytes: u64, _why: &str) -> Self {
        Self { fixed: bytes, ..self }
    }

    /// The large input that takes most memory: `head`, and `element` again and again.
    pub(crate) fn worst(self, head: &[u8], element: &[u8]) -> Self {
        self.worst_with(head, element, &[])
    }

    /// As [`worst`](Self::worst), with `tail` at the end.
    pub(crate) fn worst_with(self, head: &[u8], element: &[u8], tail: &[u8]) -> Self {
        let mut worst = head.to_vec();
        while worst.len() < LARGE_BYTES {
            worst.extend_from_slice(element);
        }
        worst.extend_from_slice(tail);
        Self { worst: Some(worst), ..self }
    }

    /// It may do `count` allocations more than others for each byte, because of `_why`.
    pub(crate) fn allocates(self, count: u64, _why: &str) -> Self {
        Self { allocations: count, ..self }
    }

    /// Bytes that it held at once for each byte of a large input, at most.
    pub(crate) fn held(&self) -> u64 {
        self.held.get()
    }

    /// Tries one input.
    pub(crate) fn judge(&self, input: &[u8]) -> Verdict {
        let mut meter = Meter {
            input: input.len() as u64,
            factor: self.factor,
            allocations: self.allocations,
            fixed: self.fixed,
            held: 0,
            broken: None,
        };
        let judged = catch_unwind(AssertUnwindSafe(|| (self.decode)(input, &mut meter)));
        // A task says of a panic what it said, not where.
        let panic = crate::last_panic();
        let verdict = judged
            .unwrap_or_else(|_| Err(String::new()))
            .map_err(|what| format!("{what} {panic}").trim().to_owned());
        if meter.input >= FIXED_BYTES {
            self.held.set(self.held.get().max(meter.held.div_ceil(meter.input)));
        }
        match (verdict, meter.broken) {
            (Ok(_), Some(broken)) => Err(broken),
            (verdict, _) => verdict,
        }
    }
}

/// Measures what is allocated on this thread while something is read.
pub(crate) struct Meter {
    input: u64,
    factor: u64,
    allocations: u64,
    fixed: u64,
    held: u64,
    broken: Option<String>,
}

impl Meter {
    /// What `read` gives. It broke a rule if it held too much memory: then the verdict does not count.
    pub(crate) fn measure<T>(&mut self, read: impl FnOnce() -> T) -> T {
        let mut result = None;
        let used = allocation_counter::measure(|| result = Some(read()));
        self.held = self.held.max(used.bytes_max);
        let held_max = self.factor * self.input + self.fixed;
        let count_max = self.allocations * self.input + FIXED_COUNT;
        for (what, found, limit) in [
            ("bytes held at once", used.bytes_max, held_max),
            // A vector that doubles copies each byte a few times.
            ("bytes allocated in sum", used.bytes_total, 8 * held_max),
            ("allocations", used.count_total, count_max),
        ] {
            if found > limit {
                let text = format!("{found} {what} for {} bytes, {limit} are allowed", self.input);
                self.broken.get_or_insert(text);
            }
        }
        result.expect("the closure ran")
    }
}

/// The rule of written bytes: `again` must be what `input` was.
pub(crate) fn same_bytes(input: &[u8], again: &[u8]) -> Result<(), String> {
    if input == again {
        return Ok(());
    }
    Err(format!("written again it is {}", crate::hex(again)))
}

/// The rule of values: what was read from the written bytes is what was written.
pub(crate) fn same_value<T: PartialEq + std::fmt::Debug>(value: &T, again: &T) -> Result<(), String> {
    if value == again {
        return Ok(());
    }
    Err(format!("{value:?} was written and came back as {again:?}"))
}
