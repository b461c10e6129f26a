//! A cursor over foreign bytes, and the error that says what was wrong with them.
//!
//! Takes the bytes and the name of the layout, gives fields one after the other. Never reads past the end, never
//! copies, never allocates except for the text of an error.

/// Why bytes are not what they should be: the layout, and what was found where something else was expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a {layout}: {problem}")]
pub struct FormatError {
    /// The layout that was expected.
    pub layout: &'static str,
    /// What was wrong.
    pub problem: String,
}

impl FormatError {
    /// An error of `layout` with this explanation.
    pub fn new(layout: &'static str, problem: impl Into<String>) -> Self {
        Self { layout, problem: problem.into() }
    }
}

/// The unread rest of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    layout: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`, which should be a `layout`.
    pub(crate) fn new(layout: &'static str, bytes: &'a [u8]) -> Self {
        Self { layout, rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// An error of this layout.
    pub(crate) fn error(&self, problem: impl Into<String>) -> FormatError {
        FormatError::new(self.layout, problem)
    }

    /// The next `length` bytes, which are the `field`.
    pub(crate) fn take(&mut self, field: &str, length: usize) -> Result<&'a [u8], FormatError> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.short(field, length)),
        }
    }

    /// The last `length` bytes, which are the `field`; they are cut off.
    pub(crate) fn take_last(&mut self, field: &str, length: usize) -> Result<&'a [u8], FormatError> {
        let split = self.rest.len().checked_sub(length).ok_or_else(|| self.short(field, length))?;
        let (rest, taken) = self.rest.split_at(split);
        self.rest = rest;
        Ok(taken)
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The next byte.
    pub(crate) fn u8(&mut self, field: &str) -> Result<u8, FormatError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    /// The next four bytes as a number.
    pub(crate) fn i32(&mut self, field: &str) -> Result<i32, FormatError> {
        self.array(field).map(i32::from_be_bytes)
    }

    /// The next eight bytes as a number.
    pub(crate) fn i64(&mut self, field: &str) -> Result<i64, FormatError> {
        self.array(field).map(i64::from_be_bytes)
    }

    /// A length or count in four bytes; negative ones are refused.
    pub(crate) fn length(&mut self, field: &str) -> Result<usize, FormatError> {
        let length = self.i32(field)?;
        self.not_negative(field, length)
    }

    /// `length`, if it is one.
    pub(crate) fn not_negative(&self, field: &str, length: i32) -> Result<usize, FormatError> {
        usize::try_from(length).map_err(|_| self.error(format!("{field} is {length}, below 0")))
    }

    /// A zigzag varint.
    pub(crate) fn varint(&mut self, field: &str) -> Result<i32, FormatError> {
        let (value, used) =
            super::varint::read(self.rest).map_err(|problem| self.error(format!("{field}: {problem}")))?;
        self.rest = &self.rest[used..];
        Ok(value)
    }

    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N], FormatError> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.short(field, N)),
        }
    }

    fn short(&self, field: &str, wanted: usize) -> FormatError {
        self.error(format!("{field} needs {wanted} bytes, {} are left", self.rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing() {
        let mut reader = Reader::new("thing", &[0, 0, 0, 9, 1]);
        let length = reader.length("key length").unwrap();
        let error = reader.take("key", length).unwrap_err();
        assert_eq!(error.to_string(), "not a thing: key needs 9 bytes, 1 are left");
        assert_eq!(reader.i64("time").unwrap_err().problem, "time needs 8 bytes, 1 are left");
        let mut reader = Reader::new("thing", &[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(reader.length("count").unwrap_err().problem, "count is -1, below 0");
        assert_eq!(reader.take_last("tail", 1).unwrap_err().problem, "tail needs 1 bytes, 0 are left");
    }
}
