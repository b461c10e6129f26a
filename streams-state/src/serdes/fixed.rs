//! Types with a fixed Kafka layout: what [`Auto`](super::Auto) and the serdes named after Java's write and read.

use uuid::Uuid;

use super::SerdeError;

/// A type with a fixed Kafka layout.
pub(super) trait Fixed: Sized + 'static {
    /// Bytes of each value, if they are always as many. Java's list serde leaves lengths out for these types.
    const SIZE: Option<usize>;
    fn write(&self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Result<Self, SerdeError>;
}

macro_rules! big_endian {
    ($($type:ty, $canonical:expr;)*) => {$(
        impl Fixed for $type {
            const SIZE: Option<usize> = Some(size_of::<$type>());
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                let canonical: fn($type) -> $type = $canonical;
                out.extend_from_slice(&canonical(*self).to_be_bytes());
            }
            #[inline]
            fn read(bytes: &[u8]) -> Result<Self, SerdeError> {
                match bytes.try_into() {
                    Ok(array) => Ok(<$type>::from_be_bytes(array)),
                    Err(_) => Err(SerdeError::new(format!(
                        "{} bytes where {} has {}", bytes.len(), stringify!($type), size_of::<$type>()
                    ))),
                }
            }
        }
    )*};
}
big_endian! {
    i16, |value| value;
    i32, |value| value;
    i64, |value| value;
    // Java writes a float's bits as they are, but all NaNs of a double as one.
    f32, |value| value;
    f64, |value| if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value };
}

impl Fixed for String {
    const SIZE: Option<usize> = None;
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, SerdeError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(SerdeError::new(format!("not UTF-8 text: {error}"))),
        }
    }
}

impl Fixed for Vec<u8> {
    const SIZE: Option<usize> = None;
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, SerdeError> {
        Ok(bytes.to_vec())
    }
}

impl Fixed for bool {
    // One byte, but Java's list serde does not count it among the types of constant size.
    const SIZE: Option<usize> = None;
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(bytes: &[u8]) -> Result<Self, SerdeError> {
        match bytes {
            [1] => Ok(true),
            [0] => Ok(false),
            [other] => Err(SerdeError::new(format!("byte {other} where a bool is 0 or 1"))),
            _ => Err(SerdeError::new(format!("{} bytes where bool has 1", bytes.len()))),
        }
    }
}

impl Fixed for Uuid {
    const SIZE: Option<usize> = Some(36);
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    }
    fn read(bytes: &[u8]) -> Result<Self, SerdeError> {
        match Uuid::try_parse_ascii(bytes) {
            Ok(uuid) if bytes.len() == 36 => Ok(uuid),
            _ => java_uuid(bytes).ok_or_else(|| {
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
                SerdeError::new(format!("not a UUID: {text:?} ({} bytes)", bytes.len()))
            }),
        }
    }
}

/// Java's `UUID.fromString` for everything but the full form: five hexadecimal numbers of any length with dashes
/// between them, 36 characters at most; digits that do not fit are cut off at the front.
fn java_uuid(bytes: &[u8]) -> Option<Uuid> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= 36)?;
    let mut numbers = [0_i64; 5];
    let mut groups = text.split('-');
    for number in &mut numbers {
        *number = i64::from_str_radix(groups.next()?, 16).ok()?;
    }
    if groups.next().is_some() {
        return None;
    }
    let [a, b, c, d, e] = numbers;
    let high = (a & 0xffff_ffff) << 32 | (b & 0xffff) << 16 | c & 0xffff;
    let low = (d & 0xffff) << 48 | e & 0xffff_ffff_ffff;
    Some(Uuid::from_u64_pair(high as u64, low as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_as_java_reads_them() {
        let read = |text: &str| Uuid::read(text.as_bytes());
        assert_eq!(read("1-2-3-4-5").unwrap(), Uuid::from_u128(0x0000_0001_0002_0003_0004_0000_0000_0005));
        assert_eq!(read("123E4567-E89B-12D3-A456-426614174000").unwrap().as_fields().0, 0x123e_4567);
        for bad in ["", "x", "123e4567e89b12d3a456426614174000", "1-2-3-4", "1-2-3-4-5-6", "1--3-4-5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_nan_for_doubles() {
        let mut out = Vec::new();
        f64::from_bits(0xfff8_0000_00ab_cdef).write(&mut out);
        assert_eq!(out, [0x7f, 0xf8, 0, 0, 0, 0, 0, 0]);
    }
}
