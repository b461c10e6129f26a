//! Files that somebody may have changed, copied in part, or put into another directory: of the state directory and of checkpoints; and what
//! says in an engine whose rows it holds.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kstreams::engine::{Identity, Layout};
use kstreams::types::TaskId;
use streams_state::checkpoint::{
    Checkpoint, CheckpointDraft, CheckpointedFile, CheckpointedStore, CheckpointedTask, MANIFEST,
};
use streams_state::directory::{FORMAT_FILE, StateDirectory};
use streams_state::error::StateError;
use streams_state::format::murmur3::hash128;
use tempfile::TempDir;

use crate::decoder::{Decoder, Meter, Verdict, same_bytes, same_value};

/// One of so many inputs: each opens a directory, which waits for the disk.
const ONE_OF: u64 = 40;
const PROCESS_FILE: &str = "kafka-streams-process-metadata";

pub(crate) fn decoders() -> Vec<Decoder> {
    vec![
        in_folder(
            "file: format of the state directory",
            vec![b"1\n".to_vec(), b"2".to_vec(), b" 1".to_vec()],
            format_file,
        ),
        in_folder(
            "file: process metadata",
            vec![br#"{"processId":"6f1f1fcc-0b2a-4c1d-9a7e-0123456789ab"}"#.to_vec()],
            process_file,
        ),
        Decoder::new(
            "name of a task directory",
            vec![b"0_3".to_vec(), b"4294967295_-2147483648".to_vec()],
            |input, meter| {
                let Ok(name) = std::str::from_utf8(input) else { return Ok(false) };
                let Ok(task) = meter.measure(|| name.parse::<TaskId>()) else { return Ok(false) };
                same_bytes(input, task.to_string().as_bytes())?;
                Ok(true)
            },
        ),
        manifest(),
        forged_manifest(),
        Decoder::new("engine identity", identities(), |input, meter| {
            let Ok(identity) = meter.measure(|| Identity::decode(input, Path::new("p"))) else {
                return Ok(false);
            };
            let again =
                Identity::decode(&identity.encode(), Path::new("p")).map_err(|error| error.to_string())?;
            same_value(&identity, &again)?;
            Ok(true)
        })
        .holds(40, "fields of a layout wait until its kind is known: five bytes are 64 in memory, in a vector that doubles")
        .worst_with(
            br#"{"version":1,"applicationId":"a","task":"b","store":"c","layout":{"kind":"session""#,
            br#","":1"#,
            b"}}",
        ),
    ]
}

/// A decoder that has a folder of its own.
fn in_folder(
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    judge: fn(&Path, &[u8], &mut Meter) -> Verdict,
) -> Decoder {
    let folder = tempfile::tempdir().unwrap();
    Decoder::new(name, seeds, move |input, meter| judge(folder.path(), input, meter)).one_of(ONE_OF)
}

fn opened(root: &Path, file: &str, input: &[u8], meter: &mut Meter) -> Result<StateDirectory, StateError> {
    fs::create_dir_all(root.join("app")).unwrap();
    fs::write(root.join("app").join(file), input).unwrap();
    meter.measure(|| StateDirectory::open(root, "app"))
}

/// Ours, or refused; what is refused stays as it is.
fn format_file(root: &Path, input: &[u8], meter: &mut Meter) -> Verdict {
    let opened = opened(root, FORMAT_FILE, input, meter);
    same_bytes(input, &fs::read(root.join("app").join(FORMAT_FILE)).unwrap())?;
    match opened {
        Ok(_) => Ok(true),
        Err(StateError::NewerFormat { .. } | StateError::Directory { .. }) => Ok(false),
        Err(other) => Err(format!("another error: {other}")),
    }
}

/// It is replaced if it cannot be read, so that the directory opens in any case, and as the same process again.
fn process_file(root: &Path, input: &[u8], meter: &mut Meter) -> Verdict {
    let _ = fs::remove_file(root.join("app").join(FORMAT_FILE));
    let first = opened(root, PROCESS_FILE, input, meter).map_err(|error| error.to_string())?;
    let id = first.process_id();
    drop(first);
    let second = StateDirectory::open(root, "app").map_err(|error| error.to_string())?;
    same_value(&id, &second.process_id())?;
    Ok(fs::read(root.join("app").join(PROCESS_FILE)).unwrap() == input)
}

/// A checkpoint of two tasks in `folder/checkpoint`, and its manifest.
fn checkpoint(folder: &Path) -> (Checkpoint, Vec<u8>) {
    let state = StateDirectory::open(&folder.join("state"), "app").unwrap();
    let place = folder.join("checkpoint");
    let draft = CheckpointDraft::begin(&place, &state).unwrap();
    let mut tasks = Vec::new();
    for name in ["0_0", "global"] {
        let staged = state.staging().join(name);
        fs::create_dir_all(staged.join("deep")).unwrap();
        fs::write(staged.join("deep/1.sst"), b"rows").unwrap();
        let files: Vec<CheckpointedFile> = draft.take(name, &staged).unwrap();
        let (store, topic) = ("counts".to_owned(), Some("app-counts-changelog".to_owned()));
        let store = CheckpointedStore { name: store, topic, offset: Some(7), kept: true, bytes: 4, rows: 1 };
        tasks.push(CheckpointedTask { task: name.to_owned(), stores: vec![store], files });
    }
    let written = draft.finish(Checkpoint::new("app", "rocksdb", 1_000, tasks)).unwrap();
    let bytes = fs::read(place.join(MANIFEST)).unwrap();
    (written, bytes)
}

/// What is read is what was written: all else is refused.
fn manifest() -> Decoder {
    let folder = tempfile::tempdir().unwrap();
    let (written, bytes) = checkpoint(folder.path());
    let judge = move |input: &[u8], meter: &mut Meter| {
        let place = folder.path().join("checkpoint");
        fs::write(place.join(MANIFEST), input).unwrap();
        let Ok(read) = meter.measure(|| Checkpoint::read(&place)) else { return Ok(false) };
        same_value(&written, &read)?;
        Ok(true)
    };
    Decoder::new("file: manifest of a checkpoint", vec![bytes], judge).one_of(4)
}

/// A manifest with the right checksum that was made by somebody else. Nothing outside of the two directories is read or written.
fn forged_manifest() -> Decoder {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes) = checkpoint(folder.path());
    Decoder::new("file: forged manifest of a checkpoint", vec![bytes], move |input, meter| {
        forged(&folder, input, meter)
    })
    .one_of(ONE_OF)
    .holds(8, "beside the text there are what it says, a copy without checksum, and that one's text, in a string that doubles")
}

