//! Where the time of the threads goes, node by node, by looking at them again and again.
//!
//! In: what each thread says of itself at the moment of a look (`metrics/at_work.rs`). Out: shares over the last looks. Nothing here reads a
//! clock: who looks chooses when, and does so at moments that have nothing to do with what the threads do.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use streams_state::types::TaskId;

use super::monitor::StreamsMonitor;
use crate::metrics::{Activity, Mark};

/// Parts of the window: the oldest one is forgotten as a whole.
const PARTS: u32 = 10;

/// Looks at the threads of an instance, and remembers what they were at. Made by [`StreamsMonitor::work_profile`].
///
/// A look costs a load for each thread; the threads themselves notice nothing of it. The error of a share is that of any sample: with 1000
/// looks a share of 0.1 is right to about 0.02 (two standard deviations, `2 * sqrt(p * (1 - p) / n)`).
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use streams_core::{client::embedded::EmbeddedKafka, config::*, dsl::StreamsBuilder, topic::Topic};
/// # use streams_core::runtime::{KafkaStreams, clock::SystemClock};
/// # let config = StreamsConfig::new("word-count", ProcessingGuarantee::ExactlyOnceV2);
/// # let builder = StreamsBuilder::new();
/// # builder.stream(&Topic::<String, String>::new("words")).to(&Topic::<String, String>::new("out"));
/// # let streams = KafkaStreams::new(builder.build()?, config, Arc::new(EmbeddedKafka::new(SystemClock)))?;
/// let mut profile = streams.monitor().work_profile(2000);
/// for _ in 0..20 {
///     profile.look();
///     std::thread::sleep(Duration::from_millis(5));
/// }
/// let shares = profile.shares();
/// for node in &shares.nodes {
///     println!("{}: {:.0} %", node.name, node.share * 100.0);
/// }
/// # assert_eq!((shares.samples, shares.nodes.len()), (0, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WorkProfile {
    monitor: StreamsMonitor,
    /// Name and sub-topology of each node, by number.
    nodes: Vec<(Arc<str>, u32)>,
    looks_in_part: u32,
    /// The newest one is the last.
    parts: VecDeque<Part>,
}

/// What some looks in a row have seen.
#[derive(Default)]
struct Part {
    looks: u32,
    /// By number of the thread, whether it feeds the global stores, and mark: how often.
    seen: HashMap<(usize, bool, Mark), u64>,
}

/// Shares of the time of threads, 0 to 1, over the last looks.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct WorkShares {
    /// How often stream threads were seen, all of them together. 0: all shares are 0 and say nothing.
    pub samples: u64,
    /// They waited for records, or took them over from their consumers.
    pub polling: f64,
    /// They restored stores, or waited for changelogs.
    pub restoring: f64,
    /// They handed results to their producers.
    pub sending: f64,
    /// They committed, nodes that forward what record caches hold back apart.
    pub committing: f64,
    /// They did anything else outside of nodes.
    pub other: f64,
    /// The nodes of the topology, in the order in which they were added.
    pub nodes: Vec<NodeShare>,
}

/// A node's share: of its own work, that of the nodes to which it forwards apart.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeShare {
    /// Name of the node.
    pub name: Arc<str>,
    /// Its share of the time of all stream threads together, over all tasks. With those of other nodes, and what threads do outside of
    /// nodes, it adds up to 1. For a node that feeds a global store it is the share of the thread that does so.
    pub share: f64,
    /// For each task that was seen at it, in order: its share of the time of the one thread that has the task.
    pub tasks: Vec<(TaskId, f64)>,
}

