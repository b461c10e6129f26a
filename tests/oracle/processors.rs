//! The processors of the cases: they use stores (text by text), schedules, headers and record metadata.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kstreams::dsl::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord};
use kstreams::error::BoxError;
use kstreams::processor::{Processor, ProcessorContext, Punctuation, PunctuationType};
use kstreams::record::Record;
use kstreams::types::{Headers, RecordContext, Timestamp};
use streams_state::store::KeyValueStore;

use crate::case::Step;
use crate::functions::{Text, clip, s, sum};

type StoreRef = Rc<RefCell<KeyValueStore<String, String>>>;

/// What a processor does with a record.
#[derive(Clone, Copy)]
enum Action {
    Previous,
    Buffer,
    Ticks,
    Context,
    Header,
    Shift,
}

/// A step of kind `process` or `processValues`: makes a [`CaseProcessor`] for each task.
#[derive(Clone)]
pub(crate) struct CaseProcessorSupplier {
    action: Action,
    store: Option<String>,
    schedule: Option<(Duration, PunctuationType)>,
}

/// One processor. `store` is there once `init` was called, if the step names one.
pub(crate) struct CaseProcessor {
    plan: CaseProcessorSupplier,
    store: Option<StoreRef>,
}

/// A record without its key.
struct Payload {
    value: Text,
    timestamp: Timestamp,
    headers: Headers,
}

impl CaseProcessorSupplier {
    /// Reads the step.
    pub(crate) fn new(step: &Step) -> Self {
        let action = match step.text("fn") {
            "previous" => Action::Previous,
            "buffer" => Action::Buffer,
            "ticks" => Action::Ticks,
            "context" => Action::Context,
            "header" => Action::Header,
            "shift" => Action::Shift,
            other => panic!("the vocabulary has no processor `{other}`"),
        };
        let clock = match step.find("clock") {
            Some("wall") => PunctuationType::WallClockTime,
            Some(_) | None => PunctuationType::StreamTime,
        };
        let every = step.number("every").map(|every| Duration::from_millis(every.unsigned_abs()));
        let store = step.find("store").map(str::to_owned);
        Self { action, store, schedule: every.map(|every| (every, clock)) }
    }

    /// A processor for one task.
    pub(crate) fn get(&self) -> CaseProcessor {
        CaseProcessor { plan: self.clone(), store: None }
    }
}

impl CaseProcessor {
    fn store(&self) -> Result<&StoreRef, BoxError> {
        self.store.as_ref().ok_or_else(|| "the step names no store".into())
    }

    fn read(&self, key: &str) -> Result<Text, BoxError> {
        Ok(self.store()?.borrow_mut().get(&key.to_owned())?.map(|(value, _)| value.clone()))
    }

    fn write(&self, context: &RecordContext, key: &str, value: Text) -> Result<(), BoxError> {
        self.store()?.borrow_mut().put(&key.to_owned(), value, context.timestamp, context)?;
        Ok(())
    }

    fn rows(&self) -> Result<Vec<(String, String)>, BoxError> {
        let mut rows = Vec::new();
        self.store()?.borrow_mut().for_each(&mut |key, value, _| rows.push((key, value.clone())))?;
        Ok(rows)
    }

