//! The headers by which records carry traces: whoever produces a record writes them.

use kstreams::trace_context::{TraceContext, TraceParent, TraceState};
use kstreams::types::Headers;

use crate::decoder::{Decoder, Meter, Verdict, same_value};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(crate) fn decoders() -> Vec<Decoder> {
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-the-future-brings";
    let parents = [PARENT, later].map(|text| text.as_bytes().to_vec());
    let many = (0..32).map(|number| format!("k{number}=1,")).collect::<String>();
    let states = ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "fw529a3039@dt=FfffffffFfff, a=b ", &many];
    let states = states.map(|text| text.as_bytes().to_vec());
    let headers = states.iter().map(|state| [PARENT.as_bytes(), state].join(&b'\n')).collect();
    vec![
        Decoder::new("traceparent", parents.into(), trace_parent),
        Decoder::new("tracestate", states.into(), trace_state),
        Decoder::new("headers of a trace", headers, headers_of_a_trace),
    ]
}

fn trace_parent(input: &[u8], meter: &mut Meter) -> Verdict {
    let Some(parent) = meter.measure(|| TraceParent::parse(input)) else { return Ok(false) };
    same_value(&TraceParent::parse(parent.to_string().as_bytes()), &Some(parent))?;
    Ok(true)
}

/// Each line is a header.
fn trace_state(input: &[u8], meter: &mut Meter) -> Verdict {
    let lines = || input.split(|byte| *byte == b'\n');
    let Some(state) = meter.measure(|| TraceState::parse(lines())) else { return Ok(false) };
    same_value(&TraceState::parse([state.as_str().as_bytes()]), &Some(state.clone()))?;
    if state.iter().count() > 32 {
        return Err(format!("{} members", state.iter().count()));
    }
    Ok(!state.is_empty())
}

/// A line with the parent, and lines with states.
fn headers_of_a_trace(input: &[u8], meter: &mut Meter) -> Verdict {
    let mut headers = Headers::EMPTY;
    for (number, line) in input.split(|byte| *byte == b'\n').enumerate() {
        let name = if number == 0 { "traceparent" } else { "tracestate" };
        headers.add(name, Some(line.to_vec()));
    }
    let Some(context) = meter.measure(|| TraceContext::from_headers(&headers)) else { return Ok(false) };
    context.write_to(&mut headers);
    same_value(&TraceContext::from_headers(&headers), &Some(context))?;
    Ok(true)
}
