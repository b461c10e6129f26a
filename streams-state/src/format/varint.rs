//! Kafka's varint: a signed 32-bit number, zigzag, seven bits a byte, lowest first, at most five bytes.
//!
//! `0 -> 00, -1 -> 01, 1 -> 02, 64 -> 80 01`. The record format of Kafka uses the same.

/// Appends `value`.
pub(crate) fn write(value: i32, out: &mut Vec<u8>) {
    let mut bits = ((value << 1) ^ (value >> 31)) as u32;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// Reads a number from the start of `bytes`; gives it and how many bytes it took.
pub(crate) fn read(bytes: &[u8]) -> Result<(i32, usize), &'static str> {
    let mut bits = 0_u32;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        // The fifth byte has room for four bits only; Kafka lets the others fall off.
        bits |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(((bits >> 1) as i32 ^ -((bits & 1) as i32), index + 1));
        }
    }
    Err(if bytes.len() < 5 { "the bytes end within a varint" } else { "a varint of more than five bytes" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for value in [0, -1, 1, 63, 64, -64, -65, 8191, 8192, i32::MAX, i32::MIN] {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            assert_eq!(read(&bytes), Ok((value, bytes.len())));
            assert!(read(&bytes[..bytes.len() - 1]).is_err());
        }
        assert!(read(&[0x80; 6]).is_err());
    }
}
