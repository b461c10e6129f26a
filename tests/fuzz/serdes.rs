//! Serdes: Java's layouts under Java's names, `Auto`, JSON, lists, windowed keys, text in each charset.

use std::collections::BTreeMap;

use kstreams::serdes::{
    Auto, BooleanSerde, ByteArraySerde, Charset, DoubleSerde, FloatSerde, HeadersAside, IntegerSerde, Json,
    ListSerde, LongSerde, Raw, Serde, SessionWindowedSerde, ShortSerde, SizedTimeWindowedSerde, StringSerde,
    TimeWindowedSerde, UuidSerde, VoidSerde,
};
use kstreams::types::{ValueAndHeaders, Windowed};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::corpus::Corpus;
use crate::decoder::{Decoder, same_bytes};

/// Which bytes a serde writes for a value that it read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Those that were read.
    Same,
    /// It reads more than it writes: others, but always the same.
    Other,
    /// None that it would read.
    Never,
}
use Written::{Never, Other, Same};

const REPLACED: &str = "a byte that is no text becomes three, in a string that doubles";
const STRINGS: &str = "an empty string of three bytes is 24 in memory, in a vector that doubles";
const MANY_TAGS: &[u8] = br#"{"id":1,"price":1,"name":null,"parts":{},"tags":["""#;

/// A type of a user's own.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    id: i64,
    price: f64,
    name: Option<String>,
    tags: Vec<String>,
    parts: BTreeMap<String, Part>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Plain,
    Sized(u32, f32),
    Nested { inner: Box<Part> },
}

const ORDERS: [&[u8]; 4] = [
    br#"{"id":1,"price":1.5,"name":"a","tags":["x","y"],"parts":{"p":"plain"}}"#,
    br#"{"id":-9223372036854775808,"price":1e-7,"name":null,"tags":[],"parts":{"p":{"sized":[1,0.1]}}}"#,
    br#"{"id":2,"price":0.1,"name":"\ud83d\ude00\n","tags":[""],"parts":{"q":{"nested":{"inner":{"nested":{"inner":"plain"}}}}}}"#,
    br#"{"price":123456789.123456789,"id":3,"tags":["\u0000"],"parts":{},"name":"\\"}"#,
];

pub(crate) fn decoders(corpus: &Corpus) -> Vec<Decoder> {
    [primitives(corpus), charsets(corpus), lists(corpus), windowed(corpus), automatic(corpus)]
        .into_iter()
        .flatten()
        .collect()
}

/// A serde. What it read, written and read again, is written the same.
fn serde<T: 'static>(
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    form: Written,
    serde: impl Serde<T>,
) -> Decoder {
    let write = |serde: &dyn Serde<T>, value: &T| {
        let mut out = Vec::new();
        let present =
            serde.serialize(value, &mut out).map_err(|error| format!("cannot be written: {error}"))?;
        if present == serde.is_null(value) {
            return Err("whether it is null is said in two ways".to_owned());
        }
        Ok::<_, String>(present.then_some(out))
    };
    Decoder::new(name, seeds, move |input, meter| {
        let Ok(value) = meter.measure(|| serde.deserialize(Some(input))) else { return Ok(false) };
        let _ = serde.base_key(input);
        let out = write(&serde, &value)?;
        if form == Same {
            same_bytes(input, out.as_deref().unwrap_or_default())?;
        }
        if form != Never {
            let again = serde.deserialize(out.as_deref());
            let again = again.map_err(|error| format!("what was written is refused: {error}"))?;
            let again = write(&serde, &again)?;
            same_bytes(out.as_deref().unwrap_or_default(), again.as_deref().unwrap_or_default())?;
        }
        Ok(true)
    })
}

