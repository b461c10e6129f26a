//! Names exactly as Kafka Streams gives them: one counter, a word for the operator, ten digits.

use std::sync::Arc;

use streams_state::types::Timestamp;

use super::graph::Graph;
use crate::topology::validate_name;

pub(crate) const SOURCE: &str = "KSTREAM-SOURCE-";
pub(crate) const SINK: &str = "KSTREAM-SINK-";
pub(crate) const FILTER: &str = "KSTREAM-FILTER-";
pub(crate) const MAP: &str = "KSTREAM-MAP-";
pub(crate) const MAP_VALUES: &str = "KSTREAM-MAPVALUES-";
pub(crate) const FLAT_MAP: &str = "KSTREAM-FLATMAP-";
pub(crate) const FLAT_MAP_VALUES: &str = "KSTREAM-FLATMAPVALUES-";
pub(crate) const KEY_SELECT: &str = "KSTREAM-KEY-SELECT-";
pub(crate) const PEEK: &str = "KSTREAM-PEEK-";
pub(crate) const FOR_EACH: &str = "KSTREAM-FOREACH-";
pub(crate) const PRINTER: &str = "KSTREAM-PRINTER-";
pub(crate) const MERGE: &str = "KSTREAM-MERGE-";
pub(crate) const BRANCH: &str = "KSTREAM-BRANCH-";
pub(crate) const PROCESSOR: &str = "KSTREAM-PROCESSOR-";
pub(crate) const PROCESS_VALUES: &str = "KSTREAM-PROCESSVALUES-";
pub(crate) const REPARTITION: &str = "KSTREAM-REPARTITION-";
pub(crate) const TO_TABLE: &str = "KSTREAM-TOTABLE-";
pub(crate) const AGGREGATE: &str = "KSTREAM-AGGREGATE-";
pub(crate) const REDUCE: &str = "KSTREAM-REDUCE-";
pub(crate) const JOIN: &str = "KSTREAM-JOIN-";
pub(crate) const LEFT_JOIN: &str = "KSTREAM-LEFTJOIN-";
pub(crate) const WINDOWED: &str = "KSTREAM-WINDOWED-";
pub(crate) const JOIN_THIS: &str = "KSTREAM-JOINTHIS-";
pub(crate) const JOIN_OTHER: &str = "KSTREAM-JOINOTHER-";
pub(crate) const OUTER_THIS: &str = "KSTREAM-OUTERTHIS-";
pub(crate) const OUTER_OTHER: &str = "KSTREAM-OUTEROTHER-";
pub(crate) const OUTER_SHARED: &str = "KSTREAM-OUTERSHARED-";
pub(crate) const TABLE_SOURCE: &str = "KTABLE-SOURCE-";
pub(crate) const TABLE_FILTER: &str = "KTABLE-FILTER-";
pub(crate) const TABLE_MAP_VALUES: &str = "KTABLE-MAPVALUES-";
pub(crate) const SUPPRESS: &str = "KTABLE-SUPPRESS-";
pub(crate) const TABLE_TRANSFORM_VALUES: &str = "KTABLE-TRANSFORMVALUES-";
pub(crate) const TABLE_SELECT: &str = "KTABLE-SELECT-";
pub(crate) const TABLE_AGGREGATE: &str = "KTABLE-AGGREGATE-";
pub(crate) const TABLE_REDUCE: &str = "KTABLE-REDUCE-";
pub(crate) const TABLE_JOIN_THIS: &str = "KTABLE-JOINTHIS-";
pub(crate) const TABLE_JOIN_OTHER: &str = "KTABLE-JOINOTHER-";
pub(crate) const TABLE_MERGE: &str = "KTABLE-MERGE-";
pub(crate) const COGROUP_AGGREGATE: &str = "COGROUPKSTREAM-AGGREGATE-";
pub(crate) const COGROUP_MERGE: &str = "COGROUPKSTREAM-MERGE-";
pub(crate) const TO_STREAM: &str = "KTABLE-TOSTREAM-";
/// What the parts of a foreign-key join are called.
pub(crate) mod foreign_key {
    pub(crate) const SINK: &str = "KTABLE-SINK-";
    pub(crate) const SOURCE: &str = "KTABLE-SOURCE-";
    pub(crate) const REGISTRATION: &str = "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-";
    pub(crate) const STORE: &str = "KTABLE-FK-JOIN-SUBSCRIPTION-STATE-STORE-";
    pub(crate) const PROCESSOR: &str = "KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-";
    pub(crate) const RESPONSE: &str = "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-";
    pub(crate) const RESOLVER: &str = "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-";
    pub(crate) const OUTPUT: &str = "KTABLE-FK-JOIN-OUTPUT-";
}
pub(crate) const REPARTITION_SUFFIX: &str = "-repartition";

/// The three nodes and the topic of a repartition.
#[derive(Clone, Debug)]
pub(crate) struct RepartitionNames {
    pub(crate) topic: Arc<str>,
    pub(crate) filter: Arc<str>,
    pub(crate) sink: Arc<str>,
    pub(crate) source: Arc<str>,
}

impl Graph {
    fn next_index(&mut self) -> u32 {
        self.index += 1;
        self.index - 1
    }

