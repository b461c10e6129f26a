//! A span for each record that brings a trace along, from its source to its sinks.
//!
//! In: the context in the headers of a source record, ids from outside. Out: a span around all that the record does in its task, and
//! headers that name this span, which travel on to whatever comes of the record. Stands around sources only where a topology asks for it;
//! elsewhere there is nothing of it.

use std::sync::Arc;

use streams_state::types::{Headers, Timestamp};
use tracing::{Span, field, info_span};

use super::{SourceNode, TaskContext};
use crate::error::NodeResult;
use crate::record::RawRecord;
use crate::trace_context::{SpanId, TraceContext, TraceId};

/// Gives the spans of records their ids. [`Topology::trace_records`](crate::topology::Topology::trace_records) takes one.
///
/// For each source record whose `traceparent` says that it is recorded, a span `record` (INFO, target `kstreams`; fields `application`,
/// `task`, `node`, `topic`, `partition`, `offset`, `trace_id`, `parent_id`, `span_id`) lasts until everything that comes of it in this task
/// is in the outbox. Records whose trace is not recorded get no span, and go on with the headers that they brought; so do all
/// records if no subscriber wants the span.
///
/// [`SpanIds`] is enough where spans are gathered by their fields. A subscriber that has ids of its own gives them here:
///
/// ```
/// use streams_core::processor::RecordTracer;
/// use streams_core::trace_context::{SpanId, TraceContext};
/// use tracing::Span;
///
/// struct OpenTelemetry;
///
/// impl RecordTracer for OpenTelemetry {
///     fn begin(&self, parent: Option<&TraceContext>, span: &Span) -> Option<TraceContext> {
///         // With tracing-opentelemetry: span.set_parent(..parent..), then the ids of span.context().
/// #       let id_of = |_: &Span| SpanId::new(7);
///         Some(parent?.child(id_of(span)?))
///     }
/// }
/// ```
pub trait RecordTracer: Send + Sync + 'static {
    /// A record's `span` begins, below `parent`; `None`: the record begins a trace. The answer is what the record carries from here on;
    /// `None` leaves its headers as they are. Called once for each span, on stream threads.
    fn begin(&self, parent: Option<&TraceContext>, span: &Span) -> Option<TraceContext>;

    /// Whether a record that brings no trace begins one: asked for each of them, so that a part of them may. By default none does.
    fn begins_trace(&self) -> bool {
        false
    }
}

/// Ids from functions: the library draws none itself. Continues traces; begins none, unless told to.
///
/// ```
/// # use std::sync::atomic::{AtomicU64, Ordering};
/// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
/// use streams_core::processor::SpanIds;
/// use streams_core::trace_context::SpanId;
///
/// # const IN: Topic<String, String> = Topic::new("in");
/// # const OUT: Topic<String, String> = Topic::new("out");
/// # let builder = StreamsBuilder::new();
/// # builder.stream(&IN).to(&OUT);
/// let mut topology = builder.build()?;
/// // Where ids may be guessed, or must not meet those of other processes, take a random number: `rand::random()`.
/// let next = AtomicU64::new(1);
/// topology.trace_records(SpanIds::new(move || SpanId::new(next.fetch_add(1, Ordering::Relaxed))));
/// # TopologyTestDriver::new(topology)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SpanIds {
    span_id: Box<dyn Fn() -> Option<SpanId> + Send + Sync>,
    begins_trace: Box<dyn Fn() -> bool + Send + Sync>,
    trace_id: Box<dyn Fn() -> Option<TraceId> + Send + Sync>,
}

impl SpanIds {
    /// Spans get their ids from `span_id`; `None` (an id of 0) makes the record go on with the headers that it brought.
    pub fn new(span_id: impl Fn() -> Option<SpanId> + Send + Sync + 'static) -> Self {
        Self { span_id: Box::new(span_id), begins_trace: Box::new(|| false), trace_id: Box::new(|| None) }
    }

    /// Records that bring no trace begin one if `begins_trace`, which is asked for each of them, says so; its id comes from `trace_id`.
    pub fn begin_traces(
        self,
        begins_trace: impl Fn() -> bool + Send + Sync + 'static,
        trace_id: impl Fn() -> Option<TraceId> + Send + Sync + 'static,
    ) -> Self {
        Self { begins_trace: Box::new(begins_trace), trace_id: Box::new(trace_id), ..self }
    }
}

impl RecordTracer for SpanIds {
    fn begin(&self, parent: Option<&TraceContext>, _span: &Span) -> Option<TraceContext> {
        let span_id = (self.span_id)()?;
        match parent {
            Some(parent) => Some(parent.child(span_id)),
            None => Some(TraceContext::root((self.trace_id)()?, span_id, true)),
        }
    }

    fn begins_trace(&self) -> bool {
        (self.begins_trace)()
    }
}

/// A source whose records get spans.
pub(crate) struct TracedSource {
    source: Box<dyn SourceNode>,
    node: Arc<str>,
    tracer: Arc<dyn RecordTracer>,
}

impl TracedSource {
    /// Stands around `source`, an end of the source node `node`.
    pub(crate) fn new(source: Box<dyn SourceNode>, node: Arc<str>, tracer: Arc<dyn RecordTracer>) -> Self {
        Self { source, node, tracer }
    }

    /// The span of the record in work, which carries it in its headers from now on. None if it is not to have one.
    fn begin(&mut self, context: &mut TaskContext) -> Span {
        let parent = TraceContext::from_headers(&context.record.headers);
        let wanted = match &parent {
            Some(parent) => parent.parent.sampled,
            None => self.tracer.begins_trace(),
        };
        if !wanted {
            return Span::none();
        }
        let span = info_span!(
            target: "kstreams", parent: None, "record", application = &*context.application_id, task = %context.task,
            node = &*self.node, topic = context.source_topic(), partition = context.source_partition(),
            offset = context.record.offset, trace_id = field::Empty, parent_id = field::Empty, span_id = field::Empty
        );
        if span.is_disabled() {
            return span;
        }
        if let Some(own) = self.tracer.begin(parent.as_ref(), &span) {
            span.record("trace_id", field::display(own.parent.trace_id));
            span.record("span_id", field::display(own.parent.span_id));
            own.write_to(&mut context.record.headers);
            self.source.set_headers(&context.record.headers);
        }
        if let Some(parent) = parent {
            span.record("parent_id", field::display(parent.parent.span_id));
        }
        span
    }
}

impl SourceNode for TracedSource {
    fn load(
        &mut self,
        context: &mut TaskContext,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
    ) -> NodeResult<Option<Timestamp>> {
        self.source.load(context, raw, partition_time)
    }

    fn process(&mut self, context: &mut TaskContext) -> NodeResult {
        let span = self.begin(context);
        let _entered = span.enter();
        self.source.process(context)
    }

    fn set_headers(&mut self, headers: &Headers) {
        self.source.set_headers(headers);
    }

    fn discard(&mut self) {
        self.source.discard();
    }

    fn read_topic(&mut self, topic: &str) {
        self.source.read_topic(topic);
    }

    fn fork(&self) -> Box<dyn SourceNode> {
        Box::new(Self::new(self.source.fork(), self.node.clone(), self.tracer.clone()))
    }
}