impl WorkProfile {
    pub(super) fn new(monitor: &StreamsMonitor, looks: u32) -> Self {
        let topology = monitor.topology();
        let description = topology.describe();
        let whole = |name: &str| {
            let parts = description.subtopologies.iter();
            parts.filter(|part| part.nodes.iter().any(|node| &*node.name == name)).map(|part| part.id).next()
        };
        let nodes = topology.nodes.iter().map(|node| (node.name.clone(), whole(&node.name).unwrap_or(0)));
        Self {
            nodes: nodes.collect(),
            monitor: monitor.clone(),
            looks_in_part: looks.div_ceil(PARTS).max(1),
            parts: VecDeque::new(),
        }
    }

    /// Looks once at each thread that lives.
    pub fn look(&mut self) {
        if self.parts.back().is_none_or(|part| part.looks == self.looks_in_part) {
            if self.parts.len() == PARTS as usize {
                self.parts.pop_front();
            }
            self.parts.push_back(Part::default());
        }
        let Some(part) = self.parts.back_mut() else { return };
        part.looks += 1;
        self.monitor.instance.metrics.look(|thread, global, mark| {
            if mark != Mark::NONE {
                *part.seen.entry((thread, global, mark)).or_default() += 1;
            }
        });
    }

    /// Forgets what was seen, as if it were new.
    pub fn clear(&mut self) {
        self.parts.clear();
    }

    /// What the last looks have seen: the number that the profile was made for, or up to a tenth fewer, or all if there were not as many yet.
    #[must_use]
    pub fn shares(&self) -> WorkShares {
        let mut seen: HashMap<(usize, bool, Mark), u64> = HashMap::new();
        let mut by_thread: HashMap<usize, u64> = HashMap::new();
        let (mut samples, mut global_samples) = (0, 0);
        for (key, times) in self.parts.iter().flat_map(|part| &part.seen) {
            let (thread, global, _) = *key;
            *seen.entry(*key).or_default() += times;
            *by_thread.entry(thread).or_default() += times;
            *if global { &mut global_samples } else { &mut samples } += times;
        }
        let share = |times: u64, of: u64| if of == 0 { 0.0 } else { times as f64 / of as f64 };
        let node =
            |(name, _): &(Arc<str>, u32)| NodeShare { name: name.clone(), share: 0.0, tasks: Vec::new() };
        let mut shares =
            WorkShares { samples, nodes: self.nodes.iter().map(node).collect(), ..WorkShares::default() };
        for ((thread, global, mark), times) in seen {
            let of_all = share(times, if global { global_samples } else { samples });
            let outside = if global { 0.0 } else { of_all };
            match mark.activity() {
                Activity::Node { node, partition } => {
                    let known = shares.nodes.get_mut(node as usize).zip(self.nodes.get(node as usize));
                    let Some((found, (_, subtopology))) = known else { continue };
                    found.share += of_all;
                    let own = share(times, by_thread.get(&thread).copied().unwrap_or(0));
                    add(&mut found.tasks, TaskId { subtopology: *subtopology, partition }, own);
                }
                Activity::None => {}
                Activity::Polling => shares.polling += outside,
                Activity::Restoring => shares.restoring += outside,
                Activity::Sending => shares.sending += outside,
                Activity::Committing => shares.committing += outside,
                Activity::Other => shares.other += outside,
            }
        }
        shares.nodes.iter_mut().for_each(|node| node.tasks.sort_by_key(|(task, _)| *task));
        shares
    }
}

