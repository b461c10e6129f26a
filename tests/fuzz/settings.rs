//! Text that is given to an application: properties, values, the snapshot of an older topology, what stands beside committed offsets.

use std::fs;

use kstreams::config::{StreamsConfig, TimestampPolicy, TopologyOptimization, read_properties_file};
use kstreams::prelude::*;
use kstreams::serdes::Charset;
use kstreams::topology::{OffsetReset, TopologySnapshot};
use streams_core::task::OffsetMetadata;

use crate::corpus::Corpus;
use crate::decoder::{Decoder, Meter, Verdict, same_value};

const LINES: Topic<String, String> = Topic::new("lines");
const COUNTS: Store<String, i64> = Store::new("counts");

pub(crate) fn decoders(corpus: &Corpus) -> Vec<Decoder> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.properties");
    // The parser's regular expressions are made once.
    fs::write(&file, "a=1\n").unwrap();
    read_properties_file(&file).unwrap();
    let properties = move |input: &[u8], meter: &mut Meter| {
        // The folder lives as long as the file is written.
        let _ = &folder;
        fs::write(&file, input).unwrap();
        from_file(&file, meter)
    };
    let words = ["earliest", "by_duration:P1DT2H3M4.5S", "UTF-16BE", "all", "single.store.self.join, all"];
    let snapshots = snapshots();
    let older = TopologySnapshot::from_json(std::str::from_utf8(&snapshots[0]).unwrap()).unwrap();
    vec![
        Decoder::new("properties file", corpus.properties(), properties)
            .one_of(10)
            .holds(24, "each line is a row of a map")
            .holds_always(4 << 20, "the parser's regular expressions keep what they have found out")
            .worst(
                b"", b"a
",
            ),
        Decoder::new("properties", corpus.properties(), from_pairs)
            .one_of(10)
            .holds(200, FAULTS)
            .allocates(1000, FAULTS)
            // Regression: to find the most like name of one long key took memory as the product of both lengths.
            .worst_with(b"", b"c", b"=1"),
        Decoder::new(
            "values of settings",
            words.map(|word| word.as_bytes().to_vec()).into(),
            words_of_settings,
        ),
        Decoder::new("topology snapshot", snapshots, move |input, meter| snapshot(&older, input, meter)),
        Decoder::new("offset metadata", corpus.offset_metadata(), offset_metadata),
    ]
}

const FAULTS: &str = "of each key that is unknown a sentence says which known one is most like it";

fn from_file(file: &std::path::Path, meter: &mut Meter) -> Verdict {
    let Ok(properties) = meter.measure(|| read_properties_file(file)) else { return Ok(false) };
    let config = StreamsConfig::from_properties_file(file);
    same_value(&StreamsConfig::from_properties(properties).is_ok(), &config.is_ok())?;
    Ok(config.is_ok())
}

/// Lines of `key=value`.
fn from_pairs(input: &[u8], meter: &mut Meter) -> Verdict {
    let text = String::from_utf8_lossy(input);
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let Ok(config) = meter.measure(|| StreamsConfig::from_properties(pairs)) else { return Ok(false) };
    meter.measure(|| config.validate()).map_err(|error| format!("valid at first, and then: {error}"))?;
    meter.measure(|| {
        let shown = format!("{config:?}");
        (shown, config.consumer_properties(), config.producer_properties(), config.admin_properties())
    });
    Ok(true)
}

fn words_of_settings(input: &[u8], meter: &mut Meter) -> Verdict {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(false) };
    let reset = meter.measure(|| OffsetReset::parse(text));
    if matches!(reset, Some(OffsetReset::ByDuration(..0))) {
        return Err(format!("{reset:?} is negative"));
    }
    let rules = meter.measure(|| text.parse::<TopologyOptimization>()).is_ok();
    let charset = meter.measure(|| Charset::from_name(text)).is_some();
    let policy = meter.measure(|| TimestampPolicy::of_class(text)).is_some();
    Ok(reset.is_some() || rules || charset || policy)
}

fn snapshots() -> Vec<Vec<u8>> {
    let topology = |windowed: bool| {
        let builder = StreamsBuilder::new();
        let groups = builder.stream(&LINES).group_by(|_, line| line.clone());
        match windowed {
            true => drop(
                groups
                    .windowed_by(TimeWindows::of_size_with_no_grace(std::time::Duration::from_secs(1)))
                    .count(),
            ),
            false => drop(groups.count_with(&COUNTS)),
        }
        builder.build().unwrap().snapshot().to_json().into_bytes()
    };
    vec![topology(false), topology(true)]
}

/// Any snapshot can be compared with any other.
fn snapshot(older: &TopologySnapshot, input: &[u8], meter: &mut Meter) -> Verdict {
    let text = String::from_utf8_lossy(input);
    let Ok(snapshot) = meter.measure(|| TopologySnapshot::from_json(&text)) else { return Ok(false) };
    let again = TopologySnapshot::from_json(&snapshot.to_json()).map_err(|error| error.to_string())?;
    same_value(&snapshot, &again)?;
    for (from, to) in [(older, &snapshot), (&snapshot, older), (&snapshot, &snapshot)] {
        let diff = from.diff(to);
        let _ = (diff.loses_state(), diff.to_string());
    }
    if !snapshot.diff(&snapshot).is_compatible() {
        return Err("it is not compatible with itself".to_owned());
    }
    Ok(true)
}

/// What cannot be read is unknown; what is known is written as it is read again.
fn offset_metadata(input: &[u8], meter: &mut Meter) -> Verdict {
    let text = String::from_utf8_lossy(input);
    let read = meter.measure(|| OffsetMetadata::decode(&text));
    same_value(&read, &OffsetMetadata::decode(&read.encode()))?;
    Ok(read.partition_time != -1)
}
