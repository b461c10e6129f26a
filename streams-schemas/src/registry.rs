//! What a registry can do, and the handle that serdes share: the same with its answers cached.

use std::sync::Arc;

use streams_state::serdes::Part;

use crate::bounded::Bounded;
use crate::config::SchemaRegistryConfig;
use crate::error::SchemaError;
use crate::schema::{Compatibility, CompatibilityLevel, Registered, Schema, SchemaId, Version};
use crate::subject::SubjectNames;

/// A registry of schemas: one behind HTTP ([`HttpRegistry`](crate::HttpRegistry)), or one in this process
/// ([`InMemoryRegistry`](crate::InMemoryRegistry)). Calls block, and return by a deadline of their own. An answer about a schema
/// that is registered must stay true.
pub trait Registry: Send + Sync {
    /// Registers `schema` under `subject` as its next version, if it is not there already. Its id.
    ///
    /// # Errors
    /// [`SchemaError::Incompatible`] if the subject's level forbids it.
    fn register(&self, subject: &str, schema: &Schema) -> Result<SchemaId, SchemaError>;

    /// The schema with this id.
    ///
    /// # Errors
    /// [`SchemaError::UnknownId`].
    fn schema(&self, id: SchemaId) -> Result<Schema, SchemaError>;

    /// A version of a subject.
    ///
    /// # Errors
    /// [`SchemaError::NotRegistered`].
    fn version(&self, subject: &str, version: Version) -> Result<Registered, SchemaError>;

    /// Where `schema` stands under `subject`.
    ///
    /// # Errors
    /// [`SchemaError::NotRegistered`].
    fn find(&self, subject: &str, schema: &Schema) -> Result<Registered, SchemaError>;

    /// The versions of a subject.
    ///
    /// # Errors
    /// [`SchemaError::NotRegistered`].
    fn versions(&self, subject: &str) -> Result<Vec<i32>, SchemaError>;

    /// All subjects.
    fn subjects(&self) -> Result<Vec<String>, SchemaError>;

    /// Whether `schema` may become the next version of `subject`, which has one.
    fn check(&self, subject: &str, schema: &Schema) -> Result<Compatibility, SchemaError>;

    /// The level of a subject, or, if it has none, of all. (Apicurio says `None` then, whatever it goes by.)
    fn compatibility(&self, subject: &str) -> Result<CompatibilityLevel, SchemaError>;

    /// Sets the level of a subject; `None`: of all that have none of their own.
    fn set_compatibility(&self, subject: Option<&str>, level: CompatibilityLevel) -> Result<(), SchemaError>;
}

/// A registry with its answers cached, and the settings of its serdes. Cheap to clone: make one and give it to all serdes.
#[derive(Clone)]
pub struct SchemaRegistry(Arc<Inner>);

struct Inner {
    registry: Arc<dyn Registry>,
    config: SchemaRegistryConfig,
    by_id: Bounded<SchemaId, Arc<Schema>>,
    /// Ids of schemas that were registered, or looked up because they may not be.
    ids: Bounded<(String, Arc<Schema>), SchemaId>,
}

impl SchemaRegistry {
    /// `registry` with these settings for serdes.
    pub fn new(registry: impl Registry + 'static, config: SchemaRegistryConfig) -> Self {
        let (by_id, ids) = (Bounded::new(config.cached_max), Bounded::new(config.cached_max));
        Self(Arc::new(Inner { registry: Arc::new(registry), config, by_id, ids }))
    }

    /// The registry itself, without caches.
    #[must_use]
    pub fn registry(&self) -> &dyn Registry {
        &*self.0.registry
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &SchemaRegistryConfig {
        &self.0.config
    }

    /// The schema with this id, asked for once.
    pub fn schema(&self, id: SchemaId) -> Result<Arc<Schema>, SchemaError> {
        self.0.by_id.get_or(id, |id| self.0.registry.schema(*id).map(Arc::new))
    }

    /// The id of `schema` under `subject`, asked for once: it is registered, or, with `auto.register.schemas=false`, must be there.
    pub fn id(&self, subject: &str, schema: &Arc<Schema>) -> Result<SchemaId, SchemaError> {
        self.0.ids.get_or((subject.to_owned(), schema.clone()), |(subject, schema)| {
            match self.0.config.auto_register {
                true => self.0.registry.register(subject, schema),
                false => self.0.registry.find(subject, schema).map(|found| found.id),
            }
        })
    }

    /// The texts of all that `schema` uses, what is used first first; each once.
    pub fn references(&self, schema: &Schema) -> Result<Vec<(String, Schema)>, SchemaError> {
        let mut found: Vec<(String, Schema)> = Vec::new();
        self.collect_references(schema, &mut found, 0)?;
        Ok(found)
    }

    fn collect_references(
        &self,
        schema: &Schema,
        found: &mut Vec<(String, Schema)>,
        depth: usize,
    ) -> Result<(), SchemaError> {
        /// Schemas that use schemas: no more than this, whatever a registry says.
        const DEPTH_MAX: usize = 32;
        for reference in &schema.references {
            if depth >= DEPTH_MAX || found.iter().any(|(name, _)| *name == reference.name) {
                continue;
            }
            let used = self.0.registry.version(&reference.subject, Version::Number(reference.version))?;
            self.collect_references(&used.schema, found, depth + 1)?;
            found.push((reference.name.clone(), used.schema));
        }
        Ok(())
    }

    pub(crate) fn subjects_of(&self, part: Option<Part>) -> SubjectNames {
        match part {
            Some(Part::Key) => self.0.config.key_subjects,
            Some(Part::Value) | None => self.0.config.value_subjects,
        }
    }
}
