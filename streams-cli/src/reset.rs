//! An application begins anew: the offsets of its input topics are moved, its internal topics deleted. What Kafka Streams'
//! `kafka-streams-application-reset.sh` does, with its options. It refuses while a member of the application's group is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use streams_core::client::{
    ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, Fault, GroupMember, OffsetSpec,
};
use streams_state::types::{Timestamp, TopicPartition};

use crate::Error;
use crate::cluster::{Cluster, TIMEOUT};

/// Between two looks at who is in the group.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Where input topics are read from next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ResetTo {
    /// Their first records.
    #[default]
    Earliest,
    /// Behind their last records.
    Latest,
    /// This offset, in each partition.
    Offset(i64),
    /// So many records behind where they were read to; before it if negative.
    ShiftBy(i64),
    /// The first record of this time or later.
    Time(Timestamp),
    /// What is written for each partition.
    Plan(BTreeMap<TopicPartition, i64>),
}

/// What to reset.
#[derive(Debug, Clone, Default)]
pub struct ResetOptions {
    /// `application.id`.
    pub application_id: String,
    /// Topics that are read again.
    pub input_topics: Vec<String>,
    /// Topics that the application writes and reads: what is in them is skipped.
    pub intermediate_topics: Vec<String>,
    /// Of the internal topics only these are deleted; all, if there are none.
    pub internal_topics: Vec<String>,
    /// From where input topics are read.
    pub to: ResetTo,
    /// How long members of the group are waited for that are gone, but not yet given up by the broker; `None`: not at all.
    pub force: Option<Duration>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reset {
    /// Whose.
    pub application_id: String,
    /// Nothing was changed.
    pub dry_run: bool,
    /// Where partitions are read from next.
    pub offsets: Vec<ResetOffset>,
    /// Internal topics that were deleted.
    pub deleted: Vec<String>,
    /// Topics that were named, but do not exist.
    pub missing: Vec<String>,
}

/// From where a partition is read next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResetOffset {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Where the application was.
    pub before: Option<i64>,
    /// Where it begins.
    pub offset: i64,
    /// Why that is not the offset that was asked for.
    pub note: Option<String>,
}

/// Resets an application.
///
/// # Errors
/// Members of its group are there; a topic that is to be deleted is none of its own; a plan that leaves partitions out; the cluster does
/// not answer or refuses. Once offsets are moved or topics deleted, that stays so: the same may be asked for again.
pub fn reset(
    supplier: &dyn ClientSupplier,
    options: &ResetOptions,
    tell: &mut dyn FnMut(&str),
) -> Result<Reset, Error> {
    let mut cluster = Cluster::connect(supplier)?;
    nobody_is_there(&mut cluster, options, tell)?;
    let existing: BTreeSet<String> = cluster.admin.list_topics(TIMEOUT)?.into_iter().collect();
    let deleted = internal_topics(&existing, options)?;
    let named = options.input_topics.iter().chain(&options.intermediate_topics);
    let (there, missing): (Vec<&String>, Vec<&String>) = named.partition(|topic| existing.contains(*topic));
    let there: BTreeSet<String> = there.into_iter().cloned().collect();
    let mut missing: Vec<String> = missing.into_iter().cloned().collect();
    missing.dedup();
    tell("reading offsets");
    let mut group = supplier.consumer(&ConsumerSettings {
        client_id: "kstreams-cli".to_owned(),
        group: Some(options.application_id.clone()),
        ..ConsumerSettings::default()
    })?;
    let offsets = offsets(&mut cluster, &mut *group, &there, options)?;
    if !options.dry_run {
        tell("moving offsets");
        commit(&mut *group, &offsets, options)?;
        tell("deleting internal topics");
        cluster.admin.delete_topics(&deleted, TIMEOUT)?;
    }
    let (application_id, dry_run) = (options.application_id.clone(), options.dry_run);
    Ok(Reset { application_id, dry_run, offsets, deleted, missing })
}

/// Waits for members that are gone, if that is asked for.
fn nobody_is_there(
    cluster: &mut Cluster,
    options: &ResetOptions,
    tell: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let mut waited = Duration::ZERO;
    loop {
        let members = cluster.admin.group_members(&options.application_id, TIMEOUT)?;
        if members.is_empty() {
            return Ok(());
        }
        if options.force.is_none_or(|patience| waited >= patience) {
            return Err(still_there(&members, options).into());
        }
        tell(&format!("waiting for {} members to be given up", members.len()));
        std::thread::sleep(LOOK_AGAIN);
        waited += LOOK_AGAIN;
    }
}

fn still_there(members: &[GroupMember], options: &ResetOptions) -> String {
    let named = members.iter().map(|member| match (&member.instance, member.host.as_str()) {
        (Some(instance), _) => format!("{} (instance {instance})", member.client_id),
        (None, "") => member.client_id.clone(),
        (None, host) => format!("{} at {host}", member.client_id),
    });
    let named: Vec<String> = named.collect();
    let cure = match options.force {
        Some(patience) => format!("they are still there after {} s: stop all instances", patience.as_secs()),
        None => "stop all instances first; if they are gone, --force waits until the broker gives them up, at the end of \
                 their session.timeout.ms"
            .to_owned(),
    };
    format!("group `{}` is active, its members are {}; {cure}", options.application_id, named.join(", "))
}

