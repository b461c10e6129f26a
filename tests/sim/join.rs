//! What the outputs of the workload `join` must be: which version of a row a record meets depends on the run, but not what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use kstreams::sim::{Input, Observed};

/// Values of each key, in order.
type ByKey = BTreeMap<String, Vec<String>>;

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap()).unwrap()
}

/// The committed records of a topic by key, in the order of their offsets.
fn committed(seen: &Observed<'_>, topic: &str) -> ByKey {
    let mut by_key = ByKey::new();
    let mut partition_of = BTreeMap::new();
    for record in seen.kafka.read_all(topic, true).unwrap() {
        let (key, value) = (text(record.key), text(record.value));
        let known = *partition_of.entry(key.clone()).or_insert(record.partition);
        assert_eq!(known, record.partition, "{key} is in two partitions");
        by_key.entry(key).or_default().push(value);
    }
    by_key
}

fn inputs<'a>(seen: &'a Observed<'_>, topic: &'a str) -> impl Iterator<Item = (String, Vec<String>)> + 'a {
    let fields = |input: &Input| {
        let value = text(input.value.clone());
        (text(input.key.clone()), value.split(',').map(str::to_owned).collect())
    };
    seen.input.iter().filter(move |input| input.topic == topic).map(fields)
}

/// Both sides must be equal.
fn equal(what: &str, expected: &ByKey, found: &ByKey) -> Vec<String> {
    let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let (none, differs) = (Vec::new(), |key: &&String| expected.get(*key) != found.get(*key));
    let of = |rows: &ByKey, key: &String| rows.get(key).unwrap_or(&none).clone();
    keys.into_iter()
        .filter(differs)
        .map(|key| {
            format!("I2: {what} of {key}: expected {:?}, found {:?}", of(expected, key), of(found, key))
        })
        .collect()
}

/// Joined records come in order, with versions that were written and never go back; windows count exactly them.
pub(crate) fn differences(seen: &Observed<'_>) -> Vec<String> {
    let written: BTreeSet<(String, String)> =
        inputs(seen, "in-table").map(|(key, fields)| (key, fields[0].clone())).collect();
    let times: BTreeMap<String, i64> = seen
        .input
        .iter()
        .filter(|it| it.topic == "in")
        .map(|it| (text(it.value.clone()), it.timestamp))
        .collect();
    let mut violations = Vec::new();
    let mut windows = ByKey::new();
    for (key, values) in committed(seen, "out-joined") {
        // No row is ever deleted: after its first, each record of the key finds one.
        let all: Vec<String> =
            inputs(seen, "in").filter(|it| it.0 == key).map(|it| it.1[0].clone()).collect();
        let joined: Vec<String> =
            values.iter().filter_map(|value| value.split(',').next().map(str::to_owned)).collect();
        let due = all.iter().skip_while(|n| Some(*n) != joined.first());
        if seen.schedule.exactly_once && !due.eq(&joined) {
            violations.push(format!("I3: {key}: joined {joined:?} of {all:?}"));
        }
        let mut before = (-1_i64, 0_i64);
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for value in &values {
            let (n, version) = value.split_once(',').unwrap();
            if !written.contains(&(key.clone(), version.to_owned())) {
                violations.push(format!("I3: {key} joined version {version}, which nobody wrote"));
            }
            let now = (n.parse::<i64>().unwrap(), version.parse::<i64>().unwrap());
            if seen.schedule.exactly_once && (now.0 <= before.0 || now.1 < before.1) {
                violations.push(format!("I2: {key}: {now:?} after {before:?}: {values:?}"));
            }
            before = now;
            let start = times[n] / 10_000 * 10_000;
            let count = counts.entry(start).or_default();
            *count += 1;
            windows.entry(format!("{key}@{start}")).or_default().push(format!("{count},{n}"));
        }
    }
    if seen.schedule.exactly_once {
        violations.extend(equal("window", &windows, &committed(seen, "out-windows")));
    }
    violations
}
