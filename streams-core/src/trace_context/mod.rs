//! Traces that records carry along: the headers `traceparent` and `tracestate` of W3C Trace Context.
//!
//! In: headers of a record. Out: the [`TraceContext`] in them, or none; and the headers of what came of the record. Draws no ids, makes no
//! spans: see [`RecordTracer`](crate::processor::RecordTracer). Format: [W3C Trace Context, Recommendation of 2021-11-23][w3c].
//!
//! # Which context a record of a topology has
//!
//! Headers travel with records, as in Kafka Streams. Where an operator makes one record of several, the context is that of one of them:
//!
//! | operator | headers, and so the context, of what it sends |
//! |---|---|
//! | `filter`, `map`, `flat_map`, `process` and others that look at one record | of that record |
//! | aggregations, tables, joins with a table | of the record that caused the update |
//! | the same under the record cache | of the last record that changed the row before the cache was emptied |
//! | session windows that send each update at once | none, as in Kafka Streams |
//! | windows that send when they are closed | of the record that moved the time past their end |
//! | stream-stream join, a pair | of the record that came later |
//! | stream-stream join, a record that found no partner | of the record that moved the time past its window |
//! | foreign-key joins | of the record, of either side, that asked for the answer; it travels through both internal topics |
//! | join with a grace period | of the stream's record, kept while it waits |
//! | `suppress` | of the last record that changed the row |
//! | schedules (`punctuate`) | none; what a processor forwards has the headers that it gives |
//! | changelogs | none, but for stores that keep headers |
//!
//! A trace therefore shows what caused a result last, not all that is in it.
//!
//! [w3c]: https://www.w3.org/TR/trace-context-1/

mod id;
mod trace_parent;
mod trace_state;

pub use id::{SpanId, TraceId};
pub use trace_parent::TraceParent;
pub use trace_state::TraceState;

use streams_state::types::Headers;

/// Name of the header that says to which span of which trace a record belongs.
pub const TRACEPARENT: &str = "traceparent";
/// Name of the header with what tracing systems keep beside it.
pub const TRACESTATE: &str = "tracestate";

/// The span that a record came from.
///
/// ```
/// use streams_core::trace_context::{SpanId, TraceContext};
/// use streams_core::types::Headers;
///
/// let mut headers = Headers::EMPTY;
/// headers.add("traceparent", Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec()));
/// headers.add("tracestate", Some(b"congo=t61rcWkgMzE".to_vec()));
///
/// let caller = TraceContext::from_headers(&headers).unwrap();
/// assert_eq!(caller.parent.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!(caller.parent.sampled);
///
/// // A span of our own below it, for what we send.
/// let own = caller.child(SpanId::new(0xb7ad6b7169203331).unwrap());
/// own.write_to(&mut headers);
/// assert_eq!(
///     headers.last("traceparent").unwrap().value.as_deref(),
///     Some(&b"00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"[..])
/// );
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceContext {
    /// Trace, span, and whether it is recorded.
    pub parent: TraceParent,
    /// What tracing systems keep beside it; empty if there is none, or if it is not well formed.
    pub state: TraceState,
}

impl TraceContext {
    /// The context of a span that begins a trace.
    pub fn root(trace_id: TraceId, span_id: SpanId, sampled: bool) -> Self {
        Self { parent: TraceParent { trace_id, span_id, sampled }, state: TraceState::EMPTY }
    }

    /// The context in `headers`. `None` if there is no `traceparent`, if there are several, or if it is not well formed: the
    /// recommendation has receivers go on as if there were none. Header names are compared as they are, in lower case.
    pub fn from_headers(headers: &Headers) -> Option<Self> {
        let mut parents = headers.iter().filter(|header| header.key == TRACEPARENT);
        let parent = parents.next()?.value.as_deref().and_then(TraceParent::parse)?;
        if parents.next().is_some() {
            return None;
        }
        let states = headers.iter().filter(|header| header.key == TRACESTATE);
        let state = TraceState::parse(states.map(|header| header.value.as_deref().unwrap_or_default()));
        Some(Self { parent, state: state.unwrap_or_default() })
    }

    /// Puts this context into `headers`, in place of the one that they have.
    pub fn write_to(&self, headers: &mut Headers) {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        headers.add(TRACEPARENT, Some(self.parent.to_string().into_bytes()));
        if !self.state.is_empty() {
            headers.add(TRACESTATE, Some(self.state.as_str().as_bytes().to_vec()));
        }
    }

    /// The context of a span below this one: the same trace, recorded if this one is, the same state.
    pub fn child(&self, span_id: SpanId) -> Self {
        Self { parent: TraceParent { span_id, ..self.parent }, state: self.state.clone() }
    }
}

#[cfg(test)]
mod tests;
