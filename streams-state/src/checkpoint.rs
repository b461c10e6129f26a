//! A checkpoint on disk: copies of task directories, and a manifest that says what they hold.
//!
//! ```text
//! <checkpoint>/                  there as a whole or not at all
//!     checkpoint.json            the manifest: [`Checkpoint`], written last
//!     <subtopology>_<partition>/ a task, as in the state directory
//!     global/                    the global stores
//! ```
//! In: copies that engines made ([`EngineFiles`](crate::engine::EngineFiles)). Out: a directory that another machine can start from.
//! It is written beside its place under a name that begins with a dot, and gets its name when every byte of it is on disk.
//! Never reads a clock, never opens an engine for writing.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::directory::{GLOBAL, StateDirectory, make_directory, remove_all, write};
use crate::error::StateError;
use crate::format::murmur3::hash128;
use crate::types::{TaskId, Timestamp};

/// The layout that this version writes.
const FORMAT: u32 = 1;
/// Says what a checkpoint holds: there is a whole one where it is.
pub const MANIFEST: &str = "checkpoint.json";
/// Files of sorted rows: never changed once they are written, so that they may be shared by link. All others are copied.
const SHARED_EXTENSION: &str = "sst";

/// What a checkpoint holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Layout of the directory.
    pub format: u32,
    /// The application whose state it is.
    pub application_id: String,
    /// When it was taken, milliseconds since the Unix epoch.
    pub taken_at: Timestamp,
    /// The engine that reads it: `rocksdb`.
    pub engine: String,
    /// Tasks in their order, then `global`, the global stores. Tasks without stores have nothing to keep and are not here.
    pub tasks: Vec<CheckpointedTask>,
    /// Of all that stands above.
    checksum: String,
}

/// The stores of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointedTask {
    /// `0_3`, or `global`: also the name of the directory, which is there if there are files.
    pub task: String,
    /// Its stores.
    pub stores: Vec<CheckpointedStore>,
    /// Its files. None if all its stores are in memory only.
    pub files: Vec<CheckpointedFile>,
}

/// One store of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointedStore {
    /// Name of the store.
    pub name: String,
    /// The topic that it is restored from: its changelog, or a source topic that serves as one. The partition is the task's; a global
    /// store has all.
    pub topic: Option<String>,
    /// The next offset to read from the topic: what came before is in the copy. Of a global store the sum over its partitions. `None`: the
    /// store restores from the start of the topic.
    pub offset: Option<i64>,
    /// Whether its rows are here. Those of stores that are in memory only are not: they restore from their topics as ever.
    pub kept: bool,
    /// Bytes on disk, about.
    pub bytes: u64,
    /// Rows of the engine, about; a row may hold several windows or versions.
    pub rows: u64,
}

/// One file of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointedFile {
    /// Path from the task's directory.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

impl Checkpoint {
    /// What an application with this id held at `taken_at`.
    pub fn new(
        application_id: impl Into<String>,
        engine: impl Into<String>,
        taken_at: Timestamp,
        tasks: Vec<CheckpointedTask>,
    ) -> Self {
        let (application_id, engine) = (application_id.into(), engine.into());
        Self { format: FORMAT, application_id, taken_at, engine, tasks, checksum: String::new() }
    }

