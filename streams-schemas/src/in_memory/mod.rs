//! A registry in this process: for demos, tests and simulations.
//!
//! In: what any registry is asked. Out: what Confluent's would answer, its ids counted from 1, its level `BACKWARD`. It can be
//! [down](InMemoryRegistry::set_down), so that a test shows what an application does then.

#[cfg(feature = "json-schema")]
mod json_rules;
#[cfg(feature = "protobuf")]
mod protobuf_rules;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::SchemaRegistryConfig;
use crate::error::SchemaError;
use crate::registry::{Registry, SchemaRegistry};
use crate::schema::{Compatibility, CompatibilityLevel, Registered, Schema, SchemaId, SchemaKind, Version};

const ADDRESS: &str = "in memory";

/// A registry in this process. Clones are the same registry.
#[derive(Clone, Default)]
pub struct InMemoryRegistry(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By id, from 1.
    schemas: Vec<Schema>,
    /// Ids of a subject's versions, from 1.
    subjects: BTreeMap<String, Vec<SchemaId>>,
    level: Option<CompatibilityLevel>,
    levels: BTreeMap<String, CompatibilityLevel>,
    down: bool,
    questions: u64,
}

impl InMemoryRegistry {
    /// Whether it answers.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// How many questions it was asked: with the caches of [`SchemaRegistry`](crate::SchemaRegistry), one for each schema.
    #[must_use]
    pub fn questions(&self) -> u64 {
        self.state().questions
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self, request: &str) -> Result<MutexGuard<'_, State>, SchemaError> {
        let mut state = self.state();
        state.questions += 1;
        match state.down {
            false => Ok(state),
            true => Err(SchemaError::Unavailable {
                url: ADDRESS.to_owned(),
                request: request.to_owned(),
                waited: Duration::ZERO,
                message: "it was taken down".to_owned(),
            }),
        }
    }
}

impl SchemaRegistry {
    /// A registry in this process, for demos and tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(InMemoryRegistry::default(), SchemaRegistryConfig::default())
    }
}

fn not_registered(subject: &str, what: impl ToString, message: &str) -> SchemaError {
    SchemaError::NotRegistered {
        url: ADDRESS.to_owned(),
        subject: subject.to_owned(),
        what: what.to_string(),
        message: message.to_owned(),
    }
}

impl State {
    fn versions(&self, subject: &str) -> Result<&[SchemaId], SchemaError> {
        let versions = self.subjects.get(subject).map(Vec::as_slice);
        versions.ok_or_else(|| not_registered(subject, "any version", "the subject does not exist"))
    }

    fn by_id(&self, id: SchemaId) -> Option<&Schema> {
        self.schemas.get((id as usize).checked_sub(1)?)
    }

    fn registered(&self, subject: &str, version: i32) -> Result<Registered, SchemaError> {
        let at = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
        let id = at.and_then(|at| self.versions(subject).ok()?.get(at).copied());
        let found = id.and_then(|id| Some((id, self.by_id(id)?.clone())));
        let (id, schema) = found.ok_or_else(|| {
            not_registered(subject, format!("version {version}"), "there is no such version")
        })?;
        Ok(Registered { subject: subject.to_owned(), version, id, schema })
    }

    fn find(&self, subject: &str, schema: &Schema) -> Option<Registered> {
        let versions = self.subjects.get(subject)?;
        let at = versions.iter().position(|id| self.by_id(*id) == Some(schema))?;
        self.registered(subject, i32::try_from(at + 1).ok()?).ok()
    }

    fn level(&self, subject: &str) -> CompatibilityLevel {
        let of_all = self.level.unwrap_or(CompatibilityLevel::Backward);
        self.levels.get(subject).copied().unwrap_or(of_all)
    }

    /// A schema, and all that it uses, what is used first first.
    fn whole<'a>(&'a self, schema: &'a Schema) -> Result<Vec<&'a Schema>, SchemaError> {
        let mut all = Vec::new();
        for reference in &schema.references {
            let used = self.registered(&reference.subject, reference.version)?;
            let used = self.by_id(used.id).map(|schema| self.whole(schema)).transpose()?;
            all.extend(used.into_iter().flatten());
        }
        all.push(schema);
        Ok(all)
    }

    fn check(&self, subject: &str, new: &Schema) -> Result<Compatibility, SchemaError> {
        use CompatibilityLevel as Level;
        let (backward, forward, transitive) = match self.level(subject) {
            Level::None => return Ok(Compatibility::Compatible),
            Level::Backward => (true, false, false),
            Level::BackwardTransitive => (true, false, true),
            Level::Forward => (false, true, false),
            Level::ForwardTransitive => (false, true, true),
            Level::Full => (true, true, false),
            Level::FullTransitive => (true, true, true),
        };
        let new = self.whole(new)?;
        let mut reasons = Vec::new();
        for id in self.versions(subject)?.iter().rev().take(if transitive { usize::MAX } else { 1 }) {
            let Some(old) = self.by_id(*id) else { continue };
            let old = self.whole(old)?;
            if backward && let Err(reason) = can_read(&new, &old) {
                reasons.push(format!("the new schema cannot read records of schema {id}: {reason}"));
            }
            if forward && let Err(reason) = can_read(&old, &new) {
                reasons.push(format!("schema {id} cannot read records of the new one: {reason}"));
            }
        }
        match reasons.is_empty() {
            true => Ok(Compatibility::Compatible),
            false => Ok(Compatibility::Incompatible(reasons.join("; "))),
        }
    }
}