fn forged(folder: &TempDir, input: &[u8], meter: &mut Meter) -> Verdict {
    let Some(text) = with_checksum(input) else { return Ok(false) };
    let place = folder.path().join("checkpoint");
    fs::write(place.join(MANIFEST), text).unwrap();
    let Ok(read) = meter.measure(|| Checkpoint::read(&place)) else { return Ok(false) };
    for now in [i64::MIN, 0, i64::MAX] {
        let old = meter
            .measure(|| read.check(&place, ("app", "rocksdb"), (now, Duration::from_secs(86_400))))
            .is_err();
        if !old && now.saturating_sub(read.taken_at) > 86_400_000 {
            return Err(format!("taken at {}, it is not too old at {now}", read.taken_at));
        }
    }
    let into = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(into.path(), "app").map_err(|error| error.to_string())?;
    let taken = meter.measure(|| read.take_over(&place, &state)).map_err(|error| error.to_string())?;
    for task in &taken {
        let path = state.path().join(task);
        if task != "global" && task.parse::<TaskId>().is_err() || !path.is_dir() {
            return Err(format!("task `{task}` was taken over"));
        }
    }
    let beside = fs::read_dir(into.path()).unwrap().count();
    same_value(&1, &beside)?;
    Ok(true)
}

/// `input` with the checksum that it should have, if it is a manifest but for that.
fn with_checksum(input: &[u8]) -> Option<String> {
    let mut value: serde_json::Value = serde_json::from_slice(input).ok()?;
    value.as_object_mut()?.insert("checksum".to_owned(), "".into());
    let unsigned: Checkpoint = serde_json::from_value(value).ok()?;
    let text = serde_json::to_string_pretty(&unsigned).ok()?;
    let sum = hash128(text.as_bytes());
    let signed =
        text.replacen(r#""checksum": """#, &format!(r#""checksum": "{:016x}{:016x}""#, sum.0, sum.1), 1);
    Some(signed)
}

fn identities() -> Vec<Vec<u8>> {
    let identity = Identity {
        changelog: Some("wc-counts-changelog".to_owned()),
        changelog_id: Some(uuid::Uuid::from_u128(7)),
        layout: Some(Layout::Window {
            segment_interval: 60_000,
            retention: 1,
            retain_duplicates: true,
            ordered_by_time: false,
        }),
        ..Identity::new("wc", "0_3", "counts")
    };
    let session = Layout::Session { segment_interval: 1, retention: -1, time_index: true };
    let bare = Identity { layout: Some(session), ..Identity::new("a", "global", "s") };
    [identity.encode(), bare.encode(), Identity::new("a", "b", "c").encode()].into()
}
