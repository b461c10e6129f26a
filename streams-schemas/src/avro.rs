//! Avro: types of serde, with schemas given, read from a file, or derived.
//!
//! In: values and their schema; bytes and the schema that wrote them. Out: Avro's binary form; values as the application's own schema
//! has them, by Avro's rules of resolution. Can catch: schemas that cannot read each other, values that do not fit, bytes that are
//! cut off or too many.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{AvroResult, AvroSchema, from_value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::SchemaError;
use crate::registry::SchemaRegistry;
use crate::schema::{Schema, SchemaKind};
use crate::serde::{Format, RegistrySerde};

/// A serde of `T` in Avro, with its schemas in a registry.
///
/// A record that was written with another version is read as the application's own schema has it: fields that are new get their
/// defaults, fields that are gone are left out.
///
/// ```
/// use apache_avro::AvroSchema;
/// use serde::{Deserialize, Serialize};
/// use streams_core::{dsl::StreamsBuilder, serdes::Auto, testing::TopologyTestDriver, topic::Topic};
/// use streams_schemas::{AvroSerde, SchemaRegistry};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
/// #[avro(namespace = "shop")]
/// struct Order {
///     id: String,
///     cents: i64,
/// }
///
/// let registry = SchemaRegistry::in_memory(); // or SchemaRegistry::connect(SchemaRegistryConfig::at("http://localhost:8081")?)?
/// let orders = Topic::<String, Order, _, _>::with_serdes("orders", Auto, AvroSerde::derived(&registry)?);
/// let large = Topic::<String, Order, _, _>::with_serdes("large-orders", Auto, AvroSerde::derived(&registry)?);
///
/// let builder = StreamsBuilder::new();
/// builder.stream(&orders).filter(|_, order| order.cents > 100_000).to(&large);
///
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// driver.input(&orders).pipe("a", Order { id: "a".to_owned(), cents: 250_000 });
/// assert_eq!(driver.output(&large).read_all()[0].1.cents, 250_000);
/// assert_eq!(registry.registry().subjects()?, ["large-orders-value", "orders-value"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Equal values must give equal bytes, as keys and as rows of tables: use ordered maps (`BTreeMap`) in types that have maps.
pub type AvroSerde<T> = RegistrySerde<T, Avro>;

/// Avro's part of [`AvroSerde`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Avro;

impl<T: Serialize + DeserializeOwned + 'static> AvroSerde<T> {
    /// With this schema: `Schema::new(SchemaKind::Avro, text)` or [`Schema::from_file`].
    ///
    /// # Errors
    /// A schema that is wrong.
    pub fn new(registry: &SchemaRegistry, schema: Schema) -> Result<Self, SchemaError> {
        let name = name(&schema.text);
        Self::with_format(registry, Avro, schema, name)
    }

    /// With the schema that `#[derive(AvroSchema)]` makes.
    ///
    /// # Errors
    /// A type of which no schema can be made.
    pub fn derived(registry: &SchemaRegistry) -> Result<Self, SchemaError>
    where
        T: AvroSchema,
    {
        let text = serde_json::to_string(&T::get_schema()).map_err(|error| SchemaError::InvalidSchema {
            kind: SchemaKind::Avro,
            name: std::any::type_name::<T>().to_owned(),
            message: error.to_string(),
        })?;
        Self::new(registry, Schema::new(SchemaKind::Avro, text))
    }
}

/// The full name of a named type, else the name of the type: `shop.Order`, `string`.
fn name(text: &str) -> String {
    let schema: Value = serde_json::from_str(text).unwrap_or_default();
    let field = |name| schema.get(name).and_then(Value::as_str);
    match (field("name"), field("namespace"), field("type")) {
        (Some(name), Some(namespace), _) if !name.contains('.') => format!("{namespace}.{name}"),
        (Some(name), ..) => name.to_owned(),
        (None, _, Some(kind)) => kind.to_owned(),
        (None, _, None) => schema.as_str().unwrap_or("union").to_owned(),
    }
}

/// A schema of Avro, with all that it uses inside.
pub struct AvroParsed {
    schema: apache_avro::Schema,
    /// How the application's own schema reads what this one wrote; found out with the first record.
    read: OnceLock<Read>,
    /// The direct way does not know the type: it wants structs to be called as their records.
    by_value: AtomicBool,
}

