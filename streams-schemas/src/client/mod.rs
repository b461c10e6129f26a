//! A registry behind HTTP, by Confluent's API: Confluent's own, Apicurio (`/apis/ccompat/v7`), Karapace, Redpanda.
//!
//! In: questions of the trait [`Registry`]. Out: answers by the deadline of the settings, or an error that says which registry,
//! what was asked, and what to do. It blocks: serdes run on stream threads, and ask once a schema.

mod tls;
mod transport;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::transport::{Ask, Reply, Transport};
use crate::config::SchemaRegistryConfig;
use crate::error::SchemaError;
use crate::registry::{Registry, SchemaRegistry};
use crate::schema::{
    Compatibility, CompatibilityLevel, Reference, Registered, Schema, SchemaId, SchemaKind, Version,
};

const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;
const UNPROCESSABLE: u16 = 422;

/// The client of a registry behind HTTP.
pub struct HttpRegistry {
    transport: Transport,
    normalize: bool,
}

impl HttpRegistry {
    /// A client with these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn new(config: &SchemaRegistryConfig) -> Result<Self, SchemaError> {
        Ok(Self { transport: Transport::new(config)?, normalize: config.normalize })
    }

    fn normalized(&self, path: String) -> String {
        if self.normalize { path + "?normalize=true" } else { path }
    }
}

impl SchemaRegistry {
    /// The registry that the settings name. Nothing is asked yet.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn connect(config: SchemaRegistryConfig) -> Result<Self, SchemaError> {
        Ok(Self::new(HttpRegistry::new(&config)?, config))
    }
}

/// A schema in a question or an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaDto {
    schema: String,
    #[serde(default)]
    schema_type: Option<SchemaKind>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
}

impl From<SchemaDto> for Schema {
    fn from(dto: SchemaDto) -> Self {
        let references = dto.references.unwrap_or_default();
        Self { kind: dto.schema_type.unwrap_or_default(), text: dto.schema, references }
    }
}

#[derive(Deserialize)]
struct RegisteredDto {
    subject: String,
    version: i32,
    id: SchemaId,
    #[serde(flatten)]
    schema: SchemaDto,
}

#[derive(Deserialize)]
struct IdDto {
    id: SchemaId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LevelDto {
    compatibility_level: CompatibilityLevel,
}

#[derive(Deserialize)]
struct CheckDto {
    is_compatible: bool,
    /// Confluent's reasons.
    #[serde(default)]
    messages: Option<Vec<String>>,
    /// Apicurio's.
    #[serde(default)]
    reason: Option<String>,
}

/// What old registries do not know is left out where it says nothing.
fn body(schema: &Schema) -> Value {
    let mut body = json!({ "schema": schema.text });
    if schema.kind != SchemaKind::Avro {
        body["schemaType"] = json!(schema.kind);
    }
    if !schema.references.is_empty() {
        body["references"] = json!(schema.references);
    }
    body
}

fn subject_path(subject: &str) -> String {
    format!("/subjects/{}", percent_encode(subject.as_bytes(), NON_ALPHANUMERIC))
}

fn parsed<T: DeserializeOwned>(reply: Reply) -> Result<T, SchemaError> {
    let Reply { url, request, status, value, .. } = reply;
    let value = value.ok_or_else(|| "it is no JSON".to_owned());
    value.and_then(|value| serde_json::from_value(value).map_err(|error| error.to_string())).map_err(
        |message| SchemaError::NotARegistry { url, request, message: format!("{message} (status {status})") },
    )
}

/// The answer, or what `refused` makes of a refusal that means something here.
fn answer<T: DeserializeOwned>(
    reply: Reply,
    refused: impl FnOnce(&Reply) -> Option<SchemaError>,
) -> Result<T, SchemaError> {
    match reply.status {
        200..=299 => parsed(reply),
        _ => Err(refused(&reply).unwrap_or_else(|| reply.refusal())),
    }
}

fn not_registered(reply: &Reply, subject: &str, what: impl ToString) -> Option<SchemaError> {
    // A registry says why; something else that answers 404 has no such error code.
    let known = reply.status == NOT_FOUND && reply.code.is_some_and(|code| (40401..=40403).contains(&code));
    known.then(|| SchemaError::NotRegistered {
        url: reply.url.clone(),
        subject: subject.to_owned(),
        what: what.to_string(),
        message: reply.message.clone(),
    })
}

fn registered(dto: RegisteredDto) -> Registered {
    Registered { subject: dto.subject, version: dto.version, id: dto.id, schema: dto.schema.into() }
}

impl Registry for HttpRegistry {
    fn register(&self, subject: &str, schema: &Schema) -> Result<SchemaId, SchemaError> {
        let path = self.normalized(format!("{}/versions", subject_path(subject)));
        let reply = self.transport.ask(&Ask::post(path, body(schema)))?;
        let dto: IdDto = answer(reply, |reply| match reply.status {
            CONFLICT => {
                Some(SchemaError::Incompatible { subject: subject.to_owned(), reason: reply.message.clone() })
            }
            UNPROCESSABLE => Some(SchemaError::InvalidSchema {
                kind: schema.kind,
                name: subject.to_owned(),
                message: format!("the registry says: {}", reply.message),
            }),
            _ => None,
        })?;
        Ok(dto.id)
    }

