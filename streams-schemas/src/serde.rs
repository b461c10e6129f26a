//! What the serdes of all kinds share: subject, id, frame, null.
//!
//! In: a value, or bytes. Out: framed bytes, or a value. A [`Format`] knows its kind of schema and nothing of registries.

use std::sync::{Arc, OnceLock};

use streams_state::serdes::{Part, Serde, SerdeError, SerdeRef};

use crate::bounded::Bounded;
use crate::error::SchemaError;
use crate::registry::SchemaRegistry;
use crate::schema::{Schema, SchemaId, SchemaKind, Version};
use crate::subject::SubjectNames;
use crate::wire::{read_frame, write_frame};

/// A kind of schema, and values of `T` by it.
pub trait Format<T>: Send + Sync + 'static {
    /// What a schema becomes before records are read or written with it.
    type Parsed: Send + Sync + 'static;

    /// Its kind.
    const KIND: SchemaKind;

    /// Parses a schema. `uses` are those that it uses, by name, what is used first first.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn parse(&self, schema: &Schema, uses: &[(String, Schema)]) -> Result<Self::Parsed, String>;

    /// Appends the data of `value`, written with `schema`.
    ///
    /// # Errors
    /// Why the value does not fit.
    fn write(&self, value: &T, schema: &Self::Parsed, out: &mut Vec<u8>) -> Result<(), String>;

    /// The value of `data`, which was written with the schema `writer`, as the application's own schema `reader` has it.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, data: &[u8], writer: &Self::Parsed, reader: &Self::Parsed) -> Result<T, String>;
}

/// A serde of `T` with schemas in a registry. [`AvroSerde`](crate::AvroSerde), [`ProtobufSerde`](crate::ProtobufSerde) and
/// [`JsonSchemaSerde`](crate::JsonSchemaSerde) are its kinds.
///
/// It serves `T` and `Option<T>`; `None` is null. Nothing is asked of the registry before the first record, and then once for each
/// schema.
pub struct RegistrySerde<T, F: Format<T>> {
    shared: Arc<Shared<T, F>>,
    /// The topic whose records it serves.
    topic: Option<(String, Part)>,
    subjects: Option<SubjectNames>,
    /// What it writes with.
    writes: OnceLock<(SchemaId, Arc<F::Parsed>)>,
}

struct Shared<T, F: Format<T>> {
    registry: SchemaRegistry,
    format: F,
    schema: Arc<Schema>,
    /// The name of the type, for subjects and errors.
    name: String,
    /// The application's own schema.
    own: OnceLock<Arc<F::Parsed>>,
    by_id: Bounded<SchemaId, Arc<F::Parsed>>,
}

impl<T, F: Format<T>> Clone for RegistrySerde<T, F> {
    fn clone(&self) -> Self {
        let (topic, writes) = (self.topic.clone(), self.writes.clone());
        Self { shared: self.shared.clone(), topic, subjects: self.subjects, writes }
    }
}