    /// Reads the manifest in `directory`, and looks whether all its files are there in their lengths.
    ///
    /// # Errors
    /// There is none; it is of a newer format; it is damaged; a file is missing or has another length.
    pub fn read(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refused(
                directory,
                format!(
                    "there is no {MANIFEST}, so this is no checkpoint, or one that was copied in part; take another"
                ),
            ),
            _ => refused(&path, format!("it cannot be read: {error}")),
        })?;
        let damaged = |what: &dyn std::fmt::Display| {
            refused(&path, format!("the manifest is damaged ({what}); use another checkpoint"))
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_str(&text).map_err(|error| damaged(&error))?;
        if format > FORMAT {
            return Err(refused(
                &path,
                format!("it has format {format}, this version reads up to {FORMAT}; upgrade the application"),
            ));
        }
        let manifest: Self = serde_json::from_str(&text).map_err(|error| damaged(&error))?;
        if manifest.checksum != manifest.sum()? {
            return Err(damaged(&"its checksum is another"));
        }
        manifest.tasks.iter().try_for_each(|task| task.check(directory))?;
        Ok(manifest)
    }

    /// Whether an application may start from it at `now`.
    ///
    /// # Errors
    /// It is of another application or engine; or it is older than `age_max`, so that its topics may have forgotten deletions that it
    /// never heard of.
    pub fn check(
        &self,
        directory: &Path,
        (application_id, engine): (&str, &str),
        (now, age_max): (Timestamp, Duration),
    ) -> Result<(), StateError> {
        if self.application_id != application_id {
            return Err(refused(
                directory,
                format!(
                    "it is of application `{}`, this is `{application_id}`; start from a checkpoint of its own",
                    self.application_id
                ),
            ));
        }
        if self.engine != engine {
            return Err(refused(
                directory,
                format!(
                    "its stores are on the engine {}, those of this application on {engine}; start with the same \
                     engine",
                    self.engine
                ),
            ));
        }
        let age = Duration::from_millis(now.saturating_sub(self.taken_at).max(0) as u64);
        if age > age_max {
            return Err(refused(
                directory,
                format!(
                    "it was taken {} hours ago, and deletions older than {} hours may be compacted out of the changelogs \
                     (delete.retention.ms), so that deleted rows would come back; take a newer one, or raise \
                     state.start.from.max.age.ms if the topics keep deletions for longer",
                    age.as_secs() / 3600,
                    age_max.as_secs() / 3600
                ),
            ));
        }
        Ok(())
    }

    /// Puts the tasks that `into` does not have into it, linked where that is possible, else copied. Returns their names. What is in
    /// `into` stays as it is. After a crash a task is there as a whole or not at all.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn take_over(&self, directory: &Path, into: &StateDirectory) -> Result<Vec<String>, StateError> {
        let mut taken = Vec::new();
        for task in self.tasks.iter().filter(|task| !task.files.is_empty()) {
            let place = into.path().join(&task.task);
            if !is_new_or_empty(&place) {
                tracing::info!(task = task.task, "the task has local state, which is used");
                continue;
            }
            let staged = into.staging().join(&task.task);
            let moved = remove_all(&staged)
                .and_then(|()| copy(&directory.join(&task.task), &task.files, &staged))
                .and_then(|()| sync(&staged).map_err(|error| failed(&staged, "written", &error)))
                .and_then(|()| {
                    fs::rename(&staged, &place)
                        .and_then(|()| sync_directory(into.path()))
                        .map_err(|error| failed(&place, "written", &error))
                });
            moved?;
            taken.push(task.task.clone());
        }
        Ok(taken)
    }

    fn sum(&self) -> Result<String, StateError> {
        let unsigned = Self { checksum: String::new(), ..self.clone() };
        let sum = hash128(self_text(&unsigned)?.as_bytes());
        Ok(format!("{:016x}{:016x}", sum.0, sum.1))
    }
}

fn self_text(manifest: &Checkpoint) -> Result<String, StateError> {
    serde_json::to_string_pretty(manifest)
        .map_err(|error| refused(Path::new(MANIFEST), format!("it cannot be written as JSON: {error}")))
}

