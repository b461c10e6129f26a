//! What is in the stores at the end of a case. Comes in: a driver. Goes out: type and rows of each store.
//!
//! The types of a store say what it is: those of processors hold text by text; tables hold a timestamp with each value.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use kstreams::testing::{TestVersion, TopologyTestDriver};
use kstreams::topic::Store;
use kstreams::types::{Headers, ValueAndHeaders, Window, Windowed};
use serde_json::{Value, json};
use streams_state::format::murmur3::Hash128;
use streams_state::format::subscription_wrapper::{Instruction, SubscriptionWrapper};
use streams_state::store::{ChangeBuffer, GraceBuffer, JoinSide, LeftOrRight, OuterJoinStore, WaitingRow};

use crate::base64;
use crate::functions::Text;
use crate::run::header;

/// All stores, as the case files write them.
pub(crate) fn stores(driver: &TopologyTestDriver) -> BTreeMap<String, Value> {
    let kinds = [key_value, versioned, windows, sessions, windowed_key_value, buffer, waiting];
    let mut stores = BTreeMap::new();
    for name in driver.store_names() {
        let Some(store) = kinds.iter().find_map(|kind| kind(driver, &name)) else {
            panic!("store `{name}` has rows of no type that the cases use");
        };
        stores.insert(name.to_string(), store);
    }
    stores
}

fn with_rows(kind: &str, rows: Vec<Value>) -> Value {
    json!({ "type": kind, "rows": rows })
}

fn key_value(driver: &TopologyTestDriver, name: &str) -> Option<Value> {
    let rows = if let Some(store) = driver.find_store(&Store::<String, String>::named(name)) {
        store.all().into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
    } else if let Some(store) = driver.find_store(&Store::<Text, String>::named(name)) {
        rows_with_time(store.rows())
    } else if let Some(store) = driver.find_store(&Store::<Text, i64>::named(name)) {
        rows_with_time(store.rows())
    } else {
        subscriptions(driver.find_store(&SubscriptionStore::named(name))?.rows())
    };
    Some(with_rows("keyvalue", rows))
}

fn rows_with_time<V: ToString>(rows: Vec<(Text, V, i64)>) -> Vec<Value> {
    rows.into_iter()
        .map(|(key, value, timestamp)| json!({ "key": key, "value": value.to_string(), "timestamp": timestamp }))
        .collect()
}

fn versioned(driver: &TopologyTestDriver, name: &str) -> Option<Value> {
    let rows = if let Some(store) = driver.find_versioned_store(&Store::<Text, String>::named(name)) {
        store.all().into_iter().map(|(key, version)| version_row(&key, &version)).collect()
    } else {
        let store = driver.find_versioned_store(&Store::<Text, i64>::named(name))?;
        store.all().into_iter().map(|(key, version)| version_row(&key, &version)).collect()
    };
    Some(with_rows("versioned", rows))
}

fn version_row<V: ToString>(key: &Text, version: &TestVersion<V>) -> Value {
    let mut row = json!({ "key": key, "value": version.value.to_string(), "timestamp": version.valid_from });
    if let Some(valid_to) = version.valid_to {
        row["validTo"] = json!(valid_to);
    }
    row
}

fn windows(driver: &TopologyTestDriver, name: &str) -> Option<Value> {
    let rows = if let Some(store) = driver.find_window_store(&Store::<Text, String>::named(name)) {
        window_rows(store.rows())
    } else if let Some(store) = driver.find_window_store(&Store::<Text, Text>::named(name)) {
        // Rows on disk have neither headers nor a time beside their start.
        let row =
            |(key, start, value, _)| (key, start, ValueAndHeaders { value, headers: Headers::EMPTY }, -1);
        join_rows(store.rows().into_iter().map(row).collect())
    } else if let Some(store) = driver.find_window_store(&Store::<Text, ValueAndHeaders<Text>>::named(name)) {
        join_rows(store.rows())
    } else {
        window_rows(driver.find_window_store(&Store::<Text, i64>::named(name))?.rows())
    };
    Some(with_rows("window", rows))
}

fn window_rows<V: ToString>(mut rows: Vec<(Text, i64, V, i64)>) -> Vec<Value> {
    rows.sort_by(|one, two| (&one.0, one.1).cmp(&(&two.0, two.1)));
    let row = |(key, start, value, timestamp): (Text, i64, V, i64)| json!({ "key": key, "start": start, "value": value.to_string(), "timestamp": timestamp });
    rows.into_iter().map(row).collect()
}

/// Records of one side of a join. Rows of one key and start keep their order.
fn join_rows(mut rows: Vec<(Text, i64, ValueAndHeaders<Text>, i64)>) -> Vec<Value> {
    rows.sort_by(|one, two| (&one.0, one.1).cmp(&(&two.0, two.1)));
    rows.iter().map(join_row).collect()
}

fn join_row(
    (key, start, ValueAndHeaders { value, headers }, timestamp): &(Text, i64, ValueAndHeaders<Text>, i64),
) -> Value {
    let mut row = json!({ "key": key, "start": start, "value": value, "timestamp": timestamp });
    if !headers.is_empty() {
        row["headers"] = headers.iter().map(header).collect();
    }
    row
}

