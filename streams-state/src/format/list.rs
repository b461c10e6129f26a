//! A list of byte strings, as Java's `ListSerializer` writes it; outer joins keep their waiting records so.
//!
//! ```text
//! | 1 | count i32 | count x ( length i32, -1 null | element ... ) |          elements of any size
//! | 0 | nulls i32 | nulls x index i32 | count i32 | elements that are not null |  elements of one size
//! ```
//!
//! The second form is for elements whose size the serde knows (integers, floats, UUIDs).
//!
//! A list that was cut off within its last element is read as Java reads it: the missing bytes are 0. Here a limit
//! ([`PADDING_MAX`]) keeps a false length from asking for memory. A list whose last element is empty can be read,
//! which Java cannot.

use std::borrow::Cow;

use super::FormatError;
use super::reader::Reader;

const LAYOUT: &str = "list";
const NULL: i32 = -1;

/// How many bytes of a last element may be missing.
pub const PADDING_MAX: usize = 1 << 12;

/// One element as read: `None` is null. Owned only if bytes were missing.
pub type Element<'a> = Option<Cow<'a, [u8]>>;

/// How the elements are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElementSize {
    /// Each element says its length. Flag 1, `VARIABLE_SIZE` in Java.
    Variable,
    /// All elements have this many bytes. Flag 0, `CONSTANT_SIZE` in Java. Elements of 0 bytes are written with lengths.
    Constant(usize),
}

/// Appends a list of `count` elements. `element(index, out)` appends one and says whether it is there (not null).
pub fn encode<E>(
    size: ElementSize,
    count: usize,
    out: &mut Vec<u8>,
    mut element: impl FnMut(usize, &mut Vec<u8>) -> Result<bool, E>,
) -> Result<(), E> {
    // A list of more than 2^31 elements does not fit into a Kafka record.
    let number = |n: usize| (n as i32).to_be_bytes();
    match size {
        // Elements of no size could not be told from a false count.
        ElementSize::Variable | ElementSize::Constant(0) => {
            out.push(1);
            out.extend_from_slice(&number(count));
            for index in 0..count {
                let start = out.len();
                out.extend_from_slice(&NULL.to_be_bytes());
                if element(index, out)? {
                    let length = number(out.len() - start - 4);
                    out[start..start + 4].copy_from_slice(&length);
                }
            }
        }
        ElementSize::Constant(_) => {
            let mut body = Vec::new();
            let mut nulls = Vec::new();
            for index in 0..count {
                if !element(index, &mut body)? {
                    nulls.extend_from_slice(&number(index));
                }
            }
            out.push(0);
            out.extend_from_slice(&number(nulls.len() / 4));
            out.extend_from_slice(&nulls);
            out.extend_from_slice(&number(count));
            out.extend_from_slice(&body);
        }
    }
    Ok(())
}

/// Appends a list of byte strings, each with its length.
pub fn encode_slices(elements: &[&[u8]], out: &mut Vec<u8>) {
    let written = encode(ElementSize::Variable, elements.len(), out, |index, out| {
        out.extend_from_slice(elements[index]);
        Ok::<_, std::convert::Infallible>(true)
    });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

/// Reads a list: the elements in order, `None` for null. `constant` is the size of an element if the serde knows
/// it; without it lists of the second form are refused. Bytes behind the last element are ignored, as in Java.
pub fn decode(bytes: &[u8], constant: Option<usize>) -> Result<Vec<Element<'_>>, FormatError> {
    decode_each(bytes, constant, Ok)
}

/// As [`decode`], a list of what `read` makes of each element.
pub fn decode_each<'a, T, E: From<FormatError>>(
    bytes: &'a [u8],
    constant: Option<usize>,
    read: impl FnMut(Element<'a>) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    let mut reader = Reader::new(LAYOUT, bytes);
    match (reader.u8("flag")?, constant) {
        (1, _) => variable(reader, read),
        (0, Some(size @ 1..)) => constant_size(reader, size, read),
        (0, Some(0) | None) => Err(reader.error("elements of constant size, and this type has none").into()),
        (other, _) => Err(reader.error(format!("flag {other}, known are 0 and 1")).into()),
    }
}

fn variable<'a, T, E: From<FormatError>>(
    mut reader: Reader<'a>,
    mut read: impl FnMut(Element<'a>) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    let count = reader.length("count")?;
    // Each element takes four bytes at least, so a false count cannot ask for much.
    let mut elements = Vec::with_capacity(count.min(reader.left() / 4));
    for _ in 0..count {
        let bytes = match reader.i32("length of an element")? {
            NULL => None,
            length => {
                let length = reader.not_negative("length of an element", length)?;
                Some(element(&mut reader, length)?)
            }
        };
        elements.push(read(bytes)?);
    }
    Ok(elements)
}

