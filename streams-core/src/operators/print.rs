//! Writes records as lines of text and ends there: for looking at a stream while a program is written.

use std::any::{Any, type_name};
use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use streams_state::types::Windowed;

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

impl<K: Debug + 'static, V: Debug + 'static> Printed<K, V> {
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
        let text: Text<K, V> = Arc::new(|key, value| format!("{}, {}", shown(key), shown(value)));
        Self { writer: Ok(Arc::new(Mutex::new(writer))), label: None, text }
    }
}

impl<K, V> Printed<K, V> {
    /// What stands in brackets before each record. Default: the name of the stream.
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// How a record looks. Default: key and value as Java would print them: text as it is, `null` for what is missing; types of
    /// the user's as `Debug` writes them.
    pub fn key_value_mapper(self, mapper: impl Fn(&K, &V) -> String + Send + Sync + 'static) -> Self {
        Self { text: Arc::new(mapper), ..self }
    }
}

/// As Java prints it.
fn shown<T: Debug + 'static>(value: &T) -> String {
    let any: &dyn Any = value;
    if let Some(text) = text(any) {
        return text;
    }
    let debug = format!("{value:?}");
    let option = type_name::<T>().starts_with("core::option::Option<");
    let inside = || debug.strip_prefix("Some(")?.strip_suffix(')').map(str::to_owned);
    match debug.as_str() {
        "None" if option => "null".to_owned(),
        _ if option => inside().unwrap_or(debug),
        _ => debug,
    }
}

/// Types whose `Debug` would put quotes around text.
fn text(value: &dyn Any) -> Option<String> {
    if value.is::<()>() {
        return Some("null".to_owned());
    }
    if let Some(text) = value.downcast_ref::<String>() {
        return Some(text.clone());
    }
    if let Some(Some(text)) = value.downcast_ref::<Option<String>>() {
        return Some(text.clone());
    }
    value.downcast_ref::<Windowed<String>>().map(ToString::to_string)
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

#[cfg(test)]
mod tests {
    use streams_state::types::Window;

    use super::*;

    /// Text had quotes, and null was `None`.
    #[test]
    fn as_java_prints() {
        let window = Window { start: 0, end: 5 };
        assert_eq!(shown(&"a \"b\"".to_owned()), "a \"b\"");
        assert_eq!((shown(&-1_i64), shown(&1.5), shown(&true)), ("-1".into(), "1.5".into(), "true".into()));
        assert_eq!(
            (shown(&None::<i64>), shown(&None::<String>), shown(&())),
            ("null".into(), "null".into(), "null".into())
        );
        assert_eq!((shown(&Some(7)), shown(&Some("a".to_owned()))), ("7".into(), "a".into()));
        assert_eq!(shown(&Windowed { key: "k".to_owned(), window }), "[k@0/5]");
        assert_eq!(shown(&Some(window)), "Window { start: 0, end: 5 }");
    }
}
