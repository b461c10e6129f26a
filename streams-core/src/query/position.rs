//! How far a store has followed its inputs, and how far it has to be for a query.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use streams_state::types::TopicPartition;

/// For each input partition of a store's task the offset of the last record that is in the store. Repartition topics have the
/// application's prefix.
///
/// ```
/// use streams_core::query::Position;
/// let mut position: Position = "clicks-0:41".parse()?;
/// position.merge(&Position::empty().with("clicks", 0, 7).with("clicks", 1, 3));
/// assert_eq!(position, Position::empty().with("clicks", 0, 41).with("clicks", 1, 3));
/// assert_eq!((position.get("clicks", 0), position.get("clicks", 2)), (Some(41), None));
/// assert_eq!(position.to_string(), "clicks-0:41,clicks-1:3");
/// # Ok::<(), streams_core::query::NoPosition>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Position(BTreeMap<String, BTreeMap<i32, i64>>);

impl Position {
    /// Nothing was read.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// With this offset. A smaller one than is there changes nothing.
    #[must_use]
    pub fn with(mut self, topic: &str, partition: i32, offset: i64) -> Self {
        self.reach(topic, partition, offset);
        self
    }

    /// Takes over what is further in `other`.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(topic, partition, offset)| self.reach(topic, partition, offset));
    }

    /// The offset of an input partition; `None` if nothing was read of it.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<i64> {
        self.0.get(topic)?.get(&partition).copied()
    }

    /// Topics, partitions and offsets.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.0.iter().flat_map(|(topic, offsets)| {
            offsets.iter().map(|(partition, offset)| (topic.as_str(), *partition, *offset))
        })
    }

    /// Whether it has no offset.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of each input the offset before the next one to read.
    pub(crate) fn before<'a>(next: impl Iterator<Item = (&'a TopicPartition, Option<i64>)>) -> Self {
        let read = next.filter_map(|(input, next)| Some((input, next?)).filter(|(_, next)| *next > 0));
        read.fold(Self::empty(), |position, (input, next)| {
            position.with(&input.topic, input.partition, next - 1)
        })
    }

    fn reach(&mut self, topic: &str, partition: i32, offset: i64) {
        let topic = match self.0.get_mut(topic) {
            Some(known) => known,
            None => self.0.entry(topic.to_owned()).or_default(),
        };
        let reached = topic.entry(partition).or_insert(offset);
        *reached = offset.max(*reached);
    }
}

/// `words-0:41,words-1:3`; nothing for the empty one.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offsets = self.iter().map(|(topic, partition, offset)| format!("{topic}-{partition}:{offset}"));
        f.write_str(&offsets.collect::<Vec<_>>().join(","))
    }
}

/// A text that is no position.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("`{0}` is no topic, partition and offset, like `words-0:41`")]
pub struct NoPosition(String);

impl FromStr for Position {
    type Err = NoPosition;

    /// Reads what a position prints.
    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(|part| offset(part).ok_or_else(|| NoPosition(part.to_owned()))).try_fold(
            Self::empty(),
            |position, part| {
                let (topic, partition, offset) = part?;
                Ok(position.with(topic, partition, offset))
            },
        )
    }
}

fn offset(part: &str) -> Option<(&str, i32, i64)> {
    let (input, offset) = part.rsplit_once(':')?;
    let (topic, partition) = input.rsplit_once('-').filter(|(topic, _)| !topic.is_empty())?;
    let numbers = (partition.parse::<u16>().ok()?, offset.parse::<u64>().ok()?);
    Some((topic, i32::from(numbers.0), i64::try_from(numbers.1).ok()?))
}

/// What a store has to have seen before it is asked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PositionBound(Position);

impl PositionBound {
    /// Whatever it has seen. The default.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::default()
    }

    /// At least this: the position of an earlier result, or offsets that a producer got. Partitions that it does not name are not bound.
    #[must_use]
    pub fn at(position: Position) -> Self {
        Self(position)
    }

    /// The position.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.0
    }

    /// Whether `seen` is up to the bound, as far as it is about `partition`; all of it without one.
    pub(crate) fn permits(&self, seen: &Position, partition: Option<i32>) -> bool {
        let mine = |of: i32| partition.is_none_or(|partition| partition == of);
        let reached = |(topic, of, offset): (&str, i32, i64)| {
            !mine(of) || seen.get(topic, of).is_some_and(|seen| seen >= offset)
        };
        self.0.iter().all(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_and_nothing_else_is_taken_for_it() {
        for text in ["", "a-0:0", "a-b-12:9223372036854775807", "a.b-0:1,a.b-1:2,z-0:7"] {
            assert_eq!(text.parse::<Position>().map(|position| position.to_string()), Ok(text.to_owned()));
        }
        for text in ["a", "a-0", "a:1", "a-0:-1", "-0:1", "a-0:x", "a-x:1", "a-0:9223372036854775808"] {
            let refused = text.parse::<Position>().map_err(|error| error.to_string());
            assert!(refused.clone().is_err_and(|error| error.contains(text)), "{text}: {refused:?}");
        }
    }

    #[test]
    fn a_bound_is_about_the_partition_that_is_asked() {
        let seen = Position::empty().with("a", 0, 5).with("b", 0, 1);
        let permits = |bound: Position, partition| PositionBound::at(bound).permits(&seen, partition);
        assert!(permits(Position::empty(), None));
        assert!(permits(Position::empty().with("a", 0, 5).with("a", 1, 9), Some(0)));
        assert!(
            !permits(Position::empty().with("a", 0, 5).with("a", 1, 9), None),
            "a global store has them all"
        );
        assert!(!permits(Position::empty().with("a", 0, 6), Some(0)));
        assert!(!permits(Position::empty().with("c", 0, 0), Some(0)), "nothing was read of it");
    }
}
