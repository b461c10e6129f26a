//! The wrapper around processors: what it sees of their records, schedules, init and close, and what it may do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use streams_core::dsl::{
    FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Stores, StreamsBuilder, ValueTransformerWithKey,
};
use streams_core::error::BoxError;
use streams_core::processor::{
    ProcessingContext, Processor, ProcessorContext, Punctuation, PunctuationType, WrappedCall,
    WrappedProcessor,
};
use streams_core::record::Record;
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::{Store, Topic};
use streams_core::topology::Topology;
use streams_core::types::{Change, Timestamp};

use crate::text;

const IN: Topic<String, i64> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");
const OTHER: Topic<String, i64> = Topic::new("other");
const TABLE: Store<String, i64> = Store::new("table");
const OWN: Store<String, i64> = Store::new("own");
const SEEN: Store<String, i64> = Store::new("seen");

type Seen = Arc<Mutex<Vec<String>>>;

/// Doubles the value and leaves the key.
struct Double;

impl FixedKeyProcessor<String, i64, i64> for Double {
    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, String, i64>,
        record: FixedKeyRecord<String, i64>,
    ) -> Result<(), BoxError> {
        let value = record.value * 2;
        Ok(context.forward(record.with_value(value))?)
    }
}

/// Writes down who gets what; changes values of `adds`, and lets nothing through `drops`.
struct Around(String, Seen);

impl WrappedProcessor for Around {
    fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        let plain = call.value::<i64>().map(ToString::to_string);
        let change = call.value::<Change<i64>>().map(|change| format!("{:?}->{:?}", change.old, change.new));
        let (key, time) = (call.key::<String>().cloned().unwrap_or_default(), call.timestamp());
        let value = plain.or(change).unwrap_or_default();
        self.1.lock().unwrap().push(format!("{} {key} {value} {time:?}", self.0));
        match &*self.0 {
            "drops" => return Ok(()),
            "fails" => return Err("not wanted".into()),
            "adds" => call.value_mut::<i64>().into_iter().for_each(|value| *value += 5),
            _ => {}
        }
        call.proceed()?;
        assert!(call.key::<String>().is_none(), "the record is handed over");
        Ok(call.proceed()?)
    }
}

/// Forwards to a child that is not there.
struct Astray;

impl Processor<String, i64, String, i64> for Astray {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(context.forward_to("nowhere", record)?)
    }
}

fn wrapped(mut topology: Topology, seen: &Seen) -> TopologyTestDriver {
    let seen = seen.clone();
    topology.wrap_processors(move |name: &str| {
        Some(Box::new(Around(name.to_owned(), seen.clone())) as Box<dyn WrappedProcessor>)
    });
    TopologyTestDriver::new(topology).unwrap()
}

#[test]
fn a_wrapper_stands_around_every_processor_of_the_dsl_and_no_source_or_sink() {
    let seen = Seen::default();
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&IN).named("adds").process_values(|| Double, &[]);
    stream.clone().named("drops").filter(|_, _| true).to(&OTHER);
    stream.group_by_key().count_with(&TABLE).to_stream().to(&OUT);
    let plain = builder.build().unwrap();
    let described = plain.describe().to_string();
    let driver = wrapped(plain.clone(), &seen);
    assert_eq!(plain.describe().to_string(), described);
    driver.input(&IN).pipe_record(Record::new(text("a"), 1, 7));
    let seen: Vec<String> = seen.lock().unwrap().clone();
    assert_eq!(
        seen[..3],
        ["adds a 1 Some(7)", "drops a 12 Some(7)", "KSTREAM-AGGREGATE-0000000003 a 12 Some(7)"]
    );
    assert!(seen[3].starts_with("KTABLE-TOSTREAM-") && seen[3].contains("None->Some(1)"), "{seen:?}");
    assert_eq!((driver.output(&OTHER).len(), driver.output(&OUT).len(), seen.len()), (0, 1, 4));
}