/// A task that moved from thread to thread was seen on both.
fn add(tasks: &mut Vec<(TaskId, f64)>, task: TaskId, share: f64) {
    match tasks.iter_mut().find(|(known, _)| *known == task) {
        Some((_, sum)) => *sum += share,
        None => tasks.push((task, share)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::embedded::{EmbeddedKafka, VirtualClock};
    use crate::config::{ProcessingGuarantee, StreamsConfig};
    use crate::dsl::StreamsBuilder;
    use crate::runtime::KafkaStreams;
    use crate::topic::Topic;

    const WORDS: Topic<String, String> = Topic::new("words");
    const OUT: Topic<String, String> = Topic::new("out");

    /// A profile of an instance that was not started: its threads are marks that the test sets.
    fn profile(looks: u32) -> WorkProfile {
        let builder = StreamsBuilder::new();
        builder.stream(&WORDS).to(&OUT);
        let config = StreamsConfig::new("app", ProcessingGuarantee::ExactlyOnceV2);
        let kafka = Arc::new(EmbeddedKafka::new(VirtualClock::new(0)));
        KafkaStreams::new(builder.build().unwrap(), config, kafka).unwrap().monitor().work_profile(looks)
    }

    fn node(node: u32, partition: i32) -> Mark {
        Mark::of(Activity::Node { node, partition })
    }

    fn task(partition: i32) -> TaskId {
        TaskId { subtopology: 0, partition }
    }

    #[test]
    fn shares_are_of_all_threads_and_tasks_of_their_own() {
        let mut profile = profile(100);
        assert_eq!(profile.shares().samples, 0);
        let metrics = &profile.monitor.instance.metrics;
        let (one, two) = (metrics.thread(), metrics.thread());
        let marks = [
            (node(0, 0), node(1, 3)),
            (node(1, 0), Mark::of(Activity::Polling)),
            (node(1, 0), Mark::of(Activity::Committing)),
            (node(1, 2), Mark::of(Activity::Polling)),
        ];
        for (mark, other) in marks {
            one.at_work.set(mark);
            two.at_work.set(other);
            profile.look();
        }
        let shares = profile.shares();
        assert_eq!((shares.samples, shares.polling, shares.committing), (8, 0.25, 0.125));
        assert_eq!((shares.sending, shares.restoring, shares.other), (0.0, 0.0, 0.0));
        let [source, sink] = &shares.nodes[..] else { panic!("{shares:?}") };
        assert_eq!((&*source.name, source.share), ("KSTREAM-SOURCE-0000000000", 0.125));
        assert_eq!((source.tasks.as_slice(), sink.share), ([(task(0), 0.25)].as_slice(), 0.5));
        assert_eq!(sink.tasks, [(task(0), 0.5), (task(2), 0.25), (task(3), 0.25)]);
    }

    #[test]
    fn who_has_ended_or_feeds_global_stores_takes_no_share_from_stream_threads() {
        let mut profile = profile(100);
        let metrics = &profile.monitor.instance.metrics;
        let (thread, ended, global) = (metrics.thread(), metrics.thread(), metrics.global_thread());
        thread.at_work.set(Mark::of(Activity::Polling));
        ended.at_work.set(Mark::NONE);
        for mark in [node(1, -1), Mark::of(Activity::Polling)] {
            global.at_work.set(mark);
            profile.look();
        }
        let shares = profile.shares();
        assert_eq!((shares.samples, shares.polling), (2, 1.0));
        let [source, sink] = &shares.nodes[..] else { panic!("{shares:?}") };
        assert_eq!(
            (source.share, sink.share, sink.tasks.as_slice()),
            (0.0, 0.5, [(task(-1), 0.5)].as_slice())
        );
    }

    #[test]
    fn what_was_seen_before_the_last_looks_is_forgotten() {
        let mut profile = profile(20);
        let thread = profile.monitor.instance.metrics.thread();
        let mut look = |mark, times| {
            thread.at_work.set(mark);
            (0..times).for_each(|_| profile.look());
            let shares = profile.shares();
            (shares.samples, shares.nodes[0].share)
        };
        assert_eq!(look(node(0, 0), 5), (5, 1.0));
        assert_eq!(look(Mark::of(Activity::Other), 15), (20, 0.25));
        // In tenths: the oldest two looks make room for the next one.
        assert_eq!(look(Mark::of(Activity::Other), 1), (19, 3.0 / 19.0));
        assert_eq!(look(Mark::of(Activity::Other), 1), (20, 0.15));
        assert_eq!(look(Mark::of(Activity::Other), 4), (20, 0.0));
        profile.clear();
        assert_eq!(profile.shares().samples, 0);
    }
}
