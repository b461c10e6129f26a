//! The charsets of Java's string serde, with Java's treatment of what does not fit: `?` when a character has no
//! bytes, U+FFFD when bytes have no character. Nothing here ever fails.

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// How [`StringSerde`](super::StringSerde) turns text into bytes. The names are Java's.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Charset {
    /// `UTF-8`, the default.
    #[default]
    Utf8,
    /// `ISO-8859-1`: the first 256 characters, one byte each.
    Iso88591,
    /// `US-ASCII`: the first 128 characters, one byte each.
    UsAscii,
    /// `UTF-16`: written big-endian behind a byte order mark; read by its mark, big-endian without one.
    Utf16,
    /// `UTF-16BE`: big-endian, without a mark.
    Utf16Be,
    /// `UTF-16LE`: little-endian, without a mark.
    Utf16Le,
}

impl Charset {
    /// The charset of this name, as in `serializer.encoding`; case does not matter.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const NAMES: [(&str, Charset); 9] = [
            ("UTF-8", Charset::Utf8),
            ("UTF8", Charset::Utf8),
            ("ISO-8859-1", Charset::Iso88591),
            ("LATIN1", Charset::Iso88591),
            ("US-ASCII", Charset::UsAscii),
            ("ASCII", Charset::UsAscii),
            ("UTF-16", Charset::Utf16),
            ("UTF-16BE", Charset::Utf16Be),
            ("UTF-16LE", Charset::Utf16Le),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, charset)| *charset)
    }

    pub(super) fn encode(self, text: &str, out: &mut Vec<u8>) {
        let byte_each = |limit: u32| {
            text.chars().map(move |char| if u32::from(char) < limit { u32::from(char) as u8 } else { b'?' })
        };
        match self {
            Self::Utf8 => out.extend_from_slice(text.as_bytes()),
            Self::Iso88591 => out.extend(byte_each(0x100)),
            Self::UsAscii => out.extend(byte_each(0x80)),
            Self::Utf16 => {
                if !text.is_empty() {
                    out.extend_from_slice(&[0xfe, 0xff]);
                }
                out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            }
            Self::Utf16Be => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Self::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        }
    }

    pub(super) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => utf8(bytes),
            Self::Iso88591 => each_byte(bytes, char::from),
            Self::UsAscii => {
                each_byte(bytes, |byte| if byte.is_ascii() { char::from(byte) } else { REPLACEMENT })
            }
            Self::Utf16 => match bytes {
                [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
                [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
                _ => utf16(bytes, u16::from_be_bytes),
            },
            Self::Utf16Be => utf16(bytes, u16::from_be_bytes),
            Self::Utf16Le => utf16(bytes, u16::from_le_bytes),
        }
    }
}

/// A character for each byte, without more room than they need.
fn each_byte(bytes: &[u8], char: impl Fn(u8) -> char) -> String {
    let mut text = String::with_capacity(bytes.iter().map(|byte| char(*byte).len_utf8()).sum());
    text.extend(bytes.iter().map(|byte| char(*byte)));
    text
}

/// UTF-8 with a replacement for each broken sequence. Unlike `from_utf8_lossy`, and like Java, the three bytes (or
/// the two of a broken one) of an encoded surrogate are one sequence.
fn utf8(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    loop {
        let error = match std::str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                return text;
            }
            Err(error) => error,
        };
        let (valid, broken) = bytes.split_at(error.valid_up_to());
        text.push_str(std::str::from_utf8(valid).unwrap_or_default());
        text.push(REPLACEMENT);
        let length = match broken {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => 3,
            [0xed, 0xa0..=0xbf, ..] => 2,
            _ => error.error_len().unwrap_or(broken.len()),
        };
        bytes = &broken[length..];
    }
}

/// UTF-16 with a replacement for a lone low surrogate, for a high one together with what follows it, for the
/// reversed byte order mark, and for an odd byte at the end (which a high surrogate before it swallows).
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (units, odd) = bytes.as_chunks::<2>();
    let mut units = units.iter().map(|pair| unit(*pair));
    let mut text = String::with_capacity(bytes.len() / 2);
    while let Some(first) = units.next() {
        let pair = match first {
            0xd800..=0xdbff => match units.next() {
                Some(second) => char::decode_utf16([first, second]).next().and_then(Result::ok),
                None => {
                    text.push(REPLACEMENT);
                    return text;
                }
            },
            0xfffe => None,
            _ => char::from_u32(u32::from(first)),
        };
        text.push(pair.unwrap_or(REPLACEMENT));
    }
    if !odd.is_empty() {
        text.push(REPLACEMENT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit() {
        let encode = |charset: Charset, text| {
            let mut out = Vec::new();
            charset.encode(text, &mut out);
            out
        };
        assert_eq!(encode(Charset::UsAscii, "aß😀"), b"a??");
        assert_eq!(encode(Charset::Iso88591, "ß日"), b"\xdf?");
        assert_eq!(encode(Charset::Utf16, "a"), b"\xfe\xff\0a");
        assert_eq!(encode(Charset::Utf16, ""), b"");
        assert_eq!(Charset::UsAscii.decode(b"a\x9f"), "a\u{fffd}");
        assert_eq!(Charset::Utf16.decode(b"\xff\xfea\0"), "a");
        assert_eq!(Charset::Utf16Be.decode(b"\xdc\0\0a\xd8\0\0b\0"), "\u{fffd}a\u{fffd}\u{fffd}");
        assert_eq!(Charset::Utf16Le.decode(b"\x3d\xd8\x00\xde"), "😀");
        assert_eq!(Charset::Utf8.decode(b"\xed\xa0\x80a\xed\xa0a\xe2\x82"), "\u{fffd}a\u{fffd}a\u{fffd}");
        assert_eq!(Charset::from_name("utf-16be"), Some(Charset::Utf16Be));
    }
}
