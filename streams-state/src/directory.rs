//! The state directory of an application: who may use it, which process it belongs to, which tasks it holds.
//! Comes in a path, go out task directories and a process id. Never reads a clock, never looks into a task's data.
//!
//! ```text
//! <state.dir>/<application.id>/           mode 0700
//!     .lock                               locked while a process uses the directory
//!     .format                             layout of this directory, a number
//!     kafka-streams-process-metadata      {"processId":"<uuid>"}, stable over restarts
//!     <subtopology>_<partition>/          a task; the engine decides what is inside
//!     global/                             the global stores
//!     .staging/                           tasks on their way into or out of a checkpoint; emptied at each start
//! ```

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fs4::fs_std::FileExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::StateError;
use crate::types::TaskId;

/// The layout that this version writes.
const FORMAT: u32 = 1;
const LOCK_FILE: &str = ".lock";
/// Says which layout a directory of an application has: there is state where it is.
pub const FORMAT_FILE: &str = ".format";
/// As much of a file that should hold a number is shown.
const SHOWN_CHARS: usize = 40;
const PROCESS_FILE: &str = "kafka-streams-process-metadata";
/// A task directory on its way out: renamed first, so that a crash never leaves half of a database.
const DELETED_PREFIX: &str = ".deleted-";
const STAGING: &str = ".staging";
/// Directory of the global stores.
pub(crate) const GLOBAL: &str = "global";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessMetadata {
    process_id: Uuid,
}

/// An application's state directory, locked against other processes until it is dropped.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    process_id: Uuid,
    tasks: Mutex<BTreeSet<TaskId>>,
    _lock: File,
}

impl StateDirectory {
    /// Opens `<state_dir>/<application_id>`, made if it is not there, and locks it.
    ///
    /// # Errors
    /// [`StateError::Locked`] if another process has it, [`StateError::NewerFormat`] if a newer version wrote it,
    /// [`StateError::Directory`] if it cannot be made or written.
    pub fn open(state_dir: &Path, application_id: &str) -> Result<Self, StateError> {
        let path = state_dir.join(one_name(application_id, state_dir)?);
        make_directory(&path).map_err(|error| unusable(&path, "created", &error))?;
        let lock = lock(&path)?;
        check_format(&path)?;
        let process_id = process_id(&path)?;
        let directory = Self { path, process_id, tasks: Mutex::default(), _lock: lock };
        directory.remove_deleted()?;
        Ok(directory)
    }

    /// The application's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Identifies this instance of the application over restarts.
    pub fn process_id(&self) -> Uuid {
        self.process_id
    }

    /// The directory of `task`. It need not exist.
    pub fn task_dir(&self, task: TaskId) -> PathBuf {
        self.path.join(task.to_string())
    }

    /// The task whose directory is `path`, or has it inside.
    pub fn task_at(&self, path: &Path) -> Option<TaskId> {
        let below = path.strip_prefix(&self.path).ok()?;
        below.components().next()?.as_os_str().to_str()?.parse().ok()
    }

    /// The tasks that have a directory, in order.
    pub fn tasks(&self) -> Result<Vec<TaskId>, StateError> {
        let mut tasks = Vec::new();
        for name in self.entries()? {
            tasks.extend(name.parse::<TaskId>());
        }
        tasks.sort_unstable();
        Ok(tasks)
    }

    /// Takes `task` for the caller. `false`: another thread of this process has it; try again later.
    pub fn try_lock_task(&self, task: TaskId) -> bool {
        self.locked().insert(task)
    }