/// Records of a left or outer join that wait for a partner.
fn waiting(driver: &TopologyTestDriver, name: &str) -> Option<Value> {
    let store = driver.find_store_as::<OuterJoinStore<Text, Text, Text>>(name)?;
    let mut records: Vec<(Text, i64, &str, Text)> = Vec::new();
    let visited = store.borrow_mut().scan(&mut |row: &WaitingRow<'_, Text, Text, Text>| {
        let side = match row.side {
            JoinSide::Left => "left",
            JoinSide::Right => "right",
        };
        for LeftOrRight::Left(value) | LeftOrRight::Right(value) in row.values()? {
            records.push((row.key()?, row.timestamp, side, value));
        }
        Ok(ControlFlow::Continue(()))
    });
    visited.expect("the rows of a join can be read");
    records.sort_by(|one, two| (&one.0, one.1, one.2).cmp(&(&two.0, two.1, two.2)));
    let row = |(key, time, side, value)| json!({ "key": key, "time": time, "side": side, "value": value });
    Some(with_rows("keyvalue", records.into_iter().map(row).collect()))
}

fn sessions(driver: &TopologyTestDriver, name: &str) -> Option<Value> {
    let rows = if let Some(store) = driver.find_session_store(&Store::<Text, String>::named(name)) {
        let row = |(key, session, value): (Text, Window, String)| (key, session.start, session.end, value);
        store.rows().into_iter().map(row).collect()
    } else {
        let store = driver.find_session_store(&Store::<Text, i64>::named(name))?;
        let row =
            |(key, session, value): (Text, Window, i64)| (key, session.start, session.end, value.to_string());
        store.rows().into_iter().map(row).collect()
    };
    Some(with_rows("session", session_rows(rows)))
}

fn session_rows(mut rows: Vec<(Text, i64, i64, String)>) -> Vec<Value> {
    rows.sort();
    let row = |(key, start, end, value)| json!({ "key": key, "start": start, "end": end, "value": value });
    rows.into_iter().map(row).collect()
}

/// A table derived of a windowed one, with a store of its own.
fn windowed_key_value(driver: &TopologyTestDriver, name: &str) -> Option<Value> {
    let store = driver.find_store(&Store::<Windowed<Text>, String>::named(name))?;
    let mut rows = store.rows();
    rows.sort_by(|one, two| one.0.cmp(&two.0));
    let row = |(Windowed { key, window }, value, timestamp): (Windowed<Text>, String, i64)| {
        let key = format!("{}@{}-{}", key.as_deref().unwrap_or("null"), window.start, window.end);
        json!({ "key": key, "value": value, "timestamp": timestamp })
    };
    Some(with_rows("keyvalue", rows.into_iter().map(row).collect()))
}

/// The buffer of a suppress, or of a stream-table join with grace.
fn buffer(driver: &TopologyTestDriver, name: &str) -> Option<Value> {
    let records = if let Some(buffer) = driver.find_store_as::<ChangeBuffer<Windowed<Text>, String>>(name) {
        buffer.borrow().num_records()
    } else if let Some(buffer) = driver.find_store_as::<ChangeBuffer<Text, String>>(name) {
        buffer.borrow().num_records()
    } else {
        driver.find_store_as::<GraceBuffer<Text, Text>>(name)?.borrow().num_records()
    };
    Some(json!({ "type": "buffer", "records": records }))
}

type SubscriptionStore = Store<Vec<u8>, ValueAndHeaders<Vec<u8>>>;

/// The rows of a foreign-key join's subscription store, in the order of their keys as text.
fn subscriptions(rows: Vec<(Vec<u8>, ValueAndHeaders<Vec<u8>>, i64)>) -> Vec<Value> {
    let mut rows: Vec<Value> =
        rows.into_iter().map(|(key, row, time)| subscription(&key, &row, time)).collect();
    rows.sort_by(|one, two| one["key"].as_str().cmp(&two["key"].as_str()));
    rows
}

fn subscription(key: &[u8], row: &ValueAndHeaders<Vec<u8>>, timestamp: i64) -> Value {
    let wrapper = SubscriptionWrapper::decode(&row.value).expect("the store holds subscriptions");
    let instruction = match wrapper.instruction {
        Instruction::DeleteKeyNoPropagate => "DELETE_KEY_NO_PROPAGATE",
        Instruction::DeleteKeyAndPropagate => "DELETE_KEY_AND_PROPAGATE",
        Instruction::PropagateNullIfNoFkValAvailable => "PROPAGATE_NULL_IF_NO_FK_VAL_AVAILABLE",
        Instruction::PropagateOnlyIfFkValAvailable => "PROPAGATE_ONLY_IF_FK_VAL_AVAILABLE",
    };
    let headers = &row.headers;
    let mut row = json!({
        "key": format!("base64:{}", base64::encode(key)),
        "primaryKey": String::from_utf8_lossy(wrapper.primary_key),
        "instruction": instruction,
        "version": i32::from(wrapper.primary_partition.is_some()),
        "timestamp": timestamp,
    });
    if !headers.is_empty() {
        row["headers"] = headers.iter().map(header).collect();
    }
    if let Some(Hash128(first, second)) = wrapper.hash {
        row["hash"] = json!([first.to_string(), second.to_string()]);
    }
    if let Some(partition) = wrapper.primary_partition {
        row["primaryPartition"] = partition.into();
    }
    row
}