/// The internal topics that are to be deleted.
fn internal_topics(existing: &BTreeSet<String>, options: &ResetOptions) -> Result<Vec<String>, Error> {
    let users =
        |topic: &String| options.input_topics.contains(topic) || options.intermediate_topics.contains(topic);
    let own = |topic: &&String| {
        let rest = topic.strip_prefix(&format!("{}-", options.application_id));
        rest.is_some() && is_internal(topic) && !users(topic)
    };
    let inferred: Vec<String> = existing.iter().filter(own).cloned().collect();
    if options.internal_topics.is_empty() {
        return Ok(inferred);
    }
    match options.internal_topics.iter().find(|topic| !inferred.contains(topic)) {
        Some(other) => {
            let listed = if inferred.is_empty() { "none".to_owned() } else { inferred.join(", ") };
            Err(format!(
                "`{other}` is no internal topic of {}, so it is not deleted, and nothing was changed; its internal topics: {listed}",
                options.application_id
            )
            .into())
        }
        None => Ok(options.internal_topics.clone()),
    }
}

/// Whether Kafka Streams would give an internal topic this name.
fn is_internal(topic: &str) -> bool {
    let numbered = |marker: &str| {
        let number = topic.strip_suffix("-topic").and_then(|topic| topic.rsplit_once(marker));
        number.is_some_and(|(before, number)| {
            !before.is_empty() && !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    let ends =
        ["-changelog", "-repartition", "-subscription-registration-topic", "-subscription-response-topic"];
    ends.iter().any(|end| topic.ends_with(end))
        || numbered("-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-")
        || numbered("-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-")
}

/// Where each partition of `topics` is read from next.
fn offsets(
    cluster: &mut Cluster,
    group: &mut dyn Consumer,
    topics: &BTreeSet<String>,
    options: &ResetOptions,
) -> Result<Vec<ResetOffset>, Error> {
    let counts = cluster.existing(topics)?;
    let of = |(topic, count): &(String, i32)| {
        let topic = topic.clone();
        (0..*count).map(move |partition| TopicPartition::new(topic.as_str(), partition))
    };
    let partitions: Vec<TopicPartition> = counts.iter().flat_map(of).collect();
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let consumer = &mut cluster.consumer;
    let starts = consumer.list_offsets(&partitions, OffsetSpec::Beginning, TIMEOUT)?;
    let ends = consumer.list_offsets(&partitions, OffsetSpec::End, TIMEOUT)?;
    let committed = group.committed(&partitions, TIMEOUT)?;
    let mut at_time = Vec::new();
    if let ResetTo::Time(time) = options.to {
        at_time = consumer.list_offsets(&partitions, OffsetSpec::AtTime(time), TIMEOUT)?;
    }
    if let ResetTo::Plan(plan) = &options.to
        && let Some(other) = plan.keys().find(|partition| !partitions.contains(partition))
    {
        return Err(
            format!("the file has an offset for {other}, which is no partition of an input topic").into()
        );
    }
    let bounds = starts.into_iter().zip(ends).zip(committed).enumerate();
    let each = partitions.iter().zip(bounds).map(|(partition, (number, ((start, end), committed)))| {
        let before = committed.map(|committed: CommittedOffset| committed.offset);
        let input = options.input_topics.iter().any(|topic| *topic == *partition.topic);
        let (offset, note) = match &options.to {
            _ if !input => (end, None),
            ResetTo::Earliest => (start, None),
            ResetTo::Latest => (end, None),
            ResetTo::Offset(offset) => within(*offset, start, end),
            ResetTo::ShiftBy(by) => within(before.unwrap_or(end).saturating_add(*by), start, end),
            ResetTo::Time(_) => match at_time.get(number) {
                Some(offset) if *offset >= 0 => (*offset, None),
                Some(_) | None => (end, Some("no record is that young: the end".to_owned())),
            },
            ResetTo::Plan(plan) => {
                let planned = plan.get(partition);
                let planned = planned.ok_or_else(|| format!("the file has no offset for {partition}"))?;
                within(*planned, start, end)
            }
        };
        let (topic, partition) = (partition.topic.to_string(), partition.partition);
        Ok(ResetOffset { topic, partition, before, offset, note })
    });
    each.collect()
}

/// The offset, or the end of the log that is nearest.
fn within(offset: i64, start: i64, end: i64) -> (i64, Option<String>) {
    match offset {
        _ if offset < start => (start, Some(format!("{offset} is before the first record"))),
        _ if offset > end => (end, Some(format!("{offset} is behind the last record"))),
        _ => (offset, None),
    }
}

fn commit(group: &mut dyn Consumer, offsets: &[ResetOffset], options: &ResetOptions) -> Result<(), Error> {
    if offsets.is_empty() {
        return Ok(());
    }
    let offset = |reset: &ResetOffset| {
        let committed = CommittedOffset { offset: reset.offset, metadata: String::new() };
        (TopicPartition::new(reset.topic.as_str(), reset.partition), committed)
    };
    let offsets: Vec<_> = offsets.iter().map(offset).collect();
    let Err(error) = group.commit(&offsets, TIMEOUT) else { return Ok(()) };
    if error.fault == Fault::NotInGroup {
        let id = &options.application_id;
        return Err(format!(
            "an instance of {id} has just been started, nothing was changed: stop it, and try again"
        )
        .into());
    }
    Err(error.into())
}

/// A plan: lines of `TOPIC,PARTITION,OFFSET`.
///
/// # Errors
/// A line is something else.
pub fn parse_plan(text: &str) -> Result<BTreeMap<TopicPartition, i64>, String> {
    let mut plan = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let parts: Vec<&str> = line.split(',').map(str::trim).collect();
        let wrong = || format!("line {number} is not TOPIC,PARTITION,OFFSET: `{line}`");
        let [topic, partition, offset] = parts[..] else { return Err(wrong()) };
        let (Ok(partition), Ok(offset)) = (partition.parse::<i32>(), offset.parse::<i64>()) else {
            return Err(wrong());
        };
        plan.insert(TopicPartition::new(topic, partition), offset);
    }
    if plan.is_empty() {
        Err("it is empty, where lines of TOPIC,PARTITION,OFFSET were expected".to_owned())
    } else {
        Ok(plan)
    }
}

/// A time as Kafka Streams' tool has it: `YYYY-MM-DDThh:mm:ss.sss`, in UTC unless it ends with `Z` or an offset such as `+01:00`.
///
/// # Errors
/// `text` is none.
pub fn parse_datetime(text: &str) -> Result<Timestamp, String> {
    let utc = || {
        let time: jiff::civil::DateTime = text.parse().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(time).ok()
    };
    let time = text.parse::<jiff::Timestamp>().ok().or_else(utc).map(jiff::Timestamp::as_millisecond);
    time.filter(|ms| *ms >= 0).ok_or_else(|| {
        format!("`{text}` is no time: 2026-11-21T10:00:00.000, or with Z or +01:00 at its end")
    })
}

/// How long ago: `PnDTnHnMnS`.
///
/// # Errors
/// `text` is no such duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let span = text.parse::<jiff::Span>().ok().filter(|_| text.starts_with('P'));
    let duration = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    duration
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| format!("`{text}` is no duration: P1DT2H30M is a day and two and a half hours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kafka_streams_gives_internal_topics() {
        for name in [
            "app-counts-changelog",
            "app-KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition",
            "app-x-subscription-registration-topic",
            "app-x-subscription-response-topic",
            "app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000007-topic",
            "app-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000015-topic",
        ] {
            assert!(is_internal(name), "{name}");
        }
        for name in [
            "app-orders",
            "changelog",
            "app-topic",
            "app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION--topic",
            "app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-7x-topic",
            "-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-7-topic",
        ] {
            assert!(!is_internal(name), "{name}");
        }
    }

    #[test]
    fn times_durations_and_plans_are_read_as_kafka_streams_reads_them() {
        assert_eq!(parse_datetime("1970-01-02T00:00:00.500").unwrap(), 86_400_500);
        assert_eq!(parse_datetime("1970-01-02T00:00:00Z").unwrap(), 86_400_000);
        assert_eq!(parse_datetime("1970-01-02T01:00:00.000+01:00").unwrap(), 86_400_000);
        for wrong in ["", "yesterday", "2026-13-01T00:00:00.000", "1960-01-01T00:00:00.000"] {
            assert!(parse_datetime(wrong).unwrap_err().contains("is no time"), "{wrong}");
        }
        assert_eq!(parse_duration("P1DT2H30M5S").unwrap(), Duration::from_secs(86_400 + 9000 + 5));
        assert_eq!(parse_duration("PT0.5S").unwrap(), Duration::from_millis(500));
        for wrong in ["", "2h", "P", "P1M", "-PT1H"] {
            assert!(parse_duration(wrong).unwrap_err().contains("is no duration"), "{wrong}");
        }
        let plan = parse_plan("orders,0,7\n\n orders , 1 , 9 \n").unwrap();
        assert_eq!(
            plan,
            [(TopicPartition::new("orders", 0), 7), (TopicPartition::new("orders", 1), 9)].into()
        );
        for wrong in ["orders,0", "orders,x,1", "a,1,2,3", "a,1,-"] {
            assert!(
                parse_plan(&format!("a,0,1\n{wrong}")).unwrap_err().starts_with("line 2 is not"),
                "{wrong}"
            );
        }
        assert!(parse_plan("\n").unwrap_err().contains("empty"));
    }

    #[test]
    fn an_offset_outside_of_the_log_is_its_nearest_end() {
        assert_eq!(within(5, 3, 9), (5, None));
        assert_eq!(within(9, 3, 9), (9, None));
        assert_eq!(within(2, 3, 9), (3, Some("2 is before the first record".to_owned())));
        assert_eq!(within(10, 3, 9), (9, Some("10 is behind the last record".to_owned())));
    }
}