impl CheckpointedTask {
    /// All bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Its names lead nowhere else, and its files are there.
    fn check(&self, directory: &Path) -> Result<(), StateError> {
        let inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if self.task != GLOBAL {
            let name = self.task.parse::<TaskId>();
            name.map_err(|error| refused(directory, error.to_string()))?;
        }
        for file in &self.files {
            let path = directory.join(&self.task).join(&file.path);
            let found = fs::metadata(&path).ok().filter(|_| inside(Path::new(&file.path)));
            if found.as_ref().is_none_or(|found| !found.is_file() || found.len() != file.bytes) {
                let found =
                    found.map_or("is missing".to_owned(), |found| format!("has {} bytes", found.len()));
                return Err(refused(
                    &path,
                    format!(
                        "the file {found}, the manifest says {} bytes; the checkpoint was changed or copied in part: \
                         use another",
                        file.bytes
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// A checkpoint on its way. Dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct CheckpointDraft {
    place: PathBuf,
    draft: PathBuf,
}

impl CheckpointDraft {
    /// Begins a checkpoint that will be `place`, by the process that has `state`. What an earlier attempt of the same process left
    /// when it was killed is deleted.
    ///
    /// # Errors
    /// `place` is there and not empty, or nothing can be written beside it.
    pub fn begin(place: &Path, state: &StateDirectory) -> Result<Self, StateError> {
        if !is_new_or_empty(place) {
            return Err(refused(
                place,
                "it is not an empty directory; give each checkpoint a new one".to_owned(),
            ));
        }
        let Some(name) = place.file_name() else {
            return Err(refused(place, "it has no name of its own; name a new directory".to_owned()));
        };
        let hidden = format!(".{}.{}.draft", name.to_string_lossy(), state.process_id());
        let draft = place.with_file_name(hidden);
        remove_all(&draft)?;
        make_directory(&draft).map_err(|error| failed(&draft, "created", &error))?;
        Ok(Self { place: place.to_owned(), draft })
    }

    /// Takes the copy of a task in, and returns its files: moved, or copied from another file system. Afterwards it is at
    /// [`task_dir`](Self::task_dir).
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn take(&self, task: &str, staged: &Path) -> Result<Vec<CheckpointedFile>, StateError> {
        let files = files(staged).map_err(|error| failed(staged, "read", &error))?;
        let place = self.task_dir(task);
        match fs::rename(staged, &place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(staged, &files, &place)?,
            Err(error) => return Err(failed(&place, "written", &error)),
        }
        Ok(files)
    }

    /// Where the copy of a task is until the checkpoint is complete.
    pub fn task_dir(&self, task: &str) -> PathBuf {
        self.draft.join(task)
    }

    /// Writes the manifest, waits until all is on disk, and gives the checkpoint its name.
    ///
    /// # Errors
    /// Nothing more can be written.
    pub fn finish(self, mut manifest: Checkpoint) -> Result<Checkpoint, StateError> {
        manifest.checksum = manifest.sum()?;
        let at = |error: io::Error| failed(&self.place, "written", &error);
        sync(&self.draft).map_err(at)?;
        write(&self.draft.join(MANIFEST), self_text(&manifest)?.as_bytes())?;
        sync_directory(&self.draft).map_err(at)?;
        fs::rename(&self.draft, &self.place).map_err(at)?;
        sync_directory(self.place.parent().unwrap_or(&self.place)).map_err(at)?;
        Ok(manifest)
    }
}

impl Drop for CheckpointDraft {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.draft) {
            tracing::warn!("the draft of a checkpoint stays: {error}");
        }
    }
}

fn is_new_or_empty(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// All files below `directory`, by path.
fn files(directory: &Path) -> io::Result<Vec<CheckpointedFile>> {
    let mut files = Vec::new();
    visit(directory, &mut |path, is_directory| {
        if !is_directory {
            let relative = path.strip_prefix(directory).unwrap_or(path).to_string_lossy().into_owned();
            files.push(CheckpointedFile { path: relative, bytes: fs::metadata(path)?.len() });
        }
        Ok(())
    })?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Everything below `directory`, and at last itself.
fn visit(directory: &Path, see: &mut dyn FnMut(&Path, bool) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => visit(&entry.path(), see)?,
            false => see(&entry.path(), false)?,
        }
    }
    see(directory, true)
}

/// Copies `files`; those that never change are linked, if both directories are on one file system.
fn copy(from: &Path, files: &[CheckpointedFile], to: &Path) -> Result<(), StateError> {
    make_directory(to).map_err(|error| failed(to, "created", &error))?;
    for file in files {
        let (source, target) = (from.join(&file.path), to.join(&file.path));
        let shared = source.extension().is_some_and(|extension| extension == SHARED_EXTENSION);
        let copied = make_directory(target.parent().unwrap_or(to)).and_then(|()| {
            if shared && fs::hard_link(&source, &target).is_ok() {
                return Ok(());
            }
            fs::copy(&source, &target).map(drop)
        });
        copied.map_err(|error| failed(&target, "written", &error))?;
    }
    Ok(())
}

/// Waits until everything below `directory` is on disk.
fn sync(directory: &Path) -> io::Result<()> {
    visit(directory, &mut |path, _| fs::File::open(path)?.sync_all())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::File::open(path)?.sync_all()
}

fn refused(path: &Path, message: String) -> StateError {
    StateError::Checkpoint { path: path.to_owned(), message }
}

fn failed(path: &Path, action: &str, error: &io::Error) -> StateError {
    refused(path, format!("it cannot be {action}: {error}; make room, or make it writable for this user"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: the age of a checkpoint with an impossible date had no number, and counted as none in a release build.
    #[test]
    fn one_of_long_ago_is_too_old_however_long() {
        let checkpoint = Checkpoint::new("app", "rocksdb", Timestamp::MIN, Vec::new());
        let age = (1_000_000, Duration::from_secs(3600));
        let error = checkpoint.check(Path::new("c"), ("app", "rocksdb"), age).unwrap_err().to_string();
        assert!(error.contains("hours ago"), "{error}");
    }
}
