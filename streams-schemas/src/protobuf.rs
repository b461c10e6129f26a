//! Protobuf: messages of prost, with the text of their `.proto` file as schema. No protoc is needed: the text is parsed here.
//!
//! In: messages and their file; bytes and the file that wrote them. Out: Protobuf's binary form behind the place of the message in
//! its file. Can catch: another message than the one expected, bytes that do not parse.

use std::marker::PhantomData;

use prost::{Message, Name};
use prost_types::{DescriptorProto, FileDescriptorProto};

use crate::error::SchemaError;
use crate::registry::SchemaRegistry;
use crate::schema::{Schema, SchemaKind};
use crate::serde::{Format, RegistrySerde};
use crate::wire::{read_message_index, write_message_index};

/// A serde of the message `M` in Protobuf, with its schemas in a registry.
///
/// `M` comes from prost, with its name: `prost_build::Config::enable_type_names`. Records that were written with other versions of
/// the file are read by Protobuf's rules, by the numbers of the fields.
///
/// ```
/// use prost::Message;
/// use streams_schemas::{ProtobufSerde, Schema, SchemaKind, SchemaRegistry};
///
/// // As prost-build makes it.
/// #[derive(Clone, PartialEq, Message)]
/// struct Order {
///     #[prost(string, tag = "1")]
///     id: String,
/// }
/// impl prost::Name for Order {
///     const PACKAGE: &'static str = "shop";
///     const NAME: &'static str = "Order";
/// }
///
/// let file = "syntax = \"proto3\"; package shop; message Order { string id = 1; }"; // or include_str!("order.proto")
/// let registry = SchemaRegistry::in_memory();
/// let orders = ProtobufSerde::<Order>::new(&registry, Schema::new(SchemaKind::Protobuf, file))?;
/// # Ok::<(), streams_schemas::SchemaError>(())
/// ```
pub type ProtobufSerde<M> = RegistrySerde<M, Protobuf<M>>;

/// Protobuf's part of [`ProtobufSerde`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Protobuf<M>(PhantomData<fn() -> M>);

impl<M: Message + Name + Default + 'static> ProtobufSerde<M> {
    /// With this file, which has `M`. Files that it imports are [references](Schema::with_reference); Google's own need none.
    ///
    /// # Errors
    /// A file that does not parse, or does not have `M`.
    pub fn new(registry: &SchemaRegistry, schema: Schema) -> Result<Self, SchemaError> {
        let name = M::full_name();
        let wrong = |message| SchemaError::InvalidSchema {
            kind: SchemaKind::Protobuf,
            name: M::full_name(),
            message,
        };
        if Messages::of(&parse(&schema.text).map_err(wrong)?).index(&name).is_none() {
            return Err(wrong("the file has no message of this name".to_owned()));
        }
        Self::with_format(registry, Protobuf(PhantomData), schema, name)
    }
}

/// The file of this text.
pub(crate) fn parse(text: &str) -> Result<FileDescriptorProto, String> {
    protox_parse::parse("schema.proto", text).map_err(|error| error.to_string())
}

/// The messages of a file: full name, and place in the file.
pub struct Messages(Vec<(String, Vec<i32>)>);

impl Messages {
    fn of(file: &FileDescriptorProto) -> Self {
        let package = Some(file.package()).filter(|package| !package.is_empty());
        let mut messages = Self(Vec::new());
        messages.add(
            &file.message_type,
            &package.map(|package| format!("{package}.")).unwrap_or_default(),
            &[],
        );
        messages
    }

    fn add(&mut self, messages: &[DescriptorProto], place: &str, index: &[i32]) {
        for (at, message) in (0..).zip(messages) {
            let (name, index) = (format!("{place}{}", message.name()), [index, &[at]].concat());
            self.add(&message.nested_type, &format!("{name}."), &index);
            self.0.push((name, index));
        }
    }

    fn index(&self, name: &str) -> Option<&[i32]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, index)| index.as_slice())
    }

    fn name(&self, index: &[i32]) -> Option<&str> {
        self.0.iter().find(|(_, known)| known == index).map(|(name, _)| name.as_str())
    }
}

impl<M: Message + Name + Default + 'static> Format<M> for Protobuf<M> {
    type Parsed = Messages;

    const KIND: SchemaKind = SchemaKind::Protobuf;

    fn parse(&self, schema: &Schema, _uses: &[(String, Schema)]) -> Result<Messages, String> {
        parse(&schema.text).map(|file| Messages::of(&file))
    }

    fn write(&self, value: &M, schema: &Messages, out: &mut Vec<u8>) -> Result<(), String> {
        let index = schema.index(&M::full_name());
        let index = index.ok_or_else(|| format!("the schema has no message `{}`", M::full_name()))?;
        write_message_index(index, out);
        value.encode(out).map_err(|error| error.to_string())
    }

    fn read(&self, data: &[u8], writer: &Messages, _reader: &Messages) -> Result<M, String> {
        let (index, data) =
            read_message_index(data).ok_or("the place of the message in its file is damaged")?;
        match writer.name(&index) {
            Some(name) if name == M::full_name() => M::decode(data).map_err(|error| error.to_string()),
            Some(name) => Err(format!("it is a message `{name}` where `{}` was expected", M::full_name())),
            None => Err(format!("its schema has no message at {index:?}")),
        }
    }
}
