//! Every error that Kafka Streams throws while a topology is built, and what becomes of it here: a sentence in the
//! list of faults, a program that does not compile, or nothing, and why. The sentences are made, one by one, and all in
//! one topology: of the DSL, and node by node.

mod elsewhere;
mod graph;
mod low_level;
mod windows;

use streams_core::dsl::StreamsBuilder;
use streams_core::topic::{Store, Topic};
use streams_core::topology::Topology;

type In = Topic<String, i64>;
type Kept = Store<String, i64>;

/// What becomes of one of Java's errors.
enum Here {
    /// A fault with these words, made by this program. Each program has topics and stores of its own.
    Fault(&'static str, fn(&StreamsBuilder)),
    /// The same, node by node.
    LowLevel(&'static str, fn(&mut Topology)),
    /// The program does not compile, because of this.
    Type(&'static str),
    /// An error of the call itself, as in Java, or of the start; shown by the test named.
    Elsewhere(&'static str),
    /// Not possible or not wanted here, because of this.
    Never(&'static str),
}

use Here::{Elsewhere, Fault, LowLevel, Never, Type};

/// Where Java throws, and what becomes of it.
type Row = (&'static str, Here);

fn catalogue() -> impl Iterator<Item = &'static Row> + Clone {
    graph::GRAPH.iter().chain(windows::WINDOWS).chain(low_level::LOW_LEVEL).chain(elsewhere::ELSEWHERE)
}

/// What a topology of the DSL and one made node by node say, with these programs in them.
fn faults_of(programs: &[&Here]) -> Vec<String> {
    let (builder, mut topology) = (StreamsBuilder::new(), Topology::new());
    builder.stream(&In::new("always"));
    topology.add_source("always", &[&In::new("always")]);
    for here in programs {
        match here {
            Fault(_, program) => program(&builder),
            LowLevel(_, program) => program(&mut topology),
            Type(_) | Elsewhere(_) | Never(_) => {}
        }
    }
    let found = [builder.build().map(drop), topology.validate()];
    found.into_iter().filter_map(Result::err).flat_map(|error| error.faults).collect()
}

#[test]
fn each_fault_alone_is_one_sentence() {
    for (java, here) in catalogue() {
        let (Fault(words, _) | LowLevel(words, _)) = here else { continue };
        let faults = faults_of(&[here]);
        assert_eq!(faults.len(), 1, "{java}: {faults:#?}");
        assert!(faults[0].contains(words), "{java}: {faults:#?}");
        assert!(!faults[0].contains('\n') && !faults[0].contains("  "), "one line: {faults:?}");
    }
}

#[test]
fn all_faults_of_one_topology_are_in_one_list() {
    let all: Vec<&Here> = catalogue().map(|(_, here)| here).collect();
    let faults = faults_of(&all);
    let mut programs = 0;
    for (java, here) in catalogue() {
        let (Fault(words, _) | LowLevel(words, _)) = here else { continue };
        programs += 1;
        assert!(faults.iter().any(|fault| fault.contains(words)), "{java}: {words} is not in {faults:#?}");
    }
    assert_eq!(faults.len(), programs, "{faults:#?}");
}

#[test]
fn what_is_no_fault_says_why() {
    for (java, here) in catalogue() {
        match here {
            Fault(words, _) | LowLevel(words, _) | Type(words) | Elsewhere(words) | Never(words) => {
                assert!(!words.is_empty(), "{java}")
            }
        }
    }
}