enum Read {
    /// They are the same.
    AsWritten,
    /// By Avro's rules.
    Resolved,
    /// Why they cannot.
    Never(String),
}

/// `schema`, with `uses` inside.
pub(crate) fn parse(schema: &Schema, uses: &[&Schema]) -> Result<apache_avro::Schema, String> {
    let uses = uses.iter().map(|schema| schema.text.as_str());
    let (mut parsed, uses) =
        apache_avro::Schema::parse_str_with_list(&schema.text, uses).map_err(|error| error.to_string())?;
    parsed.denormalize(&uses).map_err(|error| error.to_string())?;
    Ok(parsed)
}

/// Whether records written with `writer` can be read with `reader`: each a schema and those that it uses.
pub(crate) fn can_read(reader: (&Schema, &[&Schema]), writer: (&Schema, &[&Schema])) -> Result<(), String> {
    let (reader, writer) = (parse(reader.0, reader.1)?, parse(writer.0, writer.1)?);
    SchemaCompatibility::can_read(&writer, &reader).map(drop).map_err(in_full)
}

/// An error and what came before it.
fn in_full(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

impl<T: Serialize + DeserializeOwned + 'static> Format<T> for Avro {
    type Parsed = AvroParsed;

    const KIND: SchemaKind = SchemaKind::Avro;

    fn parse(&self, schema: &Schema, uses: &[(String, Schema)]) -> Result<AvroParsed, String> {
        let uses: Vec<&Schema> = uses.iter().map(|(_, schema)| schema).collect();
        Ok(AvroParsed {
            schema: parse(schema, &uses)?,
            read: OnceLock::new(),
            by_value: AtomicBool::new(false),
        })
    }

    fn write(&self, value: &T, schema: &AvroParsed, out: &mut Vec<u8>) -> Result<(), String> {
        let writer =
            GenericDatumWriter::builder(&schema.schema).human_readable(false).build().map_err(in_full)?;
        writer.write_ser(out, value).map(drop).map_err(in_full)
    }

    fn read(&self, data: &[u8], writer: &AvroParsed, reader: &AvroParsed) -> Result<T, String> {
        let way =
            writer.read.get_or_init(|| match SchemaCompatibility::can_read(&writer.schema, &reader.schema) {
                _ if writer.schema == reader.schema => Read::AsWritten,
                Ok(_) => Read::Resolved,
                Err(error) => Read::Never(in_full(error)),
            });
        let resolves = match way {
            Read::AsWritten => false,
            Read::Resolved => true,
            Read::Never(reason) => {
                return Err(format!("it cannot be read with the application's schema: {reason}"));
            }
        };
        if resolves || writer.by_value.load(Ordering::Relaxed) {
            return by_value(data, writer, resolves.then_some(reader));
        }
        let direct = all_of(data, |rest| {
            let reader = GenericDatumReader::builder(&writer.schema).human_readable(false).build()?;
            reader.read_deser(rest)
        });
        direct.or_else(|error| {
            let value = by_value(data, writer, None).map_err(|_| error)?;
            writer.by_value.store(true, Ordering::Relaxed);
            Ok(value)
        })
    }
}

/// The value of `data` by way of Avro's own values, resolved for `reader` if there is one.
fn by_value<T: DeserializeOwned>(
    data: &[u8],
    writer: &AvroParsed,
    reader: Option<&AvroParsed>,
) -> Result<T, String> {
    all_of(data, |rest| {
        let reader = GenericDatumReader::builder(&writer.schema)
            .maybe_reader_schema(reader.map(|reader| &reader.schema))
            .human_readable(false)
            .build()?;
        from_value(&reader.read_value(rest)?)
    })
}

/// What `read` makes of `data`, which must be all of it.
fn all_of<T>(data: &[u8], read: impl FnOnce(&mut &[u8]) -> AvroResult<T>) -> Result<T, String> {
    let mut rest = data;
    match (read(&mut rest).map_err(in_full)?, rest.len()) {
        (value, 0) => Ok(value),
        (_, rest) => Err(format!("{rest} bytes are left behind the value")),
    }
}
