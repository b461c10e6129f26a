//! The partitions that a consumer owns: where each stands, what of it is committed, where it begins.
//!
//! A partition that nobody may read on until somebody decides is halted: after a record that does not parse, or where there is no
//! offset to begin at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use streams_state::types::{Timestamp, TopicPartition};

use super::batch::ConsumedOffsets;
use super::consumer_config::ConsumerConfig;
use super::consumer_error::{BadRecord, ConsumerError};
use super::worker::{deadline_after, remaining};
use crate::client::{ClientError, CommittedOffset, Consumer, Fault, GroupMetadata, OffsetSpec, Slot};
use crate::topology::OffsetReset;

/// A look-up gets at least as long, however little of a poll is left: a poll of no time would never take up an assignment.
const LOOK_UP_MIN: Duration = Duration::from_millis(100);

/// Where to read on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeekTo {
    /// At the first record in the log.
    Beginning,
    /// After the last record that this consumer may read.
    End,
    /// At this offset.
    Offset(i64),
    /// At the first record whose timestamp is this or later, ms since the epoch; if there is none, at the end.
    Time(Timestamp),
}

/// Why a partition stands still.
#[derive(Clone, Debug)]
pub(super) enum Halt {
    /// A record does not parse. `fetched_past`: later records came and were let go.
    Bad { record: Box<BadRecord>, fetched_past: bool },
    /// No offset to begin at.
    NoOffset,
    /// It was given back in a cooperative rebalance: its slot is free.
    GivenBack,
    /// The offset is not in the log.
    OutOfRange { offset: i64, first: i64, end: i64 },
}

/// A partition, by slot.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) at: TopicPartition,
    pub(super) halt: Option<Halt>,
}

impl Place {
    fn is_free(&self) -> bool {
        matches!(self.halt, Some(Halt::GivenBack))
    }
}

/// What is committed without being asked.
pub(super) enum AutoCommit {
    /// Nothing.
    Off,
    /// All that was handed out.
    HandedOut,
    /// What is in here.
    Done(Arc<Mutex<ConsumedOffsets>>),
}

/// The partitions of a consumer: seeks, positions, commits. Everything here is also a method of the
/// [`TopicConsumer`](super::TopicConsumer); a [`RebalanceListener`](super::RebalanceListener) gets it in hand.
///
/// ```
/// # use std::time::Duration;
/// # use streams_core::client::embedded::EmbeddedKafka;
/// # use streams_core::clients::{ConsumerConfig, ProducerConfig, SeekTo, TopicConsumer, TopicProducer};
/// # use streams_core::runtime::clock::SystemClock;
/// # use streams_core::topic::Topic;
/// # const ORDERS: Topic<String, i64> = Topic::new("orders");
/// # let kafka = EmbeddedKafka::new(SystemClock);
/// # kafka.create_topic("orders", 1)?;
/// # let producer = TopicProducer::new(&kafka, &ORDERS, ProducerConfig::default())?;
/// # for cents in 0..5 { producer.record().key("ada").value(cents).timestamp(cents * 1_000).send()?; }
/// # producer.close(Duration::from_secs(5))?;
/// let mut orders = TopicConsumer::assign(&kafka, &ORDERS, [0], ConsumerConfig::default())?;
/// let partition = orders.assignment().remove(0);
/// assert_eq!((orders.position(&partition)?, orders.ends(&partition)?), (5, (0, 5)));
/// orders.seek(&partition, SeekTo::Time(3_000))?;
/// assert_eq!(orders.poll(Duration::from_secs(5))?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Partitions {
    pub(super) client: Box<dyn Consumer>,
    pub(super) config: ConsumerConfig,
    pub(super) places: Vec<Place>,
    pub(super) auto_commit: AutoCommit,
    pub(super) last_auto_commit: Instant,
    /// Some partition's offset is not in the log, and where it goes on has not been found out yet.
    pub(super) lost: bool,
}

impl Partitions {
    pub(super) fn new(client: Box<dyn Consumer>, config: ConsumerConfig) -> Self {
        let auto_commit = if config.enable_auto_commit { AutoCommit::HandedOut } else { AutoCommit::Off };
        Self {
            client,
            config,
            places: Vec::new(),
            auto_commit,
            last_auto_commit: Instant::now(),
            lost: false,
        }
    }