    /// Gives `task` back. `now` is when it was last used, for [`clean`](Self::clean).
    pub fn unlock_task(&self, task: TaskId, now: SystemTime) {
        let path = self.task_dir(task);
        if let Err(error) = File::open(&path).and_then(|directory| directory.set_modified(now))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(path = %path.display(), %error, "cannot note when the task was used");
        }
        self.locked().remove(&task);
    }

    /// Deletes the directory of `task`, if there is one. The caller has the task's lock, or nobody has.
    pub fn remove_task(&self, task: TaskId) -> Result<(), StateError> {
        let path = self.task_dir(task);
        let deleted = self.path.join(format!("{DELETED_PREFIX}{task}"));
        remove_all(&deleted)?;
        match fs::rename(&path, &deleted) {
            Ok(()) => remove_all(&deleted),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(unusable(&path, "deleted", &error)),
        }
    }

    /// Deletes the directories of tasks that nobody has locked and that were last used more than `unused_for`
    /// before `now`. Returns the tasks.
    pub fn clean(&self, unused_for: Duration, now: SystemTime) -> Result<Vec<TaskId>, StateError> {
        let mut removed = Vec::new();
        for task in self.tasks()? {
            let path = self.task_dir(task);
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let modified = modified.map_err(|error| unusable(&path, "read", &error))?;
            let unused = now.duration_since(modified).unwrap_or_default();
            if unused > unused_for && self.try_lock_task(task) {
                let result = self.remove_task(task);
                self.locked().remove(&task);
                result?;
                tracing::info!(%task, ?unused, "state of an unused task deleted");
                removed.push(task);
            }
        }
        Ok(removed)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes the state of all tasks and of the global stores. The process id stays. Nobody must use them.
    pub fn wipe(&self) -> Result<(), StateError> {
        self.tasks()?.into_iter().try_for_each(|task| self.remove_task(task))?;
        self.remove_global()
    }

    /// Deletes the directory of the global stores, if there is one. Nobody must use them.
    pub fn remove_global(&self) -> Result<(), StateError> {
        remove_all(&self.global_dir())
    }

    /// The directory of the global stores. It need not exist.
    pub fn global_dir(&self) -> PathBuf {
        self.path.join(GLOBAL)
    }

    /// Where task directories are made that come from a checkpoint or go into one: on the same file system as the tasks, and empty
    /// after a start. It need not exist.
    pub fn staging(&self) -> PathBuf {
        self.path.join(STAGING)
    }

    /// Names of the directories below this one.
    fn entries(&self) -> Result<Vec<String>, StateError> {
        let names = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    names.extend(entry.file_name().into_string());
                }
            }
            Ok(names)
        };
        names().map_err(|error| unusable(&self.path, "read", &error))
    }

    /// Finishes deletions, and forgets copies, that a crash interrupted.
    fn remove_deleted(&self) -> Result<(), StateError> {
        for name in self.entries()? {
            if name.starts_with(DELETED_PREFIX) || name == STAGING {
                remove_all(&self.path.join(name))?;
            }
        }
        Ok(())
    }
}

/// `name`, if it is the name of one entry of a directory and leads nowhere else.
fn one_name<'a>(name: &'a str, directory: &Path) -> Result<&'a str, StateError> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(part)), None) if part == name && !name.contains('\0') => Ok(name),
        (Some(_) | None, Some(_) | None) => Err(StateError::Directory {
            path: directory.to_owned(),
            message: format!(
                "`{}` cannot be the name of a directory below it; choose another application.id",
                name.escape_debug()
            ),
        }),
    }
}

/// Makes the directory `path`, and those above it that are missing, for the user of this process only (mode 0700). It may
/// exist.
///
/// # Errors
/// What the system says.
pub fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn lock(path: &Path) -> Result<File, StateError> {
    let file = path.join(LOCK_FILE);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
    let lock = lock.map_err(|error| unusable(&file, "written", &error))?;
    match lock.try_lock_exclusive() {
        Ok(true) => Ok(lock),
        Ok(false) => Err(StateError::Locked { path: path.to_owned() }),
        Err(error) => Err(unusable(&file, "locked", &error)),
    }
}

/// Refuses a newer layout; marks a new directory with ours.
fn check_format(path: &Path) -> Result<(), StateError> {
    let file = path.join(FORMAT_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return write(&file, format!("{FORMAT}\n").as_bytes());
        }
        Err(error) => return Err(unusable(&file, "read", &error)),
    };
    match text.trim().parse() {
        Ok(found) if found > FORMAT => {
            Err(StateError::NewerFormat { path: path.to_owned(), found, supported: FORMAT })
        }
        Ok(_) => Ok(()),
        Err(_) => Err(StateError::Directory {
            path: file,
            message: format!(
                "holds `{}` where the number of the format belongs; delete the directory around it to rebuild the \
                 state from the changelog topics",
                text.trim().escape_debug().take(SHOWN_CHARS).collect::<String>()
            ),
        }),
    }
}

/// Gives an application's directory that has none yet this process id, so that all that follows of it can be repeated.
///
/// # Errors
/// As [`StateDirectory::open`].
pub fn assign_process_id(state_dir: &Path, application_id: &str, id: Uuid) -> Result<(), StateError> {
    let path = state_dir.join(one_name(application_id, state_dir)?);
    make_directory(&path).map_err(|error| unusable(&path, "created", &error))?;
    let file = path.join(PROCESS_FILE);
    if file.exists() { Ok(()) } else { write_process_id(&file, id) }
}

fn write_process_id(file: &Path, id: Uuid) -> Result<(), StateError> {
    write(file, format!("{{\"processId\":\"{id}\"}}").as_bytes())
}