    fn schema(&self, id: SchemaId) -> Result<Schema, SchemaError> {
        // A node of the registry may learn of a new schema late.
        let ask = Ask::get(format!("/schemas/ids/{id}")).again_if_missing();
        let dto: SchemaDto = answer(self.transport.ask(&ask)?, |reply| {
            (reply.status == NOT_FOUND && reply.code.is_some()).then(|| SchemaError::UnknownId {
                url: reply.url.clone(),
                id,
                message: reply.message.clone(),
            })
        })?;
        Ok(dto.into())
    }

    fn version(&self, subject: &str, version: Version) -> Result<Registered, SchemaError> {
        let ask = Ask::get(format!("{}/versions/{version}", subject_path(subject)));
        let what = format!("version {version}");
        let reply = self.transport.ask(&ask)?;
        answer(reply, |reply| not_registered(reply, subject, what)).map(registered)
    }

    fn find(&self, subject: &str, schema: &Schema) -> Result<Registered, SchemaError> {
        let ask = Ask::post(self.normalized(subject_path(subject)), body(schema));
        let reply = self.transport.ask(&ask)?;
        let found: RegisteredDto = answer(reply, |reply| not_registered(reply, subject, "this schema"))?;
        // Apicurio does not say the kind here.
        let mut found = registered(found);
        found.schema.kind = schema.kind;
        Ok(found)
    }

    fn versions(&self, subject: &str) -> Result<Vec<i32>, SchemaError> {
        let ask = Ask::get(format!("{}/versions", subject_path(subject)));
        answer(self.transport.ask(&ask)?, |reply| not_registered(reply, subject, "any version"))
    }

    fn subjects(&self) -> Result<Vec<String>, SchemaError> {
        answer(self.transport.ask(&Ask::get("/subjects".to_owned()))?, |_| None)
    }

    fn check(&self, subject: &str, schema: &Schema) -> Result<Compatibility, SchemaError> {
        let path = format!("/compatibility{}/versions?verbose=true", subject_path(subject));
        let reply = self.transport.ask(&Ask::post(path, body(schema)))?;
        let dto: CheckDto = answer(reply, |reply| not_registered(reply, subject, "any version"))?;
        if dto.is_compatible {
            return Ok(Compatibility::Compatible);
        }
        let reasons = dto.messages.unwrap_or_default().into_iter().chain(dto.reason);
        Ok(Compatibility::Incompatible(reasons.collect::<Vec<_>>().join("; ")))
    }

    fn compatibility(&self, subject: &str) -> Result<CompatibilityLevel, SchemaError> {
        let subject = percent_encode(subject.as_bytes(), NON_ALPHANUMERIC);
        let own = format!("/config/{subject}?defaultToGlobal=true");
        let mut reply = self.transport.ask(&Ask::get(own))?;
        if reply.status == NOT_FOUND {
            reply = self.transport.ask(&Ask::get("/config".to_owned()))?;
        }
        let dto: LevelDto = answer(reply, |_| None)?;
        Ok(dto.compatibility_level)
    }

    fn set_compatibility(&self, subject: Option<&str>, level: CompatibilityLevel) -> Result<(), SchemaError> {
        let of = subject.map(|subject| format!("/{}", percent_encode(subject.as_bytes(), NON_ALPHANUMERIC)));
        let path = format!("/config{}", of.unwrap_or_default());
        let _: Value =
            answer(self.transport.ask(&Ask::put(path, json!({ "compatibility": level })))?, |_| None)?;
        Ok(())
    }
}
