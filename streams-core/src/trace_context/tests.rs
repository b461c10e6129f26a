//! The recommendation's own examples and rules, then any bytes at all.

use proptest::prelude::*;

use super::*;

const SAMPLED: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn state(values: &[&str]) -> Option<String> {
    let state = TraceState::parse(values.iter().map(|value| value.as_bytes()));
    state.map(|state| state.as_str().to_owned())
}

/// 3.2.2.5 and 3.2.4 of the recommendation.
#[test]
fn examples_of_traceparent() {
    for (text, sampled) in [(SAMPLED, true), (NOT_SAMPLED, false)] {
        let parent = TraceParent::parse(text).unwrap();
        assert_eq!(parent.trace_id.get(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((parent.span_id.get(), parent.sampled), (0x00f0_67aa_0ba9_02b7, sampled));
        assert_eq!(parent.to_string().as_bytes(), text);
    }
    // The example of the overview (2.2), and of a request that goes on (3.4).
    for text in [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
        "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-00",
    ] {
        assert_eq!(TraceParent::parse(text.as_bytes()).unwrap().to_string(), text);
    }
}

#[test]
fn what_is_no_traceparent() {
    for text in [
        "",
        "00",
        // All zeros, as trace and as span.
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        // A version that does not exist, and others that are none.
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ".0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        // Capitals.
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
        // Digits too many and too few.
        "00-4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        // Version 00 ends with its flags.
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        // Later versions go on after a `-` only.
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
    ] {
        assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
    }
}

/// 3.2.2.1 and 4.3: of later versions the known part is read, and version 00 is written.
#[test]
fn later_versions_and_flags_are_read_as_far_as_they_are_known() {
    for text in [
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
        // Flags that are not defined are not passed on.
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
    ] {
        assert_eq!(TraceParent::parse(text.as_bytes()).unwrap().to_string().as_bytes(), SAMPLED, "{text}");
    }
    let unknown = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe";
    assert!(!TraceParent::parse(unknown).unwrap().sampled);
}

/// 3.3.1.4: examples, and several headers that are one list.
#[test]
fn examples_of_tracestate() {
    for text in [
        "vendorname1=opaqueValue1,vendorname2=opaqueValue2",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "congo=ucfJifl5GOE,rojo=00f067aa0ba902b7",
        "fw529a3039@dt=FfffffffFfff",
        "0tenant@sys=1",
        "a_-*/z=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~ x",
    ] {
        assert_eq!(state(&[text]).as_deref(), Some(text));
    }
    assert_eq!(state(&["foo=1, \tbar=2 ", "", " , ,baz= 3"]).as_deref(), Some("foo=1,bar=2,baz= 3"));
    assert_eq!(state(&[""]).as_deref(), Some(""));
    let read = TraceState::parse([&b"rojo=1,congo=2"[..]]).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), [("rojo", "1"), ("congo", "2")]);
}

#[test]
fn what_is_no_tracestate() {
    for text in [
        "foo",
        "foo=",
        "=1",
        "foo=1=2",
        "foo =1",
        "Foo=1",
        "1foo=1",
        "foo@=1",
        "@bar=1",
        "foo@1bar=1",
        "foo@bar@baz=1",
        "foo.bar=1",
        "foo=1,bar=2,foo=3",
        "foo=1,bar",
        "foo=b\u{e4}r",
        "foo=1\u{1}",
    ] {
        assert_eq!(state(&[text]), None, "{text}");
    }
    assert_eq!(state(&["foo=1", "foo=2"]), None);
}

#[test]
fn a_tracestate_has_limits() {
    let list = |members: usize| (0..members).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
    assert_eq!(state(&[&list(32)]), Some(list(32)));
    assert_eq!(state(&[&list(33)]), None);
    let long = |length: usize| "a".repeat(length);
    assert!(state(&[&format!("{}={}", long(256), long(256))]).is_some());
    assert_eq!(state(&[&format!("{}=1", long(257))]), None);
    assert_eq!(state(&[&format!("a={}", long(257))]), None);
    assert!(state(&[&format!("{}@{}=1", long(241), long(14))]).is_some());
    assert_eq!(state(&[&format!("{}@b=1", long(242))]), None);
    assert_eq!(state(&[&format!("a@{}=1", long(15))]), None);
}

fn headers(list: &[(&str, Option<&[u8]>)]) -> Headers {
    let mut headers = Headers::EMPTY;
    list.iter().for_each(|(key, value)| headers.add(*key, value.map(<[u8]>::to_vec)));
    headers
}