    /// `prefix` and the next number.
    pub(crate) fn new_processor_name(&mut self, prefix: &str) -> Arc<str> {
        format!("{prefix}{:010}", self.next_index()).into()
    }

    /// `prefix`, `STATE-STORE-` and the next number.
    pub(crate) fn new_store_name(&mut self, prefix: &str) -> Arc<str> {
        format!("{prefix}STATE-STORE-{:010}", self.next_index()).into()
    }

    /// The user's name, else a generated one. A number is used up either way.
    pub(crate) fn name_or(&mut self, name: &Option<String>, prefix: &str) -> Arc<str> {
        self.name_with_suffix_or(name, "", prefix)
    }

    /// The user's name with `suffix`, else a generated one. A number is used up either way.
    pub(crate) fn name_with_suffix_or(
        &mut self,
        name: &Option<String>,
        suffix: &str,
        prefix: &str,
    ) -> Arc<str> {
        let generated = self.new_processor_name(prefix);
        match name {
            Some(name) => {
                let name = format!("{name}{suffix}");
                self.check_name(&name);
                name.into()
            }
            None => generated,
        }
    }

    /// Names of a repartition whose topic is named after `prefix`. Uses up three numbers.
    pub(crate) fn repartition_names(&mut self, prefix: &str, named_by_user: bool) -> RepartitionNames {
        let topic = match prefix.ends_with(REPARTITION_SUFFIX) {
            true => prefix.to_owned(),
            false => format!("{prefix}{REPARTITION_SUFFIX}"),
        };
        if !named_by_user {
            self.unnamed.repartition_topics.push(topic.clone());
        }
        let sink = self.new_processor_name(SINK);
        let filter = self.new_processor_name(FILTER);
        let source = self.new_processor_name(SOURCE);
        if is_generated_stream_name(prefix) {
            return RepartitionNames { topic: topic.into(), filter, sink, source };
        }
        RepartitionNames {
            filter: format!("{topic}-filter").into(),
            sink: format!("{topic}-sink").into(),
            source: format!("{topic}-source").into(),
            topic: topic.into(),
        }
    }

    /// Notes what is wrong with the operator `what` below `node`.
    pub(crate) fn note_fault(&mut self, what: &str, node: &str, fault: Option<String>) {
        self.faults.extend(fault.map(|fault| format!("{what} of `{node}`: {fault}")));
    }

    /// Notes a time that does not fit into Kafka Streams' milliseconds.
    pub(crate) fn check_time(&mut self, what: &str, node: &str, time: Timestamp) {
        let fault = (time == Timestamp::MAX).then(|| {
            "the time is longer than can be counted in milliseconds; give one below 292 million years"
                .to_owned()
        });
        self.note_fault(what, node, fault);
    }

    /// Notes a fault if Kafka would refuse `name` as part of a topic name.
    pub(crate) fn check_name(&mut self, name: &str) {
        if let Err(error) = validate_name(name)
            && !self.refused_names.iter().any(|known| known == name)
        {
            self.refused_names.push(name.to_owned());
            self.faults.extend(error.faults);
        }
    }
}

/// Whether `name` looks like `KSTREAM...-0000000001`.
fn is_generated_stream_name(name: &str) -> bool {
    let Some((word, digits)) = name.rsplit_once('-') else { return false };
    word.starts_with("KSTREAM") && digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Internal names that the user left to the counter; `ensure.explicit.internal.resource.naming` refuses them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unnamed {
    pub(crate) changelog_topics: Vec<String>,
    pub(crate) stores: Vec<String>,
    pub(crate) repartition_topics: Vec<String>,
}

impl Unnamed {
    fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str, &Vec<String>)> {
        [
            ("changelog topics", "Materialized", &self.changelog_topics),
            ("state stores", "Materialized", &self.stores),
            ("repartition topics", "named(..)", &self.repartition_topics),
        ]
        .into_iter()
        .filter(|(_, _, names)| !names.is_empty())
    }

    /// Says that such names change with the program: an application that is deployed then loses sight of its state.
    pub(crate) fn warn(&self) {
        for (what, how, names) in self.kinds() {
            tracing::warn!(
                names = names.join(", "),
                "these {what} have generated names, which change when operators are added above (use {how}, and \
                 ensure.explicit.internal.resource.naming to be told)"
            );
        }
    }

    /// One sentence for each kind of name that is missing.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.kinds()
            .map(|(what, how, names)| {
                format!("these {what} have no name of yours (use {how}): {}", names.join(", "))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::is_generated_stream_name;

    #[test]
    fn tells_generated_names() {
        assert!(is_generated_stream_name("KSTREAM-MAP-0000000001"));
        assert!(is_generated_stream_name("KSTREAM-BRANCH-0000000001-0000000002"));
        assert!(!is_generated_stream_name("KSTREAM-MAP-0000000001-repartition"));
        assert!(!is_generated_stream_name("KSTREAM-BRANCH-00000000011"));
        assert!(!is_generated_stream_name("counts"));
        assert!(!is_generated_stream_name("KTABLE-SOURCE-0000000001"));
    }
}
