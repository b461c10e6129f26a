//! Every error that Kafka Streams throws while a topology is built, and what becomes of it here: a sentence in the
//! list of faults, a program that does not compile, or nothing, and why. The sentences are made, one by one, and all in
//! one topology.

mod elsewhere;
mod graph;
mod windows;

use streams_core::dsl::StreamsBuilder;
use streams_core::topic::{Store, Topic};

type In = Topic<String, i64>;
type Kept = Store<String, i64>;

/// What becomes of one of Java's errors.
enum Here {
    /// A fault with these words, made by this program. Each program has topics and stores of its own.
    Fault(&'static str, fn(&StreamsBuilder)),
    /// The program does not compile, because of this.
    Type(&'static str),
    /// An error of the call itself, as in Java, or of the start; shown by the test named.
    Elsewhere(&'static str),
    /// Not possible or not wanted here, because of this.
    Never(&'static str),
}

use Here::{Elsewhere, Fault, Never, Type};

/// Where Java throws, and what becomes of it.
type Row = (&'static str, Here);

fn catalogue() -> impl Iterator<Item = &'static Row> + Clone {
    graph::GRAPH.iter().chain(windows::WINDOWS).chain(elsewhere::ELSEWHERE)
}

#[test]
fn each_fault_alone_is_one_sentence() {
    for (java, here) in catalogue() {
        let Fault(words, program) = here else { continue };
        let builder = StreamsBuilder::new();
        builder.stream(&In::new("always"));
        program(&builder);
        let faults = super::faults(&builder);
        assert_eq!(faults.len(), 1, "{java}: {faults:#?}");
        assert!(faults[0].contains(words), "{java}: {faults:#?}");
        assert!(!faults[0].contains('\n') && !faults[0].contains("  "), "one line: {faults:?}");
    }
}

#[test]
fn all_faults_of_one_topology_are_in_one_list() {
    let builder = StreamsBuilder::new();
    let programs = catalogue().filter_map(|(java, here)| {
        if let Fault(words, program) = here { Some((java, words, program)) } else { None }
    });
    programs.clone().for_each(|(_, _, program)| program(&builder));
    let faults = super::faults(&builder);
    for (java, words, _) in programs.clone() {
        assert!(faults.iter().any(|fault| fault.contains(words)), "{java}: {words} is not in {faults:#?}");
    }
    assert_eq!(faults.len(), programs.count(), "{faults:#?}");
}

#[test]
fn what_is_no_fault_says_why() {
    for (java, here) in catalogue() {
        match here {
            Fault(words, _) | Type(words) | Elsewhere(words) | Never(words) => {
                assert!(!words.is_empty(), "{java}")
            }
        }
    }
}
