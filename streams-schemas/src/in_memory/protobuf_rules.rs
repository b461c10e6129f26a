//! Whether one Protobuf schema reads what another writes: Confluent's rules, of those about messages, fields and their numbers.
//!
//! In: two `.proto` texts. Out: the first thing that does not fit. Fields may come and go; a number keeps its type, or one that is
//! the same on the wire, and stays single or repeated; required fields stay required; messages stay where they are.

use std::collections::BTreeMap;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto};

use crate::protobuf::parse;

pub(super) fn can_read(reader: &str, writer: &str) -> Result<(), String> {
    let (reader, writer) = (parse(reader)?, parse(writer)?);
    if reader.package != writer.package {
        return Err(format!("the package is {}, not {}", reader.package(), writer.package()));
    }
    messages(&reader.message_type, &writer.message_type, "")
}

fn messages(reader: &[DescriptorProto], writer: &[DescriptorProto], place: &str) -> Result<(), String> {
    for written in writer {
        let name = format!("{place}{}", written.name());
        let read = reader.iter().find(|message| message.name() == written.name());
        let read = read.ok_or_else(|| format!("message {name} is missing"))?;
        fields(&read.field, &written.field, &name)?;
        messages(&read.nested_type, &written.nested_type, &format!("{name}."))?;
    }
    Ok(())
}

fn fields(
    reader: &[FieldDescriptorProto],
    writer: &[FieldDescriptorProto],
    message: &str,
) -> Result<(), String> {
    let written: BTreeMap<i32, &FieldDescriptorProto> =
        writer.iter().map(|field| (field.number(), field)).collect();
    for read in reader {
        let name = format!("field {} of {message}", read.number());
        let Some(written) = written.get(&read.number()) else {
            if read.label() == Label::Required {
                return Err(format!("{name} is required and is not written"));
            }
            continue;
        };
        if group(read) != group(written) {
            return Err(format!("{name} is of type {}, not {}", words(read), words(written)));
        }
        if (read.label() == Label::Repeated) != (written.label() == Label::Repeated) {
            return Err(format!("{name} is repeated in one only"));
        }
        if read.label() == Label::Required && written.label() != Label::Required {
            return Err(format!("{name} is required and may be missing"));
        }
    }
    Ok(())
}

/// Types that are the same on the wire have the same group.
fn group(field: &FieldDescriptorProto) -> (&'static str, &str) {
    let type_name = field.type_name().trim_start_matches('.');
    match field.r#type {
        // A name that the parser did not resolve: a message or an enum.
        None => ("named", type_name),
        Some(_) => match field.r#type() {
            Type::Int32 | Type::Uint32 | Type::Int64 | Type::Uint64 | Type::Bool => ("varint", ""),
            Type::Sint32 | Type::Sint64 => ("zigzag", ""),
            Type::Fixed32 | Type::Sfixed32 => ("fixed32", ""),
            Type::Fixed64 | Type::Sfixed64 => ("fixed64", ""),
            Type::String | Type::Bytes => ("bytes", ""),
            Type::Float => ("float", ""),
            Type::Double => ("double", ""),
            Type::Group | Type::Message | Type::Enum => ("named", type_name),
        },
    }
}

fn words(field: &FieldDescriptorProto) -> String {
    match field.r#type {
        None => field.type_name().to_owned(),
        Some(_) => field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}
