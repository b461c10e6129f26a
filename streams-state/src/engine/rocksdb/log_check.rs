//! What RocksDB does not say of its log files. A record that is marked as one of a log that is used again, behind one that is not, makes RocksDB
//! (11.8.1, `log::Reader::ReadPhysicalRecord`) look at it for ever: one flipped bit of the MANIFEST, and a start never ends. No log is used
//! again here, so such a record is damage.
//!
//! ```text
//! blocks of 32 KiB, each of records: | checksum, 4 | length, 2, little-endian | kind, 1 | length bytes |
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::classify::refused;
use super::provider::CURRENT;
use crate::error::StateError;

const BLOCK: u64 = 32 << 10;
/// Whole, first, middle and last part of a record, and two others: `log_format.h`, the names with `Recycl`.
const RECYCLED: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// Looks at the MANIFEST that the database at `path` names, and at its write-ahead logs. What is not there RocksDB complains of.
pub(super) fn check_logs(path: &Path) -> Result<(), StateError> {
    let logs = logs(path).map_err(|error| refused(None, path, error))?;
    for log in logs {
        if is_recycled(&log).map_err(|error| refused(None, path, error))? {
            let file = log.file_name().unwrap_or_default().display();
            let message = format!("the file {file} has a record of a kind that is never written");
            return Err(StateError::Corrupt { store: None, path: path.to_owned(), message });
        }
    }
    Ok(())
}

fn logs(path: &Path) -> io::Result<Vec<PathBuf>> {
    let current = match std::fs::read(path.join(CURRENT)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let is_named = file.file_name().is_some_and(|name| *name == *current);
        if is_named || file.extension().is_some_and(|extension| extension == "log") {
            logs.push(file);
        }
    }
    Ok(logs)
}

/// Whether the log has a record of a recycled log, as far as RocksDB would read. A file that has gone meanwhile has none.
fn is_recycled(log: &Path) -> io::Result<bool> {
    let mut file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut block = Vec::new();
    loop {
        block.clear();
        if file.by_ref().take(BLOCK).read_to_end(&mut block)? == 0 {
            return Ok(false);
        }
        if has_recycled(&block) {
            return Ok(true);
        }
    }
}

/// A damaged length leads astray, but not further than RocksDB goes: it leaves a block at the first wrong checksum.
fn has_recycled(block: &[u8]) -> bool {
    let mut rest = block;
    while let Some(([_, _, _, _, low, high, kind], body)) = rest.split_first_chunk() {
        let length = u16::from_le_bytes([*low, *high]);
        if RECYCLED.contains(kind) {
            return true;
        }
        match body.get(usize::from(length)..) {
            Some(next) if (*kind, length) != (0, 0) => rest = next,
            Some(_) | None => return false,
        }
    }
    false
}
