//! What the committed outputs must be, computed from the input alone. With at least once nothing may be missing; repetitions are allowed.

use std::collections::{BTreeMap, BTreeSet};

use kstreams::sim::{Input, Observed};

/// Values of each key, in order.
type ByKey = BTreeMap<String, Vec<String>>;

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap()).unwrap()
}

/// The committed records of a topic by key, in the order of their offsets.
pub(crate) fn committed(seen: &Observed<'_>, topic: &str) -> ByKey {
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

/// Both sides must be equal, or with at least once contain what is expected.
fn equal(seen: &Observed<'_>, what: &str, expected: &ByKey, found: &ByKey) -> Vec<String> {
    let mut violations = Vec::new();
    for key in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        let none = Vec::new();
        let (expected, found) = (expected.get(key).unwrap_or(&none), found.get(key).unwrap_or(&none));
        if seen.schedule.exactly_once && expected != found {
            violations.push(format!("I2: {what} of {key}: expected {expected:?}, found {found:?}"));
        }
        if !seen.schedule.exactly_once
            && let Some(lost) = expected.iter().find(|value| !found.contains(value))
        {
            violations.push(format!("I3: {what} of {key}: {lost} is lost; found {found:?}"));
        }
    }
    violations
}

/// Per account a sequence 1, 2, 3.. and the running balance; each leg once; all balances add up to 0.
pub(crate) fn bank(seen: &Observed<'_>) -> Vec<String> {
    let mut legs: BTreeMap<String, BTreeSet<(String, i64)>> = BTreeMap::new();
    for (id, fields) in inputs(seen, "in") {
        let amount: i64 = fields[2].parse().unwrap();
        legs.entry(fields[0].clone()).or_default().insert((id.clone(), -amount));
        legs.entry(fields[1].clone()).or_default().insert((id, amount));
    }
    let mut violations = Vec::new();
    let (mut total, outputs) = (0, committed(seen, "out"));
    for account in legs.keys().chain(outputs.keys()).collect::<BTreeSet<_>>() {
        let states = outputs.get(account).cloned().unwrap_or_default();
        let mut balance = 0;
        let mut seen_legs = BTreeSet::new();
        for (number, state) in (1..).zip(&states) {
            let fields: Vec<&str> = state.split(',').collect();
            let (id, amount) = (fields[2].to_owned(), fields[3].parse::<i64>().unwrap());
            balance += amount;
            let expected = format!("{number},{balance},{id},{amount}");
            if seen.schedule.exactly_once && *state != expected {
                violations
                    .push(format!("I2: account {account}: {state} where {expected} is due: {states:?}"));
                break;
            }
            if !seen_legs.insert((id.clone(), amount)) && seen.schedule.exactly_once {
                violations.push(format!("I3: account {account}: transfer {id} counts twice: {states:?}"));
            }
        }
        let wanted = legs.get(account).cloned().unwrap_or_default();
        if wanted != seen_legs {
            let lost: Vec<_> = wanted.difference(&seen_legs).collect();
            let invented: Vec<_> = seen_legs.difference(&wanted).collect();
            violations.push(format!("I3: account {account}: lost {lost:?}, invented {invented:?}"));
        }
        total += balance;
    }
    if seen.schedule.exactly_once && total != 0 {
        violations.push(format!("I1: all balances add up to {total}"));
    }
    violations
}

/// Every record unchanged, and the figures of its key up to it.
pub(crate) fn echo_sum(seen: &Observed<'_>) -> Vec<String> {
    let (mut echo, mut figures) = (ByKey::new(), ByKey::new());
    let mut sums: BTreeMap<String, (i64, i64, i64, i64)> = BTreeMap::new();
    for (key, fields) in inputs(seen, "in") {
        let (n, x) = (&fields[0], fields[1].parse::<i64>().unwrap());
        echo.entry(key.clone()).or_default().push(format!("{n},{x}"));
        let (count, sum, min, max) = sums.entry(key.clone()).or_insert((0, 0, i64::MAX, i64::MIN));
        (*count, *sum, *min, *max) = (*count + 1, *sum + x, x.min(*min), x.max(*max));
        figures.entry(key).or_default().push(format!("{count},{sum},{min},{max},{n}"));
    }
    let mut violations = equal(seen, "echo", &echo, &committed(seen, "out-echo"));
    if seen.schedule.exactly_once {
        violations.extend(equal(seen, "figures", &figures, &committed(seen, "out-agg")));
    }
    violations
}

/// Every key has one number, counted in its partition without gaps.
pub(crate) fn ids(seen: &Observed<'_>) -> Vec<String> {
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    let mut assigned: BTreeMap<String, (i32, i64)> = BTreeMap::new();
    let mut expected = ByKey::new();
    for record in seen.kafka.read_all("in", true).unwrap() {
        let (key, n) = (text(record.key), text(record.value));
        let last = last.entry(record.partition).or_default();
        let (partition, id) = *assigned.entry(key.clone()).or_insert_with(|| {
            *last += 1;
            (record.partition, *last)
        });
        expected.entry(key).or_default().push(format!("{partition},{id},{n}"));
    }
    let found = committed(seen, "out");
    if seen.schedule.exactly_once {
        return equal(seen, "numbers", &expected, &found);
    }
    let only_n = |by_key: ByKey| -> ByKey {
        let n = |value: String| value.rsplit(',').next().unwrap().to_owned();
        by_key.into_iter().map(|(key, values)| (key, values.into_iter().map(n).collect())).collect()
    };
    equal(seen, "records", &only_n(expected), &only_n(found))
}

/// Joined records come in order, with versions that were written and never go back; windows count exactly them.
pub(crate) fn join(seen: &Observed<'_>) -> Vec<String> {
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
        violations.extend(equal(seen, "window", &windows, &committed(seen, "out-windows")));
    }
    violations
}