#[test]
fn errors_of_a_wrapper_are_errors_of_its_processor_and_those_below_stay_theirs() {
    let builder = StreamsBuilder::new();
    builder
        .stream(&IN)
        .named("fine")
        .map_values(|value| value)
        .named("fails")
        .map_values(|value| value)
        .to(&OUT);
    let driver = wrapped(builder.build().unwrap(), &Seen::default());
    let error = driver.input(&IN).try_pipe(Record::new(text("k"), 3, 0)).unwrap_err().to_string();
    assert_eq!(error, "task 0_0, node `fails`, record in-0@0: processing failed: not wanted");
    let builder = StreamsBuilder::new();
    builder.stream(&IN).process::<_, String, i64>(|| Astray, &[]).to(&OUT);
    let driver = wrapped(builder.build().unwrap(), &Seen::default());
    let error = driver.input(&IN).try_pipe(Record::new(text("k"), 3, 0)).unwrap_err().to_string();
    assert!(error.contains("there is no child node `nowhere`"), "{error}");
}

fn tell(seen: &Seen, what: impl Into<String>) {
    seen.lock().unwrap().push(what.into());
}

fn told(seen: &Seen) -> Vec<String> {
    std::mem::take(&mut *seen.lock().unwrap())
}

const TICK: Duration = Duration::from_millis(100);

/// Tells all that it is called for; has one schedule.
struct Chatty(Seen);

impl Processor<String, i64, String, i64> for Chatty {
    fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
        tell(&self.0, "init");
        context.schedule(TICK, PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let at = (context.record_context().timestamp, context.record_context().headers.iter().count());
        tell(&self.0, format!("process {} {} {at:?}", record.value, record.timestamp));
        Ok(context.forward(record)?)
    }

    fn punctuate(
        &mut self,
        _: &mut ProcessorContext<'_, String, i64>,
        _: Punctuation,
        timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        tell(&self.0, format!("punctuate {timestamp}"));
        Ok(())
    }

    fn close(&mut self) {
        tell(&self.0, "close");
    }
}

/// The same, as a processor of values.
struct ChattyValues(Seen);