    /// The partitions that this consumer has now.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.owned().map(|place| place.at.clone()).collect()
    }

    fn owned(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !place.is_free())
    }

    /// The offset of the next record of `partition` that a poll would hand out.
    ///
    /// # Errors
    /// The partition is not assigned, or has no position.
    pub fn position(&mut self, partition: &TopicPartition) -> Result<i64, ConsumerError> {
        let place = self.place("position", partition)?;
        match &self.places[place].halt {
            None => Ok(self.client.position(partition)?),
            Some(Halt::Bad { record, .. }) => Ok(record.offset),
            Some(Halt::NoOffset | Halt::GivenBack) => {
                Err(ConsumerError::NoOffset { partitions: vec![partition.clone()] })
            }
            Some(Halt::OutOfRange { offset, .. }) => Ok(*offset),
        }
    }

    /// Reads `partition` on from there. Records fetched before are dropped.
    ///
    /// # Errors
    /// The partition is not assigned, the offset negative, or the cluster does not answer within `default.api.timeout.ms`.
    pub fn seek(&mut self, partition: &TopicPartition, to: SeekTo) -> Result<(), ConsumerError> {
        let place = self.place("seek", partition)?;
        let deadline = deadline_after(self.config.default_api_timeout);
        let offset = match to {
            SeekTo::Offset(offset) if offset < 0 => {
                let call = format!("seek {partition}");
                let message = format!("offset {offset} is negative");
                return Err(ClientError::new(Fault::Invalid, call, message).into());
            }
            SeekTo::Offset(offset) => offset,
            SeekTo::Beginning => self.look_up(partition, OffsetSpec::Beginning, deadline)?,
            SeekTo::End => self.look_up(partition, self.end(), deadline)?,
            SeekTo::Time(time) => self.at_time(partition, time, deadline)?,
        };
        self.client.seek(partition, offset)?;
        self.places[place].halt = None;
        Ok(())
    }

    /// [`seek`](Self::seek) of all partitions that this consumer has.
    ///
    /// # Errors
    /// As [`seek`](Self::seek).
    pub fn seek_all(&mut self, to: SeekTo) -> Result<(), ConsumerError> {
        self.assignment().iter().try_for_each(|partition| self.seek(partition, to))
    }

    /// Goes on after a record that does not parse.
    ///
    /// # Errors
    /// The partition is not assigned any more.
    pub fn skip(&mut self, bad: &BadRecord) -> Result<(), ConsumerError> {
        let place = self.place("skip", &bad.partition)?;
        let Some(Halt::Bad { record, fetched_past }) = &self.places[place].halt else { return Ok(()) };
        if record.offset != bad.offset {
            return Ok(());
        }
        if *fetched_past {
            return self.seek(&bad.partition, SeekTo::Offset(bad.offset + 1));
        }
        self.places[place].halt = None;
        Ok(())
    }

    /// Goes back to what the group has committed: after a transaction that was aborted or whose outcome was not known.
    ///
    /// # Errors
    /// The cluster does not answer within `default.api.timeout.ms`, or there is no group.
    pub fn rewind(&mut self) -> Result<(), ConsumerError> {
        let owned = self.assignment();
        let deadline = deadline_after(self.config.default_api_timeout);
        let starts = self.starts(&owned, deadline)?;
        for (partition, start) in owned.iter().zip(starts) {
            match start {
                Some(offset) => self.seek(partition, SeekTo::Offset(offset))?,
                None => {
                    let place = self.place("rewind", partition)?;
                    self.places[place].halt = Some(Halt::NoOffset);
                }
            }
        }
        Ok(())
    }

    /// What was handed out so far, of all partitions.
    ///
    /// # Errors
    /// The client is dead.
    pub fn consumed(&mut self) -> Result<ConsumedOffsets, ConsumerError> {
        let mut consumed = ConsumedOffsets { group: self.client.group_metadata(), ..Default::default() };
        for place in &self.places {
            let offset = match &place.halt {
                None => self.client.position(&place.at)?,
                Some(Halt::Bad { record, .. }) => record.offset,
                Some(Halt::NoOffset | Halt::GivenBack | Halt::OutOfRange { .. }) => continue,
            };
            consumed.offsets.insert(place.at.clone(), offset);
        }
        Ok(consumed)
    }

    /// Commits everything that was handed out.
    ///
    /// # Errors
    /// It is not committed, or that is not known, within `default.api.timeout.ms`.
    pub fn commit(&mut self) -> Result<(), ConsumerError> {
        let consumed = self.consumed()?;
        self.commit_offsets(&consumed)
    }

    /// Commits the offsets of a batch, or others that were consumed.
    ///
    /// # Errors
    /// They are not committed, or that is not known, within `default.api.timeout.ms`.
    pub fn commit_offsets(&mut self, consumed: &ConsumedOffsets) -> Result<(), ConsumerError> {
        self.commit_within(consumed, self.config.default_api_timeout)
    }

    fn commit_within(&mut self, consumed: &ConsumedOffsets, timeout: Duration) -> Result<(), ConsumerError> {
        if consumed.is_empty() {
            return Ok(());
        }
        let offsets: Vec<_> = consumed
            .iter()
            .map(|(at, offset)| (at.clone(), CommittedOffset { offset, metadata: String::new() }))
            .collect();
        self.client.commit(&offsets, timeout).map_err(|source| ConsumerError::Commit {
            group: self.config.group_id.clone().unwrap_or_default(),
            offsets: consumed.to_string(),
            source,
        })
    }

    /// What the group has committed of these partitions; `None` where nothing is.
    ///
    /// # Errors
    /// The cluster does not answer within `default.api.timeout.ms`, or there is no group.
    pub fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, ConsumerError> {
        let committed = self.client.committed(partitions, self.config.default_api_timeout)?;
        Ok(committed.into_iter().map(|known| known.map(|known| known.offset)).collect())
    }

    /// The first and the next offset of a partition, as this consumer may read it.
    ///
    /// # Errors
    /// The cluster does not answer within `default.api.timeout.ms`.
    pub fn ends(&mut self, partition: &TopicPartition) -> Result<(i64, i64), ConsumerError> {
        let deadline = deadline_after(self.config.default_api_timeout);
        let first = self.look_up(partition, OffsetSpec::Beginning, deadline)?;
        Ok((first, self.look_up(partition, self.end(), deadline)?))
    }

    /// Proof of membership, for transactions that commit consumed offsets.
    pub fn group_metadata(&self) -> GroupMetadata {
        self.client.group_metadata()
    }

    fn place(&self, call: &'static str, partition: &TopicPartition) -> Result<usize, ConsumerError> {
        let found = self.places.iter().position(|place| place.at == *partition && !place.is_free());
        found.ok_or_else(|| ConsumerError::NotAssigned {
            call,
            partition: partition.clone(),
            assigned: self.assignment(),
        })
    }

    fn end(&self) -> OffsetSpec {
        if self.config.read_committed() { OffsetSpec::Stable } else { OffsetSpec::End }
    }

    fn look_up(
        &mut self,
        partition: &TopicPartition,
        spec: OffsetSpec,
        deadline: Instant,
    ) -> Result<i64, ConsumerError> {
        let timeout = remaining(deadline).max(LOOK_UP_MIN);
        let found = self.client.list_offsets(std::slice::from_ref(partition), spec, timeout)?;
        let missing =
            || ClientError::new(Fault::Retriable, "list offsets", format!("nothing of {partition}"));
        Ok(found.first().copied().ok_or_else(missing)?)
    }

    fn at_time(
        &mut self,
        partition: &TopicPartition,
        time: Timestamp,
        deadline: Instant,
    ) -> Result<i64, ConsumerError> {
        let found = self.look_up(partition, OffsetSpec::AtTime(time), deadline)?;
        if found >= 0 { Ok(found) } else { self.look_up(partition, self.end(), deadline) }
    }

    /// Where a partition begins by `auto.offset.reset`; `None`: nowhere.
    fn reset(&mut self, partition: &TopicPartition, deadline: Instant) -> Result<Option<i64>, ConsumerError> {
        let offset = match self.config.auto_offset_reset {
            OffsetReset::Earliest => self.look_up(partition, OffsetSpec::Beginning, deadline)?,
            OffsetReset::Latest => self.look_up(partition, self.end(), deadline)?,
            OffsetReset::ByDuration(age_ms) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
                self.at_time(partition, now_ms.saturating_sub(age_ms), deadline)?
            }
            OffsetReset::None => return Ok(None),
        };
        Ok(Some(offset))
    }

    /// Where partitions begin: at the group's offsets, or else by `auto.offset.reset`.
    fn starts(
        &mut self,
        partitions: &[TopicPartition],
        deadline: Instant,
    ) -> Result<Vec<Option<i64>>, ConsumerError> {
        let committed = match self.config.group_id {
            Some(_) => self.client.committed(partitions, remaining(deadline).max(LOOK_UP_MIN))?,
            None => vec![None; partitions.len()],
        };
        let both = partitions.iter().zip(committed);
        both.map(|(partition, committed)| match committed {
            Some(committed) => Ok(Some(committed.offset)),
            None => self.reset(partition, deadline),
        })
        .collect()
    }

    /// Begins to read these partitions. `take_up` tells the client.
    pub(super) fn begin(
        &mut self,
        partitions: &[TopicPartition],
        deadline: Instant,
        take_up: fn(&mut dyn Consumer, &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError>,
    ) -> Result<(), ConsumerError> {
        let starts = self.starts(partitions, deadline)?;
        if !self.config.is_cooperative() {
            self.places.clear();
        }
        let free = self.places.iter().enumerate().filter(|(_, place)| place.is_free()).map(|(slot, _)| slot);
        let free: Vec<usize> = free.chain(self.places.len()..).take(partitions.len()).collect();
        let both = || free.iter().zip(partitions.iter().zip(&starts));
        let slots: Vec<_> =
            both().map(|(slot, (at, start))| (at.clone(), start.unwrap_or(0), *slot as Slot)).collect();
        take_up(&mut *self.client, &slots)?;
        for (slot, (at, start)) in both() {
            let place = Place { at: at.clone(), halt: start.is_none().then_some(Halt::NoOffset) };
            match self.places.get_mut(*slot) {
                Some(free) => *free = place,
                None => self.places.push(place),
            }
        }
        Ok(())
    }

    /// Gives these back: all partitions, unless the assignor is cooperative.
    pub(super) fn give_back(&mut self, partitions: &[TopicPartition]) -> Result<(), ConsumerError> {
        match self.config.is_cooperative() {
            false => self.places.clear(),
            true => {
                for place in self.places.iter_mut().filter(|place| partitions.contains(&place.at)) {
                    place.halt = Some(Halt::GivenBack);
                }
            }
        }
        Ok(self.client.complete_revoke()?)
    }

    /// Some partition's offset is not in the log: it goes where `auto.offset.reset` says, or stands still.
    pub(super) fn reset_lost_offsets(&mut self, deadline: Instant) -> Result<(), ConsumerError> {
        for place in 0..self.places.len() {
            if self.places[place].halt.is_some() {
                continue;
            }
            let at = self.places[place].at.clone();
            let offset = self.client.position(&at)?;
            let first = self.look_up(&at, OffsetSpec::Beginning, deadline)?;
            let end = self.look_up(&at, OffsetSpec::End, deadline)?;
            if (first..=end).contains(&offset) {
                // The client stopped to read the one that failed, and nobody says which it was.
                self.client.seek(&at, offset)?;
                continue;
            }
            match self.reset(&at, deadline)? {
                Some(start) => {
                    tracing::warn!(partition = %at, offset, first, end, start, "the offset is not in the log: reset");
                    self.client.seek(&at, start)?;
                }
                None => self.places[place].halt = Some(Halt::OutOfRange { offset, first, end }),
            }
        }
        self.lost = false;
        Ok(())
    }

    /// What stands still: bad records first.
    pub(super) fn halted(&self) -> Option<ConsumerError> {
        let mut without: Vec<TopicPartition> = Vec::new();
        for place in &self.places {
            match &place.halt {
                None => {}
                Some(Halt::Bad { record, .. }) => return Some(ConsumerError::BadRecord(record.clone())),
                Some(Halt::OutOfRange { offset, first, end }) => {
                    let (offset, first, end) = (*offset, *first, *end);
                    let partition = place.at.clone();
                    return Some(ConsumerError::OutOfRange { partition, offset, first, end });
                }
                Some(Halt::GivenBack) => {}
                Some(Halt::NoOffset) => without.push(place.at.clone()),
            }
        }
        (!without.is_empty()).then_some(ConsumerError::NoOffset { partitions: without })
    }

    /// Commits what is done without being asked, when it is time or in any case. A failure is no loss: what is not committed is read again.
    pub(super) fn commit_automatically(&mut self, in_any_case: bool, deadline: Instant) {
        let due = self.last_auto_commit.elapsed() >= self.config.auto_commit_interval;
        if !due && !in_any_case {
            return;
        }
        let consumed = match &self.auto_commit {
            AutoCommit::Off => return,
            AutoCommit::HandedOut => self.consumed(),
            AutoCommit::Done(done) => {
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner).clone();
                done.offsets.retain(|at, _| self.owned().any(|place| place.at == *at));
                Ok(done)
            }
        };
        self.last_auto_commit = Instant::now();
        let timeout = remaining(deadline).max(LOOK_UP_MIN);
        let committed = consumed.and_then(|consumed| {
            self.commit_within(&consumed, timeout)?;
            if let AutoCommit::Done(done) = &self.auto_commit {
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.offsets.retain(|at, offset| consumed.offsets.get(at) != Some(offset));
            }
            Ok(())
        });
        if let Err(error) = committed {
            tracing::warn!("automatic commit: {error}");
        }
    }
}
