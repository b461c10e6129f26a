//! What joins and tables write to their stores and internal topics; positions.

use serde_json::{Value, json};
use streams_state::format::change::Change;
use streams_state::format::combined_key::{self, CombinedKey};
use streams_state::format::grace_buffer_key::GraceBufferKey;
use streams_state::format::left_or_right_value::LeftOrRightValue;
use streams_state::format::list;
use streams_state::format::murmur3::Hash128;
use streams_state::format::position::Position;
use streams_state::format::range_bounds::prefix_end;
use streams_state::format::subscription_response::SubscriptionResponse;
use streams_state::format::subscription_wrapper::{Instruction, SubscriptionWrapper};
use streams_state::format::timestamped_key_and_join_side::{JoinSide, TimestampedKeyAndJoinSide};

use crate::tally::{Verdict, equal};
use crate::vectors::{
    bytes, equal_bytes, equal_or_refused, flag, hex, number, number_i32, optional_bytes, read_or_refused,
    unhex, written,
};

fn side(vector: &Value) -> JoinSide {
    if flag(vector, "left") { JoinSide::Left } else { JoinSide::Right }
}

fn expected_hex(vector: &Value, field: &str) -> String {
    vector[field].as_str().unwrap().to_owned()
}

pub(super) fn timestamped_key_and_join_side(vector: &Value) -> Verdict {
    let key = bytes(vector, "key_hex");
    let row = TimestampedKeyAndJoinSide { timestamp: number(vector, "ts"), side: side(vector), key: &key };
    equal("hex", expected_hex(vector, "hex"), written(|out| row.encode(out)))?;
    equal("read", Ok(row), TimestampedKeyAndJoinSide::decode(&bytes(vector, "hex")))
}

pub(super) fn left_or_right_value(vector: &Value) -> Verdict {
    let Some(value) = optional_bytes(vector, "value_hex") else {
        // A null value has no element; the type does not let one be made.
        return equal_or_refused(vector, "hex", Err("no value"));
    };
    let element = LeftOrRightValue { side: side(vector), value: &value };
    equal("hex", expected_hex(vector, "hex"), written(|out| element.encode(out)))?;
    equal("read", Ok(element), LeftOrRightValue::decode(&bytes(vector, "hex")))
}

pub(super) fn outer_join_value_list(vector: &Value) -> Verdict {
    let elements: Vec<Vec<u8>> =
        vector["elements_hex"].as_array().unwrap().iter().map(|hex| unhex(hex.as_str().unwrap())).collect();
    let slices: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    equal("hex", expected_hex(vector, "hex"), written(|out| list::encode_slices(&slices, out)))?;
    let stored = bytes(vector, "hex");
    let read: Vec<Option<Vec<u8>>> =
        list::decode(&stored, None).unwrap().into_iter().map(|element| element.map(Into::into)).collect();
    equal("read", elements.into_iter().map(Some).collect::<Vec<_>>(), read)
}

pub(super) fn change_encode(vector: &Value) -> Verdict {
    let (old, new) = (optional_bytes(vector, "old_hex"), optional_bytes(vector, "new_hex"));
    let change = Change { old: old.as_deref(), new: new.as_deref(), is_latest: flag(vector, "is_latest") };
    let mut out = Vec::new();
    let written = change.encode(&mut out).map(|()| Some(out));
    if let Ok(Some(bytes)) = &written {
        // Whether it was the latest is not written.
        equal("read", Ok(Change { is_latest: true, ..change }), Change::decode(bytes))?;
    }
    equal_or_refused(vector, "hex", written)?;
    if vector.get("hex_upgrade_from_3_4").is_some() {
        let mut out = Vec::new();
        let written = change.encode_for_3_4(&mut out).map(|()| Some(out));
        equal_or_refused(vector, "hex_upgrade_from_3_4", written)?;
    }
    Ok(())
}

pub(super) fn change_decode(vector: &Value) -> Verdict {
    let stored = bytes(vector, "hex");
    let Some(change) = read_or_refused(vector, Change::decode(&stored), |change| format!("{change:?}"))?
    else {
        return Ok(());
    };
    equal_bytes(vector, "old_hex", change.old)?;
    equal_bytes(vector, "new_hex", change.new)?;
    equal("is_latest", flag(vector, "is_latest"), change.is_latest)
}

fn hash(value: &Value) -> Option<Hash128> {
    let halves = value.as_array()?;
    Some(Hash128(halves[0].as_i64().unwrap(), halves[1].as_i64().unwrap()))
}

