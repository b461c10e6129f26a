//! A directory -> the applications, tasks and stores in it.
//!
//! In: `state.dir`, an application's directory in it, or a checkpoint. Out: the directories of tasks, with what a manifest says of
//! their stores. Nothing is opened or written.

use std::fs;
use std::path::{Path, PathBuf};

use streams_state::checkpoint::{Checkpoint, CheckpointedStore, MANIFEST};
use streams_state::directory::FORMAT_FILE;
use streams_state::types::TaskId;

use crate::Error;

/// The state of one application.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub directory: PathBuf,
    /// Whose it is.
    pub application_id: String,
    /// When the checkpoint was taken, ms since the Unix epoch. `None`: it is no checkpoint.
    pub taken_at: Option<i64>,
    /// Tasks in their order, then the global stores.
    pub tasks: Vec<FoundTask>,
}

/// The state of one task.
#[derive(Debug)]
pub struct FoundTask {
    /// `0_3`, or `global`.
    pub name: String,
    /// Its partition; `None` for the global stores, which have all partitions of their topics.
    pub partition: Option<i32>,
    /// Where it is.
    pub directory: PathBuf,
    /// What the manifest of a checkpoint says.
    pub listed: Vec<CheckpointedStore>,
}

/// Finds the applications whose state is in `directory`; if `application_id` is given, only that one.
///
/// # Errors
/// There is none; or what looks like a checkpoint is damaged.
pub fn find(directory: &Path, application_id: Option<&str>) -> Result<Vec<Found>, Error> {
    if !directory.is_dir() {
        return Err(format!("{} is not a directory", directory.display()).into());
    }
    let found = if directory.join(MANIFEST).exists() {
        vec![checkpoint(directory)?]
    } else if is_application(directory) {
        vec![application(directory)?]
    } else {
        let folders = folders(directory)?.into_iter().map(|(_, path)| path);
        folders
            .filter(|path| is_application(path))
            .map(|path| application(&path))
            .collect::<Result<_, _>>()?
    };
    let wanted: Vec<Found> = found
        .into_iter()
        .filter(|found| application_id.is_none_or(|wanted| found.application_id == wanted))
        .collect();
    match (wanted.is_empty(), application_id) {
        (false, _) => Ok(wanted),
        (true, Some(id)) => Err(format!("no state of application `{id}` in {}", directory.display()).into()),
        (true, None) => Err(format!(
            "no state in {}; give the state.dir of an application, or a checkpoint",
            directory.display()
        )
        .into()),
    }
}

fn checkpoint(directory: &Path) -> Result<Found, Error> {
    let Checkpoint { application_id, taken_at, tasks, .. } = Checkpoint::read(directory)?;
    let task = |task: streams_state::checkpoint::CheckpointedTask| FoundTask {
        partition: task.task.parse().ok().map(|task: TaskId| task.partition),
        directory: directory.join(&task.task),
        name: task.task,
        listed: task.stores,
    };
    let tasks = tasks.into_iter().map(task).collect();
    Ok(Found { directory: directory.to_owned(), application_id, taken_at: Some(taken_at), tasks })
}

/// The file that every state directory has.
fn is_application(directory: &Path) -> bool {
    directory.join(FORMAT_FILE).is_file()
}

fn application(directory: &Path) -> Result<Found, Error> {
    let full = directory.canonicalize()?;
    let application_id = full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut tasks: Vec<(Option<TaskId>, PathBuf)> = Vec::new();
    for (name, path) in folders(directory)? {
        match name.parse() {
            Ok(task) => tasks.push((Some(task), path)),
            Err(_) if name == "global" => tasks.push((None, path)),
            Err(_) => {}
        }
    }
    tasks.sort_by_key(|(task, _)| (task.is_none(), *task));
    let task = |(task, directory): (Option<TaskId>, PathBuf)| FoundTask {
        name: task.map_or("global".to_owned(), |task| task.to_string()),
        partition: task.map(|task| task.partition),
        directory,
        listed: Vec::new(),
    };
    let tasks = tasks.into_iter().map(task).collect();
    Ok(Found { directory: directory.to_owned(), application_id, taken_at: None, tasks })
}

/// Names and paths of the directories in `directory`, by name.
fn folders(directory: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let unreadable = |error| format!("{} cannot be read: {error}", directory.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_dir()) {
            folders.push((name.to_string_lossy().into_owned(), path));
        }
    }
    folders.sort();
    Ok(folders)
}
