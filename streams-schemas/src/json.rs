//! JSON Schema: types of serde as JSON, with schemas given, read from a file, or derived.
//!
//! In: values and their schema; JSON and the schema that wrote it. Out: JSON; values. With `json.fail.invalid.schema=true` the JSON
//! is checked against its schema, the writer's, on both ways.

use jsonschema::Validator;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::SchemaError;
use crate::registry::SchemaRegistry;
use crate::schema::{Schema, SchemaKind};
use crate::serde::{Format, RegistrySerde};

/// Where names of schemas that are used by a schema are looked for, if they are no addresses.
const BASE: &str = "json-schema:///";

/// A serde of `T` in JSON, with its JSON Schemas in a registry.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use streams_schemas::{JsonSchemaSerde, SchemaRegistry};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Order {
///     id: String,
/// }
///
/// let registry = SchemaRegistry::in_memory();
/// let orders = JsonSchemaSerde::<Order>::derived(&registry)?;
/// # Ok::<(), streams_schemas::SchemaError>(())
/// ```
///
/// Equal values must give equal bytes, as keys and as rows of tables: use ordered maps (`BTreeMap`) in types that have maps.
pub type JsonSchemaSerde<T> = RegistrySerde<T, Json>;

/// JSON Schema's part of [`JsonSchemaSerde`].
#[derive(Clone, Copy, Debug)]
pub struct Json {
    /// Whether JSON is checked against its schema.
    checks: bool,
}

impl<T: Serialize + DeserializeOwned + 'static> JsonSchemaSerde<T> {
    /// With this schema: `Schema::new(SchemaKind::Json, text)` or [`Schema::from_file`]. Its name is its title.
    ///
    /// # Errors
    /// A schema that is wrong.
    pub fn new(registry: &SchemaRegistry, schema: Schema) -> Result<Self, SchemaError> {
        let value: Value = serde_json::from_str(&schema.text).unwrap_or_default();
        let title = value.get("title").and_then(Value::as_str);
        let name = title.unwrap_or(std::any::type_name::<T>()).to_owned();
        Self::with_format(registry, Json { checks: registry.config().check_json }, schema, name)
    }

    /// With the schema that `#[derive(JsonSchema)]` of schemars makes.
    ///
    /// # Errors
    /// A type of which no schema can be made.
    pub fn derived(registry: &SchemaRegistry) -> Result<Self, SchemaError>
    where
        T: JsonSchema,
    {
        let text = schemars::schema_for!(T).as_value().to_string();
        Self::new(registry, Schema::new(SchemaKind::Json, text))
    }
}

/// The schema of this text.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    match jsonschema::meta::validate(&schema) {
        Ok(()) => Ok(schema),
        Err(error) => Err(format!("at `{}`: {error}", error.instance_path())),
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Format<T> for Json {
    /// `None`: nothing is checked.
    type Parsed = Option<Validator>;

    const KIND: SchemaKind = SchemaKind::Json;

    fn parse(&self, schema: &Schema, uses: &[(String, Schema)]) -> Result<Option<Validator>, String> {
        let schema = parse(&schema.text)?;
        if !self.checks {
            return Ok(None);
        }
        let words = |error: jsonschema::ReferencingError| error.to_string();
        let mut known = jsonschema::Registry::new();
        for (name, used) in uses {
            let name = if name.contains(':') { name.clone() } else { format!("{BASE}{name}") };
            known = known.add(&name, parse(&used.text)?).map_err(words)?;
        }
        let known = known.prepare().map_err(words)?;
        let built = jsonschema::options().with_base_uri(BASE).with_registry(&known).build(&schema);
        built.map(Some).map_err(|error| error.to_string())
    }

    fn write(&self, value: &T, schema: &Option<Validator>, out: &mut Vec<u8>) -> Result<(), String> {
        if let Some(validator) = schema {
            let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
            check(validator, &value)?;
        }
        serde_json::to_writer(out, value).map_err(|error| error.to_string())
    }

    fn read(
        &self,
        data: &[u8],
        writer: &Option<Validator>,
        _reader: &Option<Validator>,
    ) -> Result<T, String> {
        let Some(validator) = writer else {
            return serde_json::from_slice(data).map_err(|error| format!("not the JSON expected: {error}"));
        };
        let value = serde_json::from_slice(data).map_err(|error| format!("it is no JSON: {error}"))?;
        check(validator, &value)?;
        serde_json::from_value(value).map_err(|error| format!("not the JSON expected: {error}"))
    }
}

/// The first fault of `value`, and where it is.
fn check(validator: &Validator, value: &Value) -> Result<(), String> {
    validator.validate(value).map_err(|error| match error.instance_path().as_str() {
        "" => error.to_string(),
        path => format!("at `{path}`: {error}"),
    })
}