pub(super) fn subscription_wrapper(vector: &Value) -> Verdict {
    let primary_key = bytes(vector, "pk_hex");
    let instruction = Instruction::ALL[usize::try_from(number(vector, "instruction_byte")).unwrap()];
    let wrapper = SubscriptionWrapper {
        hash: hash(&vector["hash"]),
        instruction,
        primary_key: &primary_key,
        primary_partition: vector["primary_partition"]
            .as_i64()
            .map(|partition| partition.try_into().unwrap()),
    };
    equal("instruction", vector["instruction"].as_str().unwrap().to_owned(), name(instruction))?;
    equal("hex", expected_hex(vector, "hex"), written(|out| wrapper.encode(out)))?;
    let mut out = Vec::new();
    wrapper.encode_for_3_3(&mut out);
    equal_or_refused(vector, "hex_upgrade_from_3_3", Ok::<_, String>(Some(out)))?;
    equal("read", Ok(wrapper), SubscriptionWrapper::decode(&bytes(vector, "hex")))
}

/// `PropagateOnlyIfFkValAvailable` as Java spells it.
fn name(instruction: Instruction) -> String {
    let mut name = String::new();
    for char in format!("{instruction:?}").chars() {
        if char.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(char.to_ascii_uppercase());
    }
    name
}

pub(super) fn subscription_wrapper_decode(vector: &Value) -> Verdict {
    let stored = bytes(vector, "hex");
    let read =
        read_or_refused(vector, SubscriptionWrapper::decode(&stored), |wrapper| format!("{wrapper:?}"))?;
    let Some(wrapper) = read else { return Ok(()) };
    equal("version", number(vector, "version"), i64::from(wrapper.primary_partition.is_some()))?;
    equal("instruction", vector["instruction"].as_str().unwrap().to_owned(), name(wrapper.instruction))?;
    equal("hash", hash(&vector["hash"]), wrapper.hash)?;
    equal_bytes(vector, "pk_hex", Some(wrapper.primary_key))?;
    equal("partition", vector["primary_partition"].clone(), json!(wrapper.primary_partition))
}

pub(super) fn response_wrapper(vector: &Value) -> Verdict {
    let value = optional_bytes(vector, "foreign_value_hex");
    let response = SubscriptionResponse { hash: hash(&vector["hash"]), foreign_value: value.as_deref() };
    equal("hex", expected_hex(vector, "hex"), written(|out| response.encode(out)))?;
    let stored = bytes(vector, "hex");
    let read = SubscriptionResponse::decode(&stored).unwrap();
    equal("hash", response.hash, read.hash)?;
    equal_bytes(vector, "decoded_foreign_value_hex", read.foreign_value)
}

pub(super) fn response_wrapper_decode(vector: &Value) -> Verdict {
    let stored = bytes(vector, "hex");
    let read =
        read_or_refused(vector, SubscriptionResponse::decode(&stored), |answer| format!("{answer:?}"))?;
    let Some(response) = read else { return Ok(()) };
    equal("version", number(vector, "version"), 0)?;
    equal("hash", hash(&vector["hash"]), response.hash)?;
    equal_bytes(vector, "foreign_value_hex", response.foreign_value)
}

pub(super) fn combined_key(vector: &Value) -> Verdict {
    let (foreign_key, primary_key) = (bytes(vector, "fk_hex"), bytes(vector, "pk_hex"));
    let key = CombinedKey { foreign_key: &foreign_key, primary_key: &primary_key };
    equal("hex", expected_hex(vector, "hex"), written(|out| key.encode(out)))?;
    equal("read", Ok(key), CombinedKey::decode(&bytes(vector, "hex")))?;
    let mut prefix = Vec::new();
    combined_key::prefix(&foreign_key, &mut prefix);
    equal("prefix", expected_hex(vector, "prefix_hex"), hex(&prefix))?;
    let end = prefix_end(&prefix).map(Some).ok_or("nothing is above");
    equal_or_refused(vector, "prefix_upper_exclusive", end)
}

pub(super) fn grace_buffer_key(vector: &Value) -> Verdict {
    let key = bytes(vector, "key_hex");
    let (timestamp, sequence) = (number(vector, "ts"), number_i32(vector, "seq"));
    let row = GraceBufferKey { timestamp, key: &key, sequence };
    equal("hex", expected_hex(vector, "hex"), written(|out| row.encode(out)))?;
    equal("read", Ok(row), GraceBufferKey::decode(&bytes(vector, "hex")))
}

pub(super) fn position(vector: &Value) -> Verdict {
    let topic = |topic: &Value| {
        let topic = topic.as_str().unwrap();
        let offsets = vector["position"][topic].as_object().unwrap().iter();
        let offsets =
            offsets.map(|(partition, offset)| (partition.parse().unwrap(), offset.as_i64().unwrap()));
        let mut offsets: Vec<(i32, i64)> = offsets.collect();
        offsets.sort_unstable();
        (topic.to_owned(), offsets)
    };
    let position = Position(vector["topic_order"].as_array().unwrap().iter().map(topic).collect());
    equal("hex", expected_hex(vector, "hex"), written(|out| position.encode(out)))?;
    let mut array = Vec::new();
    position.encode_as_array(&mut array);
    equal("length", number(vector, "backing_array_length"), array.len().try_into().unwrap())?;
    equal("read", Ok(position), Position::decode(&array))
}
