//! How far the global stores have read their topics: a small file beside them, in Kafka Streams' format.
//!
//! Written after the stores gave their rows to their engines, never before. So what it says is at most what the engines
//! hold, and after a crash in between a little is read again. Each engine keeps, in one unit with the rows, the sum of the offsets that
//! it reaches: a file that says more belongs to other data and is not believed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use streams_state::directory::make_directory;
use streams_state::types::TopicPartition;

const FILE: &str = ".checkpoint";

/// Next offsets by partition; empty if there is no file that can be read.
pub(crate) fn read(directory: &Path) -> BTreeMap<TopicPartition, i64> {
    let text = fs::read_to_string(directory.join(FILE)).unwrap_or_default();
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return BTreeMap::new();
    }
    let count = lines.next().and_then(|count| count.parse::<usize>().ok());
    let entries: BTreeMap<TopicPartition, i64> = lines.filter_map(entry).collect();
    if count == Some(entries.len()) { entries } else { BTreeMap::new() }
}

fn entry(line: &str) -> Option<(TopicPartition, i64)> {
    let mut words = line.split(' ');
    let (topic, partition, offset) =
        (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((TopicPartition::new(topic, partition), offset))
}

/// Replaces the file; it is there as a whole or not at all.
pub(crate) fn write(directory: &Path, offsets: &[(TopicPartition, i64)]) -> io::Result<()> {
    make_directory(directory)?;
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        text.push_str(&format!("{} {} {offset}\n", partition.topic, partition.partition));
    }
    let draft = directory.join(".checkpoint.tmp");
    let mut file = fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, directory.join(FILE))
}

/// Copies the file, if there is one.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from.join(FILE), to.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Deletes the file.
pub(crate) fn delete(directory: &Path) {
    if let Err(error) = fs::remove_file(directory.join(FILE))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("the checkpoint of the global stores cannot be deleted: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kafka_streams_file_and_a_torn_one_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).is_empty());
        let offsets = [(TopicPartition::new("a.b", 0), 7), (TopicPartition::new("a.b", 1), 0)];
        write(folder.path(), &offsets).unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(fs::read_to_string(&file).unwrap(), "0\n2\na.b 0 7\na.b 1 0\n");
        assert_eq!(read(folder.path()), offsets.into());
        fs::write(&file, "0\n2\na.b 0 7\na.b 1").unwrap();
        assert!(read(folder.path()).is_empty());
        delete(folder.path());
        delete(folder.path());
    }
}