fn primitives(corpus: &Corpus) -> Vec<Decoder> {
    let seeds = |name| corpus.serdes(name);
    vec![
        serde::<i16>("ShortSerde", seeds("Short"), Same, ShortSerde),
        serde::<i32>("IntegerSerde", seeds("Integer"), Same, IntegerSerde),
        serde::<i64>("LongSerde", seeds("Long"), Same, LongSerde),
        serde::<f32>("FloatSerde", seeds("Float"), Same, FloatSerde),
        // All that is not a number is written as one.
        serde::<f64>("DoubleSerde", seeds("Double"), Other, DoubleSerde),
        serde::<bool>("BooleanSerde", seeds("Boolean"), Same, BooleanSerde),
        // Java reads short forms, too.
        serde::<Uuid>("UuidSerde", seeds("UUID"), Other, UuidSerde),
        serde::<Vec<u8>>("ByteArraySerde", seeds("ByteArray"), Same, ByteArraySerde),
        serde::<Vec<u8>>("Raw", seeds("Bytes"), Same, Raw),
        Decoder::new("VoidSerde", seeds("Void"), |input, meter| {
            match meter.measure(|| VoidSerde.deserialize(Some(input))) {
                Ok(()) => Err("bytes were taken for null".to_owned()),
                Err(_) => VoidSerde.deserialize(None).map(|()| true).map_err(|error| error.to_string()),
            }
        }),
    ]
}

fn charsets(corpus: &Corpus) -> Vec<Decoder> {
    let text = |name, form, charset| {
        serde::<String>(name, corpus.serdes("String"), form, StringSerde::with_charset(charset))
    };
    vec![
        text("StringSerde, UTF-8", Other, Charset::Utf8).holds(9, REPLACED).worst(b"", b"\xff"),
        text("StringSerde, ISO-8859-1", Same, Charset::Iso88591),
        text("StringSerde, US-ASCII", Other, Charset::UsAscii),
        text("StringSerde, UTF-16", Other, Charset::Utf16),
        text("StringSerde, UTF-16BE", Other, Charset::Utf16Be),
        text("StringSerde, UTF-16LE", Other, Charset::Utf16Le),
    ]
}

fn lists(corpus: &Corpus) -> Vec<Decoder> {
    let seeds = || corpus.serdes("List");
    let strings = "an element of four bytes is 24 in memory";
    let many = &[1, 0x7f, 0xff, 0xff, 0xff];
    vec![
        serde::<Vec<Option<i16>>>("ListSerde of i16", seeds(), Other, ListSerde::new(ShortSerde)),
        serde::<Vec<Option<i32>>>("ListSerde of i32", seeds(), Other, ListSerde::new(IntegerSerde)),
        serde::<Vec<Option<i64>>>("ListSerde of i64", seeds(), Other, ListSerde::new(LongSerde)),
        serde::<Vec<Option<f32>>>("ListSerde of f32", seeds(), Other, ListSerde::new(FloatSerde)),
        serde::<Vec<Option<f64>>>("ListSerde of f64", seeds(), Other, ListSerde::new(DoubleSerde)),
        serde::<Vec<Option<bool>>>("ListSerde of bool", seeds(), Other, ListSerde::new(BooleanSerde)),
        serde::<Vec<Option<Uuid>>>("ListSerde of Uuid", seeds(), Other, ListSerde::new(UuidSerde))
            .holds(5, "an element of four bytes, null, is 17 in memory"),
        serde::<Vec<Option<String>>>(
            "ListSerde of String",
            seeds(),
            Other,
            ListSerde::new(StringSerde::default()),
        )
        .holds(9, REPLACED)
        .worst(many, b"\0\0\0\x01\xff"),
        serde::<Vec<Option<Vec<u8>>>>("ListSerde of bytes", seeds(), Other, ListSerde::new(ByteArraySerde))
            .holds(6, strings)
            .worst(many, &[0xff; 4]),
        serde::<Vec<Option<Vec<Option<i32>>>>>(
            "ListSerde of lists",
            seeds(),
            Other,
            ListSerde::new(ListSerde::new(IntegerSerde)),
        )
        .holds(6, strings)
        .worst(many, &[0xff; 4]),
    ]
}