impl FixedKeyProcessor<String, i64, i64> for ChattyValues {
    fn init(&mut self, context: &mut FixedKeyContext<'_, String, i64>) -> Result<(), BoxError> {
        tell(&self.0, "init");
        context.schedule(TICK, PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut FixedKeyContext<'_, String, i64>,
        record: FixedKeyRecord<String, i64>,
    ) -> Result<(), BoxError> {
        tell(&self.0, format!("process {}", record.value));
        Ok(context.forward(record)?)
    }

    fn punctuate(
        &mut self,
        _: &mut FixedKeyContext<'_, String, i64>,
        _: Punctuation,
        timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        tell(&self.0, format!("punctuate {timestamp}"));
        Ok(())
    }

    fn close(&mut self) {
        tell(&self.0, "close");
    }
}

/// The same, as a transformer of a table.
struct ChattyRows(Seen);

impl ValueTransformerWithKey<String, i64, i64> for ChattyRows {
    fn init(&mut self, context: &mut ProcessingContext<'_>) -> Result<(), BoxError> {
        tell(&self.0, "init");
        context.schedule(TICK, PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn transform(
        &mut self,
        _: &mut ProcessingContext<'_>,
        _: &String,
        value: Option<&i64>,
    ) -> Result<Option<i64>, BoxError> {
        tell(&self.0, format!("process {}", value.copied().unwrap_or_default()));
        Ok(value.copied())
    }

    fn punctuate(
        &mut self,
        _: &mut ProcessingContext<'_>,
        _: Punctuation,
        timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        tell(&self.0, format!("punctuate {timestamp}"));
        Ok(())
    }

    fn close(&mut self) {
        tell(&self.0, "close");
    }
}

/// Tells before and after each call that it proceeds with.
struct Hooks(Seen, String);

impl Hooks {
    fn around(&self, call: &mut WrappedCall<'_>, what: &str) -> Result<(), BoxError> {
        tell(&self.0, format!("> {what} of {} in {}", self.1, call.task_id()));
        call.proceed()?;
        call.proceed()?;
        tell(&self.0, format!("< {what}"));
        Ok(())
    }
}

impl WrappedProcessor for Hooks {
    fn init(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        self.around(call, "init")
    }

    fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        self.around(call, "process")
    }

    fn punctuate(
        &mut self,
        call: &mut WrappedCall<'_>,
        _: Punctuation,
        _: Timestamp,
    ) -> Result<(), BoxError> {
        self.around(call, "punctuate")
    }

    fn close(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        self.around(call, "close")
    }
}

/// A driver of `builder` with what `make` makes around each processor.
fn driver<W: WrappedProcessor + 'static>(
    builder: &StreamsBuilder,
    make: impl Fn(&str) -> W + Send + Sync + 'static,
) -> TopologyTestDriver {
    let mut topology = builder.build().unwrap();
    topology.wrap_processors(move |name: &str| Some(Box::new(make(name)) as Box<dyn WrappedProcessor>));
    TopologyTestDriver::new(topology).unwrap()
}

#[test]
fn a_wrapper_stands_around_init_records_schedules_and_close_of_all_kinds_of_processors() {
    let programs: [fn(&StreamsBuilder, Seen); 3] = [
        |builder, seen| {
            let stream = builder.stream(&IN).named("it");
            stream.process::<_, String, i64>(move || Chatty(seen.clone()), &[]);
        },
        |builder, seen| {
            builder.stream(&IN).named("it").process_values(move || ChattyValues(seen.clone()), &[]);
        },
        |builder, seen| {
            let rows = builder.table(&IN).named("it");
            rows.transform_values(move || ChattyRows(seen.clone()), &[]);
        },
    ];
    for program in programs {
        let seen = Seen::default();
        let builder = StreamsBuilder::new();
        program(&builder, seen.clone());
        let hooks = {
            let seen = seen.clone();
            move |name: &str| Hooks(seen.clone(), name.to_owned())
        };
        let driver = driver(&builder, hooks);
        let of_it = || -> Vec<String> {
            // The source of a table is a processor, too, and is wrapped by its own name.
            let all = told(&seen);
            let from = all.iter().position(|line| line.contains(" of it ")).unwrap_or(all.len());
            all[from..].iter().take(3).cloned().collect()
        };
        assert_eq!(of_it(), ["> init of it in 0_0", "init", "< init"]);
        driver.input(&IN).pipe_at("a", 1, 7);
        let processed = of_it();
        assert!(processed[1].starts_with("process 1"), "{processed:?}");
        assert_eq!((&*processed[0], &*processed[2]), ("> process of it in 0_0", "< process"));
        driver.advance_wall_clock(TICK);
        assert_eq!(of_it(), ["> punctuate of it in 0_0", "punctuate 100", "< punctuate"]);
        driver.close().unwrap();
        assert_eq!(of_it(), ["> close of it in 0_0", "close", "< close"]);
    }
}

#[test]
fn what_feeds_a_global_store_is_not_wrapped() {
    let asked = Seen::default();
    let builder = StreamsBuilder::new();
    let rows = builder.global_table(&OTHER);
    builder.stream(&IN).named("it").join_global(&rows, |key, _| key.clone(), |one, two| one + two);
    let driver = driver(&builder, {
        let asked = asked.clone();
        move |name| {
            tell(&asked, name);
            Bare
        }
    });
    driver.input(&OTHER).pipe("a", 1);
    assert_eq!(told(&asked), ["it"]);
}

/// Does nothing of its own.
struct Bare;

impl WrappedProcessor for Bare {}

#[test]
fn a_wrapper_without_hooks_changes_nothing() {
    let seen = Seen::default();
    let builder = StreamsBuilder::new();
    let chatty = {
        let seen = seen.clone();
        move || Chatty(seen.clone())
    };
    builder.stream(&IN).process::<_, String, i64>(chatty, &[]).to(&OUT);
    let driver = driver(&builder, |_| Bare);
    driver.input(&IN).pipe_at("a", 1, 7);
    driver.advance_wall_clock(TICK);
    driver.close().unwrap();
    assert_eq!(told(&seen), ["init", "process 1 7 (7, 0)", "punctuate 100", "close"]);
}

/// Stands in for the processor: lets nothing through, not even `init`.
struct Instead(Seen);

impl WrappedProcessor for Instead {
    fn init(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        call.schedule(TICK, PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        tell(&self.0, format!("instead {:?}", call.value::<i64>()));
        Ok(())
    }

    fn close(&mut self, _: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn a_processor_may_be_replaced() {
    let (seen, inner) = (Seen::default(), Seen::default());
    let builder = StreamsBuilder::new();
    let chatty = {
        let inner = inner.clone();
        move || Chatty(inner.clone())
    };
    builder.stream(&IN).process::<_, String, i64>(chatty, &[]);
    let driver = driver(&builder, {
        let seen = seen.clone();
        move |_| Instead(seen.clone())
    });
    driver.input(&IN).pipe_at("a", 1, 7);
    driver.advance_wall_clock(TICK);
    driver.close().unwrap();
    assert_eq!((told(&seen), told(&inner)), (vec![text("instead Some(1)")], vec![]));
}

/// Has schedules of its own, and stops that of the processor once.
struct Ticks {
    seen: Seen,
    own: Option<Punctuation>,
    stopped: bool,
}

impl WrappedProcessor for Ticks {
    fn init(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        self.own = Some(call.schedule(TICK, PunctuationType::WallClockTime)?);
        Ok(call.proceed()?)
    }

    fn punctuate(
        &mut self,
        call: &mut WrappedCall<'_>,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        if self.own == Some(punctuation) {
            tell(&self.seen, format!("own {timestamp}"));
        } else if !std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        assert_eq!(call.record_metadata(), None);
        Ok(call.proceed()?)
    }
}

#[test]
fn schedules_of_the_wrapper_are_its_own_and_those_of_the_processor_pass_through_it() {
    let seen = Seen::default();
    let builder = StreamsBuilder::new();
    let chatty = {
        let seen = seen.clone();
        move || Chatty(seen.clone())
    };
    builder.stream(&IN).process::<_, String, i64>(chatty, &[]);
    let driver = driver(&builder, {
        let seen = seen.clone();
        move |_| Ticks { seen: seen.clone(), own: None, stopped: false }
    });
    assert_eq!(told(&seen), ["init"]);
    driver.advance_wall_clock(TICK);
    assert_eq!(told(&seen), ["own 100"]);
    driver.advance_wall_clock(TICK);
    assert_eq!(told(&seen), ["own 200", "punctuate 200"]);
}

/// Marks records on their way, counts them in a store that was added for it, and reads the processor's own.
struct Mark(Seen);

impl WrappedProcessor for Mark {
    fn process(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        let key = call.key::<String>().cloned().unwrap_or_default();
        call.headers_mut().into_iter().for_each(|headers| headers.add("trace", None));
        call.timestamp_mut().into_iter().for_each(|time| *time += 10);
        let (count, own) = (call.store(&SEEN)?, call.store(&OWN)?);
        let found = own.borrow_mut().get(&key)?.map(|(value, _)| *value);
        tell(&self.0, format!("own {found:?} at {}", call.record_context().timestamp));
        let before = count.borrow_mut().get(&key)?.map_or(0, |(count, _)| *count);
        let time = call.timestamp().unwrap_or_default();
        count.borrow_mut().put(&key, Some(before + 1), time, call.record_context())?;
        Ok(call.proceed()?)
    }
}

/// Keeps the value.
struct Keep(Seen);

impl Processor<String, i64, String, i64> for Keep {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let at = context.record_context().clone();
        tell(&self.0, format!("{} {} {}", record.timestamp, at.timestamp, at.headers.iter().count()));
        let own = context.store(&OWN)?;
        own.borrow_mut().put(&record.key, Some(record.value), record.timestamp, &at)?;
        Ok(context.forward(record)?)
    }
}

#[test]
fn a_wrapper_changes_records_and_uses_stores_of_the_processor_and_of_its_own() {
    let seen = Seen::default();
    let builder = StreamsBuilder::new();
    builder.add_state_store(Stores::key_value(&OWN));
    let keep = {
        let seen = seen.clone();
        move || Keep(seen.clone())
    };
    builder.stream(&IN).named("keep").process::<_, String, i64>(keep, &["own"]).to(&OUT);
    let mut topology = builder.build().unwrap();
    topology.add_state_store(Stores::key_value(&SEEN), &["keep"]);
    topology.wrap_processors({
        let seen = seen.clone();
        move |_: &str| Some(Box::new(Mark(seen.clone())) as Box<dyn WrappedProcessor>)
    });
    assert!(topology.describe().to_string().contains("Processor: keep (stores: [own, seen])"));
    let driver = TopologyTestDriver::new(topology).unwrap();
    driver.input(&IN).pipe_at("a", 3, 7);
    driver.input(&IN).pipe_at("a", 4, 8);
    assert_eq!(told(&seen), ["own None at 7", "17 17 1", "own Some(3) at 8", "18 18 1"]);
    assert_eq!(driver.store(&SEEN).get(&text("a")), Some(2));
    let sent = driver.produced("out").pop().unwrap();
    assert_eq!((sent.timestamp, sent.headers.iter().count()), (Some(18), 1));
}

/// Fails where it is told to.
struct Fails(&'static str);

impl Fails {
    fn at(&self, place: &str) -> Result<(), BoxError> {
        if self.0 == place { Err(format!("no {place}").into()) } else { Ok(()) }
    }
}

impl WrappedProcessor for Fails {
    fn init(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        call.proceed()?;
        self.at("init")
    }

    fn punctuate(
        &mut self,
        call: &mut WrappedCall<'_>,
        _: Punctuation,
        _: Timestamp,
    ) -> Result<(), BoxError> {
        call.proceed()?;
        self.at("punctuate")
    }

    fn close(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        call.proceed()?;
        self.at("close")
    }
}

#[test]
fn errors_of_a_wrapper_outside_of_records_name_its_processor() {
    let error = |place: &'static str| {
        let builder = StreamsBuilder::new();
        let stream = builder.stream(&IN).named("it");
        stream.process::<_, String, i64>(|| Chatty(Seen::default()), &[]);
        let mut topology = builder.build().unwrap();
        topology.wrap_processors(move |_: &str| Some(Box::new(Fails(place)) as Box<dyn WrappedProcessor>));
        let driver = TopologyTestDriver::new(topology).map_err(|error| error.to_string())?;
        driver.try_advance_wall_clock(TICK).map_err(|error| error.to_string())?;
        driver.close().map_err(|error| error.to_string())
    };
    for place in ["init", "punctuate", "close"] {
        assert_eq!(error(place), Err(format!("task 0_0, node `it`: processing failed: no {place}")));
    }
    assert_eq!(error("nowhere"), Ok(()));
}

/// Swallows the error of the processor.
struct Swallows;

impl WrappedProcessor for Swallows {
    fn init(&mut self, call: &mut WrappedCall<'_>) -> Result<(), BoxError> {
        let _ = call.proceed();
        Ok(())
    }
}

/// Cannot start.
struct Broken;

impl Processor<String, i64, String, i64> for Broken {
    fn init(&mut self, _: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
        Err("broken".into())
    }

    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, String, i64>,
        _: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn a_processor_that_cannot_start_stops_the_task_whatever_its_wrapper_makes_of_it() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).named("it").process::<_, String, i64>(|| Broken, &[]);
    let mut topology = builder.build().unwrap();
    topology.wrap_processors(|_: &str| Some(Box::new(Swallows) as Box<dyn WrappedProcessor>));
    let error = TopologyTestDriver::new(topology).err().unwrap().to_string();
    assert_eq!(error, "task 0_0, node `it`: processing failed: broken");
}