fn constant_size<'a, T, E: From<FormatError>>(
    mut reader: Reader<'a>,
    size: usize,
    mut read: impl FnMut(Element<'a>) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    let nulls = reader.length("number of nulls")?;
    let indexes = reader.take("indexes of nulls", nulls.saturating_mul(4))?;
    let mut nulls: Vec<i32> =
        indexes.as_chunks::<4>().0.iter().map(|index| i32::from_be_bytes(*index)).collect();
    nulls.sort_unstable();
    let count = reader.length("count")?;
    // Each element is in the bytes or among the nulls, so a false count ends with an error before it costs memory.
    let mut elements = Vec::with_capacity(count.min(nulls.len() + reader.left().div_ceil(size)));
    for index in 0..count {
        let null = i32::try_from(index).is_ok_and(|index| nulls.binary_search(&index).is_ok());
        elements.push(read(if null { None } else { Some(element(&mut reader, size)?) })?);
    }
    Ok(elements)
}

/// The next element, padded with zeros if it is the last one and was cut off behind its first byte.
fn element<'a>(reader: &mut Reader<'a>, length: usize) -> Result<Cow<'a, [u8]>, FormatError> {
    let left = reader.left();
    if left == 0 || left >= length || length - left > PADDING_MAX {
        return reader.take("element", length).map(Cow::Borrowed);
    }
    let mut padded = reader.take("element", left)?.to_vec();
    padded.resize(length, 0);
    Ok(Cow::Owned(padded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(size: ElementSize, elements: &[Option<&[u8]>]) -> Vec<u8> {
        let mut out = Vec::new();
        let written = encode(size, elements.len(), &mut out, |index, out| {
            out.extend_from_slice(elements[index].unwrap_or_default());
            Ok::<_, std::convert::Infallible>(elements[index].is_some())
        });
        written.unwrap();
        out
    }

    #[test]
    fn both_forms() {
        let elements = [Some(&b"ab"[..]), None, Some(b"cd")];
        let variable = list(ElementSize::Variable, &elements);
        assert_eq!(variable, b"\x01\0\0\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\x02cd");
        let expected = elements.map(|element| element.map(Cow::Borrowed));
        assert_eq!(decode(&variable, None).unwrap(), expected);
        let constant = list(ElementSize::Constant(2), &elements);
        assert_eq!(constant, b"\0\0\0\0\x01\0\0\0\x01\0\0\0\x03abcd");
        assert_eq!(decode(&constant, Some(2)).unwrap(), expected);
        let mut slices = Vec::new();
        encode_slices(&[b"x"], &mut slices);
        assert_eq!(slices, b"\x01\0\0\0\x01\0\0\0\x01x");
    }

    /// Regression: they were written without lengths, and refused when they were read.
    #[test]
    fn elements_of_no_size_come_back() {
        let bytes = list(ElementSize::Constant(0), &[Some(b""), None]);
        assert_eq!(decode(&bytes, Some(0)).unwrap(), [Some(Cow::Borrowed(&b""[..])), None]);
    }

    #[test]
    fn refuses_nonsense_without_allocating_for_it() {
        let problem = |bytes, constant| decode(bytes, constant).unwrap_err().problem;
        assert_eq!(problem(b"\x01\x7f\xff\xff\xff", None), "length of an element needs 4 bytes, 0 are left");
        assert_eq!(problem(b"\x01\0\0\0\x01\xff\xff\xff\xfe", None), "length of an element is -2, below 0");
        assert_eq!(
            problem(b"\0\x7f\xff\xff\xff", Some(4)),
            "indexes of nulls needs 8589934588 bytes, 0 are left"
        );
        assert_eq!(problem(b"\0\0\0\0\0\x7f\xff\xff\xff", Some(4)), "element needs 4 bytes, 0 are left");
        assert_eq!(problem(b"\x01\0\0\0\x01\x7f\0\0\0a", None), "element needs 2130706432 bytes, 1 are left");
        assert_eq!(decode(b"\x01\0\0\0\x01\0\0\0\x03a", None).unwrap(), [Some(Cow::Borrowed(&b"a\0\0"[..]))]);
        let none = "elements of constant size, and this type has none";
        assert_eq!(problem(b"\0\0\0\0\0\x7f\xff\xff\xff", Some(0)), none);
        assert_eq!(problem(b"\0", None), none);
        assert_eq!(problem(b"\x02", None), "flag 2, known are 0 and 1");
    }
}
