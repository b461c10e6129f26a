//! `partitioner.json`: hashes of keys, and the partitions that follow from them.

use serde_json::Value;
use streams_core::partitioner::{murmur2, partition_for_key};
use streams_core::serdes::{
    LongSerde, Serde, SerdeRef, SessionWindowedSerde, StringSerde, TimeWindowedSerde,
};
use streams_core::types::{Window, Windowed};
use streams_state::format::murmur3;

use crate::tally::{Tally, Verdict, equal};
use crate::vectors::{bytes, each, equal_bytes, lists, number, number_i32, unknown_list};

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    for (name, list) in lists(file) {
        match name {
            "murmur2" => each(tally, name, list, murmur2_of_bytes),
            "to_positive" => each(tally, name, list, to_positive),
            "default_stream_partitioner" => each(tally, name, list, default_partitioner),
            "windowed_stream_partitioner" => each(tally, name, list, windowed_partitioner),
            "murmur3_default_seed" => {
                tally.vector(name, 0, || equal("seed", number(list, "seed"), murmur3::DEFAULT_SEED.into()));
                each(tally, name, &list["cases"], murmur3_default_seed);
            }
            "murmur3_128_seeded" => each(tally, name, list, murmur3_seeded),
            other => unknown_list(tally, other),
        }
    }
}

fn murmur2_of_bytes(vector: &Value) -> Verdict {
    let key = bytes(vector, "hex");
    equal("murmur2", number_i32(vector, "murmur2"), murmur2(&key))?;
    equal("positive", number_i32(vector, "positive"), murmur2(&key) & i32::MAX)?;
    for (count, partition) in (1..).zip(vector["partitions"].as_array().unwrap()) {
        equal("partition", partition.as_i64().unwrap(), partition_for_key(&key, count).into())?;
    }
    Ok(())
}

fn to_positive(vector: &Value) -> Verdict {
    equal("out", number_i32(vector, "out"), number_i32(vector, "in") & i32::MAX)
}

/// A key without a window, as its partitioner sees it. `None`: no key, so no choice.
fn plain_key(vector: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let key = &vector["key"];
    let written = match vector["key_type"].as_str() {
        Some("long") => LongSerde.serialize(&key.as_i64(), &mut out),
        _ => StringSerde::default().serialize(&key.as_str().map(str::to_owned), &mut out),
    };
    written.unwrap().then_some(out)
}

fn default_partitioner(vector: &Value) -> Verdict {
    let key = plain_key(vector);
    for (count, partitions) in vector["partitions"].as_object().unwrap() {
        let chosen = key.as_ref().map(|key| vec![partition_for_key(key, count.parse().unwrap())]);
        equal("partitions", partitions.clone(), serde_json::to_value(chosen).unwrap())?;
    }
    Ok(())
}

fn windowed_partitioner(vector: &Value) -> Verdict {
    match &vector["key"] {
        Value::String(key) => {
            let inner: SerdeRef<String> = std::sync::Arc::new(StringSerde::default());
            windowed_key(vector, key.clone(), inner)
        }
        key => {
            let inner: SerdeRef<i64> = std::sync::Arc::new(LongSerde);
            windowed_key(vector, key.as_i64().unwrap(), inner)
        }
    }
}

fn windowed_key<K: 'static>(vector: &Value, key: K, inner: SerdeRef<K>) -> Verdict {
    let window = Window { start: number(vector, "start"), end: number(vector, "end") };
    let serde: SerdeRef<Windowed<K>> = match vector["kind"].as_str().unwrap() {
        "session" => std::sync::Arc::new(SessionWindowedSerde::new(inner)),
        _ => std::sync::Arc::new(TimeWindowedSerde::write_only(inner)),
    };
    let mut full = Vec::new();
    serde.serialize(&Windowed { key, window }, &mut full).unwrap();
    equal_bytes(vector, "full_key_hex", Some(&full))?;
    let base = serde.base_key(&full);
    equal_bytes(vector, "base_key_hex", Some(base))?;
    for (count, partition) in vector["partitions"].as_object().unwrap() {
        let chosen = partition_for_key(base, count.parse().unwrap());
        equal("partition", partition.as_i64().unwrap(), chosen.into())?;
    }
    Ok(())
}

fn murmur3_default_seed(vector: &Value) -> Verdict {
    let key = bytes(vector, "hex");
    let expected = murmur3::Hash128(number(vector, "h1"), number(vector, "h2"));
    equal("128 bits", expected, murmur3::hash128(&key))?;
    equal("64 bits", number(vector, "hash64"), murmur3::hash64(&key))?;
    equal("32 bits", number_i32(vector, "hash32"), murmur3::hash32(&key))
}

fn murmur3_seeded(vector: &Value) -> Verdict {
    let all = bytes(vector, "hex");
    let size = |field| usize::try_from(number(vector, field)).unwrap();
    let slice = &all[size("offset")..][..size("length")];
    let expected = murmur3::Hash128(number(vector, "h1"), number(vector, "h2"));
    equal("128 bits", expected, murmur3::hash128_seeded(slice, number_i32(vector, "seed")))
}
