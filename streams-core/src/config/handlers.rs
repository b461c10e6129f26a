//! Exception handlers by their names in a properties file: Kafka Streams' Java classes, and ours.

use std::sync::Arc;

use crate::handler::{DeadLetterQueue, ExceptionHandler, LogAndContinue, LogAndFail};

/// The three settings that hold a handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Deserialization,
    Processing,
    Production,
}

impl Place {
    pub(super) const ALL: [Place; 3] = [Place::Deserialization, Place::Processing, Place::Production];

    /// The setting, and its old name.
    pub(super) fn keys(self) -> (&'static str, Option<&'static str>) {
        match self {
            Place::Deserialization => {
                ("deserialization.exception.handler", Some("default.deserialization.exception.handler"))
            }
            Place::Processing => ("processing.exception.handler", None),
            Place::Production => {
                ("production.exception.handler", Some("default.production.exception.handler"))
            }
        }
    }

    fn classes(self) -> &'static [(&'static str, Answer)] {
        match self {
            Place::Deserialization => &[
                ("LogAndFailExceptionHandler", Answer::Fail),
                ("LogAndContinueExceptionHandler", Answer::Continue),
            ],
            Place::Processing => &[
                ("LogAndFailProcessingExceptionHandler", Answer::Fail),
                ("LogAndContinueProcessingExceptionHandler", Answer::Continue),
            ],
            Place::Production => &[("DefaultProductionExceptionHandler", Answer::Fail)],
        }
    }
}

#[derive(Clone, Copy)]
enum Answer {
    Fail,
    Continue,
}

/// The handler that a class name stands for. As in Kafka Streams, a dead-letter topic takes each failed record, also
/// that of a handler which fails then.
pub(super) fn handler(
    place: Place,
    class: &str,
    dead_letters: Option<&str>,
) -> Result<Arc<dyn ExceptionHandler>, String> {
    let name = class.trim();
    let simple = name.strip_prefix("org.apache.kafka.streams.errors.").unwrap_or(name);
    let ours = [("LogAndFail", Answer::Fail), ("LogAndContinue", Answer::Continue)];
    let known = place.classes().iter().chain(&ours).find(|(class, _)| *class == simple);
    match (known, dead_letters) {
        (Some((_, Answer::Fail)), None) => Ok(Arc::new(LogAndFail)),
        (Some((_, Answer::Fail)), Some(topic)) => Ok(Arc::new(DeadLetterQueue::new(topic).and_fail())),
        (Some((_, Answer::Continue)), None) => Ok(Arc::new(LogAndContinue)),
        (Some((_, Answer::Continue)), Some(topic)) => Ok(Arc::new(DeadLetterQueue::new(topic))),
        (None, _) => {
            let names: Vec<String> =
                place.classes().iter().chain(&ours).map(|(class, _)| format!("`{class}`")).collect();
            Err(format!(
                "one of {}; a handler of your own is no Java class here: set the field of `StreamsConfig` in code",
                names.join(", ")
            ))
        }
    }
}
