//! Writes records as lines of text and ends there: for looking at a stream while a program is written.

use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::NodeResult;
use crate::processor::{Push, TaskContext};
use crate::record::Record;

type Writer = Arc<Mutex<dyn Write + Send>>;
type Text<K, V> = Arc<dyn Fn(&K, &V) -> String + Send + Sync>;

/// Where `print` writes, and how a record looks.
pub struct Printed<K, V> {
    /// Or why it cannot be written to.
    pub(crate) writer: Result<Writer, String>,
    /// Default: the name of the stream.
    pub(crate) label: Option<String>,
    pub(crate) text: Text<K, V>,
}

impl<K: Debug, V: Debug> Printed<K, V> {
    /// To the standard output.
    pub fn to_sys_out() -> Self {
        Self::to_writer(std::io::stdout())
    }

    /// To a new file; one that exists is overwritten. If it cannot be made, `build` says so.
    pub fn to_file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match std::fs::File::create(path) {
            Ok(file) => Self::to_writer(file),
            Err(error) => {
                let fault = format!("cannot make the file {}: {error}", path.display());
                Self { writer: Err(fault), ..Self::to_sys_out() }
            }
        }
    }

    /// To any writer, which all tasks share. It is flushed after each record.
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        let text: Text<K, V> = Arc::new(|key, value| format!("{key:?}, {value:?}"));
        Self { writer: Ok(Arc::new(Mutex::new(writer))), label: None, text }
    }
}

impl<K, V> Printed<K, V> {
    /// What stands in brackets before each record. Default: the name of the stream.
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// How a record looks. Default: key and value as `Debug` writes them.
    pub fn key_value_mapper(self, mapper: impl Fn(&K, &V) -> String + Send + Sync + 'static) -> Self {
        Self { text: Arc::new(mapper), ..self }
    }
}

/// The end of a stream.
pub(crate) struct Print<K, V> {
    pub(crate) name: Arc<str>,
    pub(crate) label: Arc<str>,
    pub(crate) writer: Writer,
    pub(crate) text: Text<K, V>,
}

impl<K, V> Push<K, V> for Print<K, V> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let line = format!("[{}]: {}\n", self.label, (self.text)(&record.key, &record.value));
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match writer.write_all(line.as_bytes()).and_then(|()| writer.flush()) {
            Ok(()) => Ok(()),
            Err(error) => context.processing_failed(&self.name, error.into()),
        }
    }
}