/// The process id in the directory, made once. An unreadable one is replaced: it costs locality, not state.
fn process_id(path: &Path) -> Result<Uuid, StateError> {
    let file = path.join(PROCESS_FILE);
    match fs::read(&file) {
        Ok(bytes) => match serde_json::from_slice::<ProcessMetadata>(&bytes) {
            Ok(metadata) => return Ok(metadata.process_id),
            Err(error) => tracing::warn!(path = %file.display(), %error, "process id unreadable, made anew"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(&file, "read", &error)),
    }
    let metadata = ProcessMetadata { process_id: Uuid::new_v4() };
    write_process_id(&file, metadata.process_id)?;
    Ok(metadata.process_id)
}

/// Writes a small file so that it is there as a whole or not at all.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let draft = file.with_extension("tmp");
    let written = File::create(&draft).and_then(|mut out| {
        out.write_all(bytes)?;
        out.sync_all()
    });
    written.and_then(|()| fs::rename(&draft, file)).map_err(|error| unusable(file, "written", &error))
}

pub(crate) fn remove_all(path: &Path) -> Result<(), StateError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(path, "deleted", &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn unusable(path: &Path, action: &str, error: &io::Error) -> StateError {
    let message = format!(
        "cannot be {action}: {error}; make it writable for the user that runs the application, or choose another \
         place with state.dir"
    );
    StateError::Directory { path: path.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId { subtopology: 0, partition: 3 };

    #[test]
    fn keeps_its_process_id_and_belongs_to_one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let state_dir = root.path().join("state");
        let first = StateDirectory::open(&state_dir, "app").unwrap();
        let id = first.process_id();
        let text = fs::read_to_string(state_dir.join("app/kafka-streams-process-metadata")).unwrap();
        assert_eq!(text, format!("{{\"processId\":\"{id}\"}}"));
        let second = StateDirectory::open(&state_dir, "app").unwrap_err();
        assert!(matches!(second, StateError::Locked { .. }), "{second}");
        let other = StateDirectory::open(&state_dir, "other").unwrap();
        assert_ne!(other.process_id(), id);
        drop(first);
        assert_eq!(StateDirectory::open(&state_dir, "app").unwrap().process_id(), id);
    }

    #[cfg(unix)]
    #[test]
    fn is_for_its_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(root.path(), "app").unwrap();
        assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn refuses_what_it_cannot_use_and_says_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let error = StateDirectory::open(&root.path().join("file"), "app").unwrap_err().to_string();
        assert!(error.contains("file/app: cannot be created") && error.contains("state.dir"), "{error}");

        fs::create_dir(root.path().join("app")).unwrap();
        fs::write(root.path().join("app/.format"), "7\n").unwrap();
        let newer = StateDirectory::open(root.path(), "app").unwrap_err();
        assert!(matches!(newer, StateError::NewerFormat { found: 7, supported: FORMAT, .. }), "{newer}");

        fs::write(root.path().join("app/.format"), "x").unwrap();
        let error = StateDirectory::open(root.path(), "app").unwrap_err().to_string();
        assert!(error.contains("holds `x`"), "{error}");

        // Regression: all of the file was in the error, escaped, at many times its size.
        fs::write(root.path().join("app/.format"), "\u{1}".repeat(1 << 20)).unwrap();
        let error = StateDirectory::open(root.path(), "app").unwrap_err().to_string();
        assert!(error.len() < 500, "{} bytes", error.len());
    }

    #[test]
    fn gives_a_task_to_one_thread_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(root.path(), "app").unwrap();
        assert!(directory.try_lock_task(TASK));
        assert!(!directory.try_lock_task(TASK));
        directory.unlock_task(TASK, SystemTime::UNIX_EPOCH);
        assert!(directory.try_lock_task(TASK));
    }

    #[test]
    fn lists_and_cleans_tasks() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(root.path(), "app").unwrap();
        let task = |partition| TaskId { subtopology: 1, partition };
        for name in ["1_0", "1_1", "1_10", "1_2", "01_2", "global", "1_x", ".deleted-1_9"] {
            fs::create_dir_all(directory.path().join(name).join("rocksdb")).unwrap();
        }
        assert_eq!(directory.tasks().unwrap(), [task(0), task(1), task(2), task(10)]);

        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for partition in [0, 1, 2, 10] {
            assert!(directory.try_lock_task(task(partition)));
            directory.unlock_task(task(partition), start + Duration::from_secs(partition as u64));
        }
        assert!(directory.try_lock_task(task(0)));
        let removed = directory.clean(Duration::from_secs(600), start + Duration::from_secs(602)).unwrap();
        assert_eq!(removed, [task(1)]);
        directory.remove_task(task(2)).unwrap();
        directory.remove_task(task(2)).unwrap();
        let inside = directory.task_dir(task(10)).join("rocksdb/000007.sst");
        assert_eq!(directory.task_at(&inside), Some(task(10)));
        assert_eq!(directory.task_at(&directory.global_dir()), None);
        assert_eq!(directory.tasks().unwrap(), [task(0), task(10)]);
        drop(directory);
        let directory = StateDirectory::open(root.path(), "app").unwrap();
        assert!(!directory.path().join(".deleted-1_9").exists());
    }
}