/// Whether records written with `writer` can be read with `reader`: each a schema behind those that it uses.
fn can_read(reader: &[&Schema], writer: &[&Schema]) -> Result<(), String> {
    let (Some((reads, read_uses)), Some((writes, write_uses))) = (reader.split_last(), writer.split_last())
    else {
        return Ok(());
    };
    if reads.kind != writes.kind {
        return Err(format!("one is {}, the other {}", reads.kind, writes.kind));
    }
    if reads.text == writes.text {
        return Ok(());
    }
    let _ = (read_uses, write_uses);
    match reads.kind {
        #[cfg(feature = "avro")]
        SchemaKind::Avro => crate::avro::can_read((reads, read_uses), (writes, write_uses)),
        #[cfg(feature = "protobuf")]
        SchemaKind::Protobuf => protobuf_rules::can_read(&reads.text, &writes.text),
        #[cfg(feature = "json-schema")]
        SchemaKind::Json => json_rules::can_read(&reads.text, &writes.text),
        #[allow(unreachable_patterns)]
        SchemaKind::Avro | SchemaKind::Protobuf | SchemaKind::Json => {
            Err(format!("this program was built without {} and cannot compare", reads.kind))
        }
    }
}

/// A text that is no schema of its kind.
fn syntax(schema: &Schema, uses: &[&Schema]) -> Result<(), String> {
    let _ = uses;
    match schema.kind {
        #[cfg(feature = "avro")]
        SchemaKind::Avro => crate::avro::parse(schema, uses).map(drop),
        #[cfg(feature = "protobuf")]
        SchemaKind::Protobuf => crate::protobuf::parse(&schema.text).map(drop),
        #[cfg(feature = "json-schema")]
        SchemaKind::Json => crate::json::parse(&schema.text).map(drop),
        #[allow(unreachable_patterns)]
        SchemaKind::Avro | SchemaKind::Protobuf | SchemaKind::Json => Ok(()),
    }
}

impl Registry for InMemoryRegistry {
    fn register(&self, subject: &str, schema: &Schema) -> Result<SchemaId, SchemaError> {
        let mut state = self.asked("register")?;
        if let Some(found) = state.find(subject, schema) {
            return Ok(found.id);
        }
        let whole = state.whole(schema)?;
        let uses = whole.split_last().map_or(&[][..], |(_, uses)| uses);
        syntax(schema, uses).map_err(|message| SchemaError::InvalidSchema {
            kind: schema.kind,
            name: subject.to_owned(),
            message,
        })?;
        if state.subjects.contains_key(subject)
            && let Compatibility::Incompatible(reason) = state.check(subject, schema)?
        {
            return Err(SchemaError::Incompatible { subject: subject.to_owned(), reason });
        }
        let at = state.schemas.iter().position(|known| known == schema).unwrap_or_else(|| {
            state.schemas.push(schema.clone());
            state.schemas.len() - 1
        });
        let id = SchemaId::try_from(at + 1).unwrap_or(SchemaId::MAX);
        state.subjects.entry(subject.to_owned()).or_default().push(id);
        Ok(id)
    }

    fn schema(&self, id: SchemaId) -> Result<Schema, SchemaError> {
        self.asked("schema by id")?.by_id(id).cloned().ok_or_else(|| SchemaError::UnknownId {
            url: ADDRESS.to_owned(),
            id,
            message: "it was not registered".to_owned(),
        })
    }

    fn version(&self, subject: &str, version: Version) -> Result<Registered, SchemaError> {
        let state = self.asked("version")?;
        let number = match version {
            Version::Number(number) => number,
            Version::Latest => i32::try_from(state.versions(subject)?.len()).unwrap_or(i32::MAX),
        };
        state.registered(subject, number)
    }

    fn find(&self, subject: &str, schema: &Schema) -> Result<Registered, SchemaError> {
        let found = self.asked("schema of a subject")?.find(subject, schema);
        found
            .ok_or_else(|| not_registered(subject, "this schema", "no version of the subject is this schema"))
    }

    fn versions(&self, subject: &str) -> Result<Vec<i32>, SchemaError> {
        let state = self.asked("versions")?;
        Ok((1..).zip(state.versions(subject)?).map(|(version, _)| version).collect())
    }

    fn subjects(&self) -> Result<Vec<String>, SchemaError> {
        Ok(self.asked("subjects")?.subjects.keys().cloned().collect())
    }

    fn check(&self, subject: &str, schema: &Schema) -> Result<Compatibility, SchemaError> {
        let state = self.asked("compatibility")?;
        state.versions(subject)?;
        state.check(subject, schema)
    }

    fn compatibility(&self, subject: &str) -> Result<CompatibilityLevel, SchemaError> {
        Ok(self.asked("level")?.level(subject))
    }

    fn set_compatibility(&self, subject: Option<&str>, level: CompatibilityLevel) -> Result<(), SchemaError> {
        let mut state = self.asked("level")?;
        match subject {
            Some(subject) => drop(state.levels.insert(subject.to_owned(), level)),
            None => state.level = Some(level),
        }
        Ok(())
    }
}
