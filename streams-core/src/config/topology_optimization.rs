//! `topology.optimization`: which rules the DSL may apply when it builds.

use std::str::FromStr;

/// Rules by which the DSL makes fewer topics and stores. They change names and topics: choose before the first start.
///
/// ```
/// use streams_core::config::TopologyOptimization;
/// let all: TopologyOptimization = "all".parse()?;
/// assert_eq!(all, TopologyOptimization::ALL);
/// let one: TopologyOptimization = "reuse.ktable.source.topics".parse()?;
/// assert!(one.reuse_ktable_source_topics && !one.merge_repartition_topics);
/// assert!("al".parse::<TopologyOptimization>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TopologyOptimization {
    /// `reuse.ktable.source.topics`: a table's source topic serves as its changelog.
    pub reuse_ktable_source_topics: bool,
    /// `merge.repartition.topics`: one repartition topic where several would carry the same records.
    pub merge_repartition_topics: bool,
    /// `single.store.self.join`: a stream that is joined with itself is kept once.
    pub single_store_self_join: bool,
}

impl TopologyOptimization {
    /// `none`, the default.
    pub const NONE: Self = Self {
        reuse_ktable_source_topics: false,
        merge_repartition_topics: false,
        single_store_self_join: false,
    };
    /// `all`.
    pub const ALL: Self = Self {
        reuse_ktable_source_topics: true,
        merge_repartition_topics: true,
        single_store_self_join: true,
    };
}

impl FromStr for TopologyOptimization {
    type Err = String;

    /// From `none`, `all`, or a list of rules. The error is what follows "must be".
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "none" => return Ok(Self::NONE),
            "all" => return Ok(Self::ALL),
            _ => {}
        }
        let mut rules = Self::NONE;
        for rule in text.split(',').map(str::trim) {
            match rule {
                "reuse.ktable.source.topics" => rules.reuse_ktable_source_topics = true,
                "merge.repartition.topics" => rules.merge_repartition_topics = true,
                "single.store.self.join" => rules.single_store_self_join = true,
                _ => {
                    return Err(
                        "`none`, `all`, or a list of: reuse.ktable.source.topics, merge.repartition.topics, \
                         single.store.self.join"
                            .to_owned(),
                    );
                }
            }
        }
        Ok(rules)
    }
}
