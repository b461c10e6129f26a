//! Words of a registry: schema, kind, id, version, compatibility level.

use std::path::Path;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// The id that a registry gave a schema: the same wherever it is registered.
pub type SchemaId = u32;

/// Which language a schema is written in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SchemaKind {
    /// Avro; what a registry means when it says nothing.
    #[default]
    Avro,
    /// Protobuf: the text of a `.proto` file.
    Protobuf,
    /// JSON Schema.
    Json,
}

impl fmt::Display for SchemaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avro => "Avro",
            Self::Protobuf => "Protobuf",
            Self::Json => "JSON",
        })
    }
}

/// A schema that another one uses: an imported file, a named type.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Reference {
    /// The name under which it is used: the file of the `import`, the full name of the Avro type.
    pub name: String,
    /// Where it is registered.
    pub subject: String,
    /// Which version of it.
    pub version: i32,
}

/// A schema as a registry keeps it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Schema {
    /// Its language.
    pub kind: SchemaKind,
    /// Its text.
    pub text: String,
    /// What it uses.
    pub references: Vec<Reference>,
}

impl Schema {
    /// A schema that uses no other.
    pub fn new(kind: SchemaKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), references: Vec::new() }
    }

    /// The schema in this file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn from_file(kind: SchemaKind, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| {
            io::Error::new(error.kind(), format!("the {kind} schema {}: {error}", path.display()))
        })?;
        Ok(Self::new(kind, text))
    }

    /// And it uses this one, which is registered.
    #[must_use]
    pub fn with_reference(
        mut self,
        name: impl Into<String>,
        subject: impl Into<String>,
        version: i32,
    ) -> Self {
        self.references.push(Reference { name: name.into(), subject: subject.into(), version });
        self
    }
}

/// Which version of a subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// This one; they count from 1.
    Number(i32),
    /// The last that was registered.
    Latest,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Latest => f.write_str("latest"),
        }
    }
}

/// A schema as it is registered under a subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// The subject.
    pub subject: String,
    /// Its version there.
    pub version: i32,
    /// Its id.
    pub id: SchemaId,
    /// The schema.
    pub schema: Schema,
}

/// What a new version of a subject must be able to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompatibilityLevel {
    /// Nothing is checked.
    None,
    /// Read what was written with the version before it.
    Backward,
    /// Read what was written with any version before it.
    BackwardTransitive,
    /// Be read with the version before it.
    Forward,
    /// Be read with any version before it.
    ForwardTransitive,
    /// Both, with the version before it.
    Full,
    /// Both, with any version before it.
    FullTransitive,
}

/// Whether a schema may become the next version of a subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compatibility {
    /// It may.
    Compatible,
    /// It may not: why, as the registry says it; empty if it does not say.
    Incompatible(String),
}
