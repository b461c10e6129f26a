//! A subscriber of `tracing` for one thread, which writes spans down when they end.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};
use tracing::{Dispatch, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A span that has ended. Two test programs share this file; each looks at a part.
#[allow(dead_code)]
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) parent: Option<&'static str>,
    /// Spans that ended before it, below it.
    pub(crate) below: Vec<&'static str>,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

/// Writes spans of the target `kstreams` down when they end.
#[derive(Clone, Default)]
pub(crate) struct Recorder(pub(crate) Arc<Mutex<Vec<Ended>>>);

struct Below(Vec<&'static str>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(fields);
        span.extensions_mut().insert(Below(Vec::new()));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        values.record(context.span(id).unwrap().extensions_mut().get_mut::<Fields>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        if span.metadata().target() != "kstreams" {
            return;
        }
        let mut extensions = span.extensions_mut();
        if let Some(parent) = span.parent() {
            parent.extensions_mut().get_mut::<Below>().unwrap().0.push(span.name());
        }
        self.0.lock().unwrap().push(Ended {
            name: span.name(),
            level: *span.metadata().level(),
            parent: span.parent().map(|parent| parent.name()),
            below: std::mem::take(&mut extensions.get_mut::<Below>().unwrap().0),
            fields: std::mem::take(&mut extensions.get_mut::<Fields>().unwrap().0),
        });
    }
}

/// While there is one subscriber only, `tracing` asks none but that of the thread that comes to a span first: one of another test, which
/// has none, and the span would be nobody's for good.
static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

impl Recorder {
    /// Records the spans of this thread, up to `level`, until the guard goes away.
    pub(crate) fn start(level: LevelFilter) -> (Self, DefaultGuard) {
        LazyLock::force(&OTHER);
        let recorder = Self::default();
        let guard = set_default(tracing_subscriber::registry().with(level).with(recorder.clone()));
        (recorder, guard)
    }

    pub(crate) fn ended(&self, name: &str) -> Vec<Ended> {
        self.0.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }
}