fn windowed(corpus: &Corpus) -> Vec<Decoder> {
    let time = || corpus.serdes("TimeWindowed");
    let sessions = || corpus.serdes("SessionWindowed");
    let text = StringSerde::default;
    vec![
        serde::<Windowed<i64>>(
            "TimeWindowedSerde of i64",
            time(),
            Same,
            TimeWindowedSerde::new(LongSerde, 5),
        ),
        serde::<Windowed<String>>(
            "TimeWindowedSerde of text",
            time(),
            Other,
            TimeWindowedSerde::new(text(), i64::MAX),
        )
        .holds(9, REPLACED)
        .worst(b"", b"\xff"),
        serde::<Windowed<Vec<u8>>>(
            "TimeWindowedSerde of a changelog",
            time(),
            Never,
            TimeWindowedSerde::new(ByteArraySerde, 100).for_changelog(true),
        ),
        serde::<Windowed<i64>>(
            "SizedTimeWindowedSerde",
            time(),
            Same,
            SizedTimeWindowedSerde::<60_000, Auto>::default(),
        ),
        serde::<Option<Windowed<Vec<u8>>>>(
            "SessionWindowedSerde of bytes",
            sessions(),
            Same,
            SessionWindowedSerde::new(ByteArraySerde),
        ),
        serde::<Windowed<String>>(
            "SessionWindowedSerde of text",
            sessions(),
            Other,
            SessionWindowedSerde::new(text()),
        )
        .holds(9, REPLACED)
        .worst(b"", b"\xff"),
    ]
}

fn automatic(corpus: &Corpus) -> Vec<Decoder> {
    let json = || ORDERS.map(<[u8]>::to_vec).to_vec();
    let elements =
        |text: &str| vec![format!("[{text}]").into_bytes(), format!("[{text},{text}]").into_bytes()];
    vec![
        serde::<String>("Auto of String", corpus.serdes("String"), Same, Auto),
        serde::<Vec<u8>>("Auto of bytes", corpus.serdes("Bytes"), Same, Auto),
        serde::<Option<i64>>("Auto of i64", corpus.serdes("Long"), Same, Auto),
        serde::<i32>("Auto of i32", corpus.serdes("Integer"), Same, Auto),
        serde::<i16>("Auto of i16", corpus.serdes("Short"), Same, Auto),
        serde::<f64>("Auto of f64", corpus.serdes("Double"), Other, Auto),
        serde::<f32>("Auto of f32", corpus.serdes("Float"), Same, Auto),
        serde::<bool>("Auto of bool", corpus.serdes("Boolean"), Same, Auto),
        serde::<Uuid>("Auto of Uuid", corpus.serdes("UUID"), Other, Auto),
        serde::<()>("Auto of ()", corpus.serdes("Void"), Other, Auto),
        serde::<Order>("Auto of a struct: JSON", json(), Other, Auto)
            .holds(24, STRINGS)
            .worst(MANY_TAGS, b",\"\""),
        serde::<Option<Order>>("Json of a struct", json(), Other, Json)
            .holds(24, STRINGS)
            .worst(MANY_TAGS, b",\"\""),
        serde::<Vec<i64>>("Json of numbers", elements("1"), Other, Json)
            .holds(12, "a number of two bytes is 8 in memory, in a vector that doubles")
            .worst(b"[1", b",1"),
        serde::<serde_json::Value>("Json of any JSON", [json(), elements("[]")].concat(), Other, Json)
            .holds(104, "an object has room for eleven fields, 700 bytes")
            .worst(br#"[{"":1}"#, br#",{"":1}"#),
        serde::<ValueAndHeaders<Vec<u8>>>(
            "HeadersAside",
            corpus.serdes("Bytes"),
            Same,
            HeadersAside(std::sync::Arc::new(Raw)),
        ),
    ]
}
