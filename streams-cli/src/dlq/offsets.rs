//! A set of offsets, as ranges: `0-41,45,50-60`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Offsets of one partition. Neighbours are one range.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Offsets {
    /// First to last of each range.
    ranges: BTreeMap<i64, i64>,
}

impl Offsets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `offset` is one of them.
    pub fn contains(&self, offset: i64) -> bool {
        self.ranges.range(..=offset).next_back().is_some_and(|(_, last)| offset <= *last)
    }

    /// Adds one.
    pub fn insert(&mut self, offset: i64) {
        self.insert_range(offset, offset);
    }

    /// Adds `first` to `last`.
    fn insert_range(&mut self, mut first: i64, mut last: i64) {
        let touching = |range: (&i64, &i64)| *range.1 >= first.saturating_sub(1);
        if let Some((start, end)) = self.ranges.range(..=first).next_back().filter(|range| touching(*range)) {
            (first, last) = (*start, last.max(*end));
        }
        while let Some((start, end)) = self.ranges.range(first..=last.saturating_add(1)).next() {
            let (start, end) = (*start, *end);
            last = last.max(end);
            self.ranges.remove(&start);
        }
        self.ranges.insert(first, last);
    }

    /// Adds those of `other`.
    pub fn extend(&mut self, other: &Offsets) {
        other.ranges.iter().for_each(|(first, last)| self.insert_range(*first, *last));
    }
}

impl fmt::Display for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Offsets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut offsets = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.parse::<i64>(), last.parse::<i64>()) {
                (Ok(first), Ok(last)) if first <= last => offsets.insert_range(first, last),
                _ => return Err(format!("`{part}` is no range of offsets")),
            }
        }
        Ok(offsets)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn is_a_set_and_is_read_as_it_was_written() {
        // A fixed order that meets every case: apart, before, behind, between two, twice.
        let numbers: Vec<i64> = (0..400).map(|number: i64| number * 7919 % 101).collect();
        let (mut offsets, mut model) = (Offsets::default(), BTreeSet::new());
        for number in numbers {
            offsets.insert(number);
            model.insert(number);
            assert!((0..101).all(|number| offsets.contains(number) == model.contains(&number)));
            let text = offsets.to_string();
            assert_eq!(text.parse::<Offsets>().unwrap(), offsets, "{text}");
        }
        assert_eq!(offsets.to_string(), "0-100");
        let mut both: Offsets = "1-3,9".parse().unwrap();
        both.extend(&"4,7-8,20".parse().unwrap());
        assert_eq!(both.to_string(), "1-4,7-9,20");
        both.extend(&"2-30".parse().unwrap());
        assert_eq!(both.to_string(), "1-30");
        assert!("4-2".parse::<Offsets>().is_err() && "x".parse::<Offsets>().is_err());
    }
}