fn context(list: &[(&str, Option<&[u8]>)]) -> Option<TraceContext> {
    TraceContext::from_headers(&headers(list))
}

#[test]
fn headers_of_a_record() {
    let other = ("other", Some(&b"1"[..]));
    assert_eq!(context(&[other]), None);
    assert_eq!(context(&[("traceparent", None)]), None);
    assert_eq!(context(&[("traceparent", Some(SAMPLED)), ("traceparent", Some(NOT_SAMPLED))]), None);
    // A bad state does not touch the parent.
    let bad = context(&[("tracestate", Some(b"foo")), ("traceparent", Some(SAMPLED))]).unwrap();
    assert!(bad.parent.sampled && bad.state.is_empty());

    let mut record = headers(&[
        ("tracestate", Some(b"foo=1")),
        ("traceparent", Some(SAMPLED)),
        other,
        ("tracestate", Some(b"bar=2")),
    ]);
    let caller = TraceContext::from_headers(&record).unwrap();
    let own = caller.child(SpanId::new(1).unwrap());
    own.write_to(&mut record);
    assert_eq!(TraceContext::from_headers(&record), Some(own));
    let names: Vec<&str> = record.iter().map(|header| header.key.as_str()).collect();
    assert_eq!(names, ["other", "traceparent", "tracestate"]);
    assert_eq!(record.last(TRACESTATE).unwrap().value.as_deref(), Some(&b"foo=1,bar=2"[..]));

    let root = TraceContext::root(TraceId::new(5).unwrap(), SpanId::new(6).unwrap(), false);
    root.write_to(&mut record);
    assert_eq!(TraceContext::from_headers(&record), Some(root));
    assert_eq!(record.last(TRACESTATE), None);
}

/// Values that look like the real thing, for the most part.
fn almost(pattern: &'static str, characters: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let damaged = (pattern, characters, any::<prop::sample::Index>());
    let damaged = damaged.prop_map(|(mut text, with, at)| {
        let at = at.index(text.len() + 1);
        text.insert_str(at, &with);
        text.into_bytes()
    });
    prop_oneof![pattern.prop_map(String::into_bytes), damaged, prop::collection::vec(any::<u8>(), 0..100)]
}

proptest! {
    /// What is read is written as it was, but for version and flags, and read again as the same.
    #[test]
    fn any_traceparent(
        text in almost("(00|01|fe|ff)-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,9})?", "[-a-fA-F0-9 ]{0,2}"),
    ) {
        if let Some(parent) = TraceParent::parse(&text) {
            let written = parent.to_string();
            prop_assert_eq!(TraceParent::parse(written.as_bytes()), Some(parent));
            prop_assert_eq!(&written.as_bytes()[2..53], &text[2..53]);
            prop_assert!(text.len() == 55 || (text[..2] != *b"00" && text[55] == b'-'));
        }
    }

    /// All ids but zero come back.
    #[test]
    fn ids_come_back(trace in any::<u128>(), span in any::<u64>(), sampled in any::<bool>()) {
        let text = format!("00-{trace:032x}-{span:016x}-0{}", u8::from(sampled));
        match (TraceId::new(trace), SpanId::new(span)) {
            (Some(trace_id), Some(span_id)) => {
                let parent = TraceParent { trace_id, span_id, sampled };
                prop_assert_eq!(TraceParent::parse(text.as_bytes()), Some(parent));
                prop_assert_eq!(parent.to_string(), text);
            }
            (None, _) | (_, None) => prop_assert_eq!(TraceParent::parse(text.as_bytes()), None),
        }
    }

    /// A list is what a plain reading of the rules gives, and its text is read as the same list.
    #[test]
    fn any_tracestate(
        text in almost("([a-z][a-z0-9_*/-]{0,3}(@[a-z]{1,3})?=[ -+<>-~]{0,3}[!-+<>-~][ \t]?,){0,40}", "[,=@ A-Z]{0,2}"),
    ) {
        if let Some(read) = TraceState::parse([&text[..]]) {
            prop_assert_eq!(TraceState::parse([read.as_str().as_bytes()]), Some(read.clone()));
            let members: Vec<(&str, &str)> = read.iter().collect();
            let text = std::str::from_utf8(&text).unwrap();
            let plain = text.split(',').map(|member| member.trim_matches([' ', '\t']));
            let plain: Vec<_> = plain.filter_map(|member| member.split_once('=')).collect();
            prop_assert_eq!(&members, &plain);
            let keys: std::collections::BTreeSet<_> = members.iter().map(|(key, _)| key).collect();
            prop_assert!(keys.len() == members.len() && members.len() <= 32);
        }
    }
}