impl<T: 'static, F: Format<T>> RegistrySerde<T, F> {
    /// A serde of values called `name`, with the application's schema and a format of its own making.
    ///
    /// # Errors
    /// A schema that is wrong. One that uses others is looked at with the first record.
    pub fn with_format(
        registry: &SchemaRegistry,
        format: F,
        schema: Schema,
        name: impl Into<String>,
    ) -> Result<Self, SchemaError> {
        let by_id = Bounded::new(registry.config().cached_max);
        let alone = schema.references.is_empty();
        let (registry, schema, own) = (registry.clone(), Arc::new(schema), OnceLock::new());
        let shared = Arc::new(Shared { registry, format, schema, name: name.into(), own, by_id });
        if alone {
            shared.own()?;
        }
        Ok(Self { shared, topic: None, subjects: None, writes: OnceLock::new() })
    }

    /// With subjects named in this way, whatever the settings say: for a topic with several types.
    #[must_use]
    pub fn with_subjects(self, subjects: SubjectNames) -> Self {
        Self { subjects: Some(subjects), writes: OnceLock::new(), ..self }
    }

    /// Registers the schema, or looks it up, before the first record: for a start that fails early.
    ///
    /// # Errors
    /// As with the first record.
    pub fn prepare(&self, topic: &str, part: Part) -> Result<SchemaId, SchemaError> {
        Ok(self.bound(topic, part).writes()?.0)
    }

    fn bound(&self, topic: &str, part: Part) -> Self {
        let (topic, writes) = (Some((topic.to_owned(), part)), OnceLock::new());
        Self { shared: self.shared.clone(), topic, subjects: self.subjects, writes }
    }

    /// Id and schema that are written with.
    fn writes(&self) -> Result<&(SchemaId, Arc<F::Parsed>), SchemaError> {
        if let Some(writes) = self.writes.get() {
            return Ok(writes);
        }
        let Shared { registry, schema, name, .. } = &*self.shared;
        let topic = self.topic.as_ref().map(|(topic, part)| (topic.as_str(), *part));
        let subjects = self.subjects.unwrap_or_else(|| registry.subjects_of(topic.map(|(_, part)| part)));
        let subject = subjects.subject(topic, name)?;
        let writes = match registry.config().use_latest {
            true => {
                let id = registry.registry().version(&subject, Version::Latest)?.id;
                (id, self.shared.parsed(id)?)
            }
            false => (registry.id(&subject, schema)?, self.shared.own()?),
        };
        Ok(self.writes.get_or_init(|| writes))
    }

    fn write(&self, value: &T, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        let (id, schema) = self.writes()?;
        let start = out.len();
        write_frame(*id, out);
        self.shared.format.write(value, schema, out).map_err(|message| {
            out.truncate(start);
            SchemaError::Unwritable { kind: F::KIND, message }
        })
    }

    fn read(&self, bytes: &[u8]) -> Result<T, SchemaError> {
        let (id, data) = read_frame(bytes)?;
        let (writer, reader) = (self.shared.parsed(id)?, self.shared.own()?);
        let read = self.shared.format.read(data, &writer, &reader);
        read.map_err(|message| SchemaError::Unreadable { id, message })
    }
}

impl<T, F: Format<T>> Shared<T, F> {
    fn own(&self) -> Result<Arc<F::Parsed>, SchemaError> {
        if let Some(own) = self.own.get() {
            return Ok(own.clone());
        }
        let uses = self.registry.references(&self.schema)?;
        let own = self.format.parse(&self.schema, &uses).map_err(|message| SchemaError::InvalidSchema {
            kind: F::KIND,
            name: self.name.clone(),
            message,
        })?;
        Ok(self.own.get_or_init(|| Arc::new(own)).clone())
    }

    fn parsed(&self, id: SchemaId) -> Result<Arc<F::Parsed>, SchemaError> {
        self.by_id.get_or(id, |id| {
            let schema = self.registry.schema(*id)?;
            if schema.kind != F::KIND {
                return Err(SchemaError::OtherKind { id: *id, found: schema.kind, expected: F::KIND });
            }
            let uses = self.registry.references(&schema)?;
            let parsed = self.format.parse(&schema, &uses);
            parsed.map(Arc::new).map_err(|message| SchemaError::Unreadable { id: *id, message })
        })
    }
}

impl<T: 'static, F: Format<T>> Serde<T> for RegistrySerde<T, F> {
    fn serialize(&self, value: &T, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        self.write(value, out)?;
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<T, SerdeError> {
        let null = || SerdeError::new(format!("null where `{}` was expected", self.shared.name));
        Ok(self.read(bytes.ok_or_else(null)?)?)
    }

    fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<T>> {
        Some(Arc::new(self.bound(topic, part)))
    }
}

impl<T: 'static, F: Format<T>> Serde<Option<T>> for RegistrySerde<T, F> {
    fn serialize(&self, value: &Option<T>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        if let Some(value) = value {
            self.write(value, out)?;
        }
        Ok(value.is_some())
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Option<T>, SerdeError> {
        Ok(bytes.map(|bytes| self.read(bytes)).transpose()?)
    }

    fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<Option<T>>> {
        Some(Arc::new(self.bound(topic, part)))
    }

    fn is_null(&self, value: &Option<T>) -> bool {
        value.is_none()
    }
}