    /// What is forwarded for a record, if anything. `position` says where the record came from.
    fn answer(
        &self,
        context: &RecordContext,
        position: impl FnOnce() -> String,
        key: Option<&str>,
        record: Payload,
    ) -> Result<Option<Payload>, BoxError> {
        let Payload { value, timestamp, mut headers } = record;
        let (key, text) = (s(key), s(value.as_deref()).to_owned());
        let with_value = |value: String, headers| Payload { value: Some(clip(value)), timestamp, headers };
        Ok(match self.plan.action {
            Action::Previous => {
                let previous = self.read(key)?;
                self.write(context, key, value)?;
                Some(with_value(format!("{}>{text}", s(previous.as_deref())), headers))
            }
            Action::Buffer => {
                let previous = self.read(key)?.map_or(String::new(), |previous| format!("{previous},"));
                self.write(context, key, Some(clip(format!("{previous}{text}"))))?;
                None
            }
            Action::Ticks => {
                Some(with_value(format!("{text};{}", s(self.read("ticks")?.as_deref())), headers))
            }
            Action::Context => Some(with_value(format!("{text}{}", position()), headers)),
            Action::Header => {
                headers.add("p", Some(text.into_bytes()));
                Some(Payload { value, timestamp, headers })
            }
            Action::Shift => {
                let timestamp = timestamp + sum(value.as_deref()) % 7;
                Some(Payload { value, timestamp, headers })
            }
        })
    }
}

/// Where the record in work came from, and both clocks, as text. A punctuation has no topic; Java prints its context
/// all the same.
fn position(metadata: Option<(&str, i32, i64)>, stream_time: Timestamp, wall_clock: Timestamp) -> String {
    let source = metadata.map_or("null:-1".to_owned(), |(topic, _, offset)| format!("{topic}:{offset}"));
    format!("[{source}:{stream_time}:{wall_clock}]")
}

impl Processor<Text, Text, Text, Text> for CaseProcessor {
    fn init(&mut self, context: &mut ProcessorContext<'_, Text, Text>) -> Result<(), BoxError> {
        if let Some(name) = &self.plan.store {
            self.store = Some(context.store_as(name)?);
        }
        if let Some((every, clock)) = self.plan.schedule {
            context.schedule(every, clock)?;
        }
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, Text, Text>,
        record: Record<Text, Text>,
    ) -> Result<(), BoxError> {
        let Record { key, value, timestamp, headers } = record;
        let here = || {
            position(context.record_metadata(), context.current_stream_time(), context.current_system_time())
        };
        let payload = Payload { value, timestamp, headers };
        let answer = self.answer(context.record_context(), here, key.as_deref(), payload)?;
        if let Some(Payload { value, timestamp, headers }) = answer {
            context.forward(Record { key, value, timestamp, headers })?;
        }
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut ProcessorContext<'_, Text, Text>,
        _punctuation: Punctuation,
        now: Timestamp,
    ) -> Result<(), BoxError> {
        for (key, value) in self.rows()? {
            let held = Some(clip(format!("{value}@{now}")));
            context.forward(Record::new(Some(key.clone()), held, now))?;
            self.write(context.record_context(), &key, None)?;
        }
        Ok(())
    }
}

impl FixedKeyProcessor<Text, Text, Text> for CaseProcessor {
    fn init(&mut self, context: &mut FixedKeyContext<'_, Text, Text>) -> Result<(), BoxError> {
        if let Some(name) = &self.plan.store {
            self.store = Some(context.store_as(name)?);
        }
        if let Some((every, clock)) = self.plan.schedule {
            context.schedule(every, clock)?;
        }
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, Text, Text>,
        mut record: FixedKeyRecord<Text, Text>,
    ) -> Result<(), BoxError> {
        let here = || {
            position(context.record_metadata(), context.current_stream_time(), context.current_system_time())
        };
        let payload = Payload {
            value: record.value.take(),
            timestamp: record.timestamp,
            headers: std::mem::take(&mut record.headers),
        };
        let key = record.key().clone();
        let answer = self.answer(context.record_context(), here, key.as_deref(), payload)?;
        if let Some(Payload { value, timestamp, headers }) = answer {
            record.value = value;
            record.timestamp = timestamp;
            record.headers = headers;
            context.forward(record)?;
        }
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut FixedKeyContext<'_, Text, Text>,
        _punctuation: Punctuation,
        now: Timestamp,
    ) -> Result<(), BoxError> {
        let ticks = clip(format!("{},{now}", s(self.read("ticks")?.as_deref())));
        self.write(context.record_context(), "ticks", Some(ticks))
    }
}
