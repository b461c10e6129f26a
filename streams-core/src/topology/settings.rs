//! An application's settings -> its topology: what is applied when it starts, and what had to be known when it was built.

use super::{StoreFormat, StoreSpec, Topology};
use crate::config::{StreamsConfig, TopologyOptimization};

/// The settings that the DSL built a topology with: they shape the plan, and cannot be applied later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BuiltWith {
    /// `topology.optimization`.
    pub optimization: TopologyOptimization,
    /// `ensure.explicit.internal.resource.naming`.
    pub explicit_naming: bool,
}

impl Topology {
    /// Applies the settings that may come after the topology was built: where DSL stores are kept, and in which form. Warns of
    /// those that came too late.
    pub fn apply(&mut self, config: &StreamsConfig) {
        if config.dsl_stores_in_memory {
            self.keep_in_memory();
        }
        if config.dsl_store_headers {
            self.keep_headers();
        }
        for setting in self.built_without(config) {
            tracing::warn!(
                setting,
                "has no effect: the topology was built without it; build it with `build_with(&config)`"
            );
        }
    }

    /// Keeps the DSL's stores in memory, but for those whose type the user chose: `dsl.store.suppliers.class`.
    fn keep_in_memory(&mut self) {
        for id in &self.default_places {
            if let Some(store) = self.stores.get_mut(id.0 as usize) {
                store.in_memory = true;
            }
        }
    }

    /// Gives the DSL's stores on disk the form for rows with headers: `dsl.store.format=HEADERS`.
    pub fn keep_headers(&mut self) {
        let dsl = |store: &&mut StoreSpec| store.format == StoreFormat::Dsl && !store.in_memory;
        self.stores.iter_mut().filter(dsl).for_each(|store| store.format = StoreFormat::Headers);
    }

    /// Settings of `config` that the DSL built the topology without, and that shape nothing any more: by name.
    pub fn built_without(&self, config: &StreamsConfig) -> Vec<&'static str> {
        let Some(built) = self.built_with else { return Vec::new() };
        let (wanted, has) = (config.topology_optimization, built.optimization);
        let rules = [
            (wanted.reuse_ktable_source_topics, has.reuse_ktable_source_topics),
            (wanted.merge_repartition_topics, has.merge_repartition_topics),
            (wanted.single_store_self_join, has.single_store_self_join),
        ];
        let missed = |(wanted, has): (bool, bool)| wanted && !has;
        let settings = [
            ("topology.optimization", rules.into_iter().any(missed)),
            (
                "ensure.explicit.internal.resource.naming",
                missed((config.ensure_explicit_internal_resource_naming, built.explicit_naming)),
            ),
        ];
        settings.into_iter().filter(|(_, missed)| *missed).map(|(setting, _)| setting).collect()
    }
}
