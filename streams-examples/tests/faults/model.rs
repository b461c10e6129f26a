//! What the committed outputs of a workload must be: computed from the records of its input, and compared record by record.
//!
//! In: the logs of input and outputs as a read-committed reader sees them. Out: [`Violations`], and what the changelogs must end in.
//! Finds what is lost, twice, invented, wrong, or in another order.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Read;

/// A topic's records, partition by partition.
pub(crate) type Log = Vec<Vec<Read>>;
/// Values of each key, in order.
type ByKey = BTreeMap<String, Vec<String>>;
/// What a changelog must end in: last value of each key.
pub(crate) type Rows = BTreeMap<String, String>;

/// Examples that are kept of each kind.
const EXAMPLES: usize = 5;

/// What is wrong, by kind: how often, and the first examples.
#[derive(Default, Debug)]
pub(crate) struct Violations(pub(crate) BTreeMap<&'static str, (usize, Vec<String>)>);

impl Violations {
    /// One more.
    pub(crate) fn add(&mut self, kind: &'static str, example: impl Into<String>) {
        let (count, examples) = self.0.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example.into());
        }
    }

    /// How many of a kind.
    pub(crate) fn of(&self, kind: &str) -> usize {
        self.0.get(kind).map_or(0, |(count, _)| *count)
    }

    /// How many of all kinds.
    pub(crate) fn count(&self) -> usize {
        self.0.values().map(|(count, _)| count).sum()
    }
}

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Workload {
    /// Transfers between accounts, over a repartition topic.
    Bank,
    /// Each record as it is, and figures of its key.
    EchoSum,
    /// A number for each key, from two stores under record caches.
    Ids,
}

impl Workload {
    /// Its name for the program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::EchoSum => "echo-sum",
            Self::Ids => "ids",
        }
    }

    /// The topics that it writes for its users.
    pub(crate) fn outputs(self, output: &str) -> Vec<String> {
        match self {
            Self::Bank | Self::Ids => vec![output.to_owned()],
            Self::EchoSum => vec![format!("{output}-echo"), format!("{output}-agg")],
        }
    }

    /// Its stores.
    pub(crate) fn stores(self) -> &'static [&'static str] {
        match self {
            Self::Bank => &["balances"],
            Self::EchoSum => &["agg"],
            Self::Ids => &["assigned", "counter"],
        }
    }

    /// The internal topic that it reads again.
    pub(crate) fn repartition(self, application: &str) -> Option<String> {
        (self == Self::Bank).then(|| format!("{application}-by-account-repartition"))
    }

    /// Record number `n` of the input: partition of `partitions`, key and value.
    pub(crate) fn record(
        self,
        n: u64,
        partitions: i32,
        keys: u64,
        random: &mut Random,
    ) -> (i32, String, String) {
        // A fifth of the load on few keys: long sequences, and many rows that are seldom touched.
        let mut key = || if random.below(5) == 0 { random.below(100.min(keys)) } else { random.below(keys) };
        match self {
            Self::Bank => {
                let from = key();
                let to = if from == 0 { 1 + key() % (keys - 1) } else { key() % from };
                let amount = 1 + random.below(999);
                ((n % partitions as u64) as i32, format!("t{n}"), format!("a{from},a{to},{amount}"))
            }
            Self::EchoSum => {
                let key = key();
                let x = random.below(20_000) as i64 - 10_000;
                ((key % partitions as u64) as i32, format!("k{key}"), format!("{n},{x}"))
            }
            Self::Ids => {
                let key = key();
                ((key % partitions as u64) as i32, format!("k{key}"), n.to_string())
            }
        }
    }

    /// Compares the outputs with the input. Out: each store, and what its changelog must end in.
    pub(crate) fn check(
        self,
        input: &Log,
        outputs: &[Log],
        violations: &mut Violations,
    ) -> Vec<(&'static str, Rows)> {
        let rows = match self {
            Self::Bank => vec![bank(input, &outputs[0], violations)],
            Self::EchoSum => vec![echo_sum(input, outputs, violations)],
            Self::Ids => ids(input, &outputs[0], violations),
        };
        self.stores().iter().copied().zip(rows).collect()
    }
}

/// Numbers that a seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Per account a sequence without gaps, running sums, each leg once and in the order of its partition; all balances together 0.
fn bank(input: &Log, output: &Log, violations: &mut Violations) -> Rows {
    let mut wanted = BTreeMap::<String, BTreeMap<(String, i64), i64>>::new();
    let mut places = BTreeMap::new();
    for (partition, record) in numbered(input) {
        let (id, value) = (key(record), record.text());
        let [from, to, amount] = fields(&value);
        let amount: i64 = amount.parse().unwrap();
        for (account, amount) in [(from, -amount), (to, amount)] {
            *wanted.entry(account.to_owned()).or_default().entry((id.clone(), amount)).or_default() += 1;
        }
        places.insert(id, (partition, record.offset));
    }
    let seen = by_key("output", output, violations);
    let accounts: BTreeSet<&String> = wanted.keys().chain(seen.keys()).collect();
    let (none, mut total) = (BTreeMap::new(), 0);
    for account in accounts {
        let mut got = BTreeMap::<(String, i64), i64>::new();
        let (mut balance, mut last) = (0, BTreeMap::new());
        for (row, value) in seen.get(account).into_iter().flatten().enumerate() {
            let [sequence, shown, id, amount] = fields(value);
            let amount: i64 = amount.parse().unwrap();
            balance += amount;
            *got.entry((id.to_owned(), amount)).or_default() += 1;
            if sequence != (row + 1).to_string() || shown != balance.to_string() {
                let model = format!("{},{balance},{id},{amount}", row + 1);
                violations.add(
                    "wrong value",
                    format!("{account}: row {} is {value}, the model has {model}", row + 1),
                );
                // The rows behind it are wrong with it.
                (balance, last) = (shown.parse().unwrap(), BTreeMap::new());
            }
            if let Some((partition, offset)) = places.get(id)
                && last.insert(*partition, *offset).is_some_and(|last| last > *offset)
            {
                violations.add("order", format!("{account}: {id} comes late"));
            }
        }
        total += balance;
        counts(account, wanted.get(account).unwrap_or(&none), &got, violations);
    }
    if total != 0 {
        violations.add("sum", format!("balances add up to {total}, not to 0"));
    }
    last_of(seen)
}

/// Both outputs equal the model, key by key.
fn echo_sum(input: &Log, outputs: &[Log], violations: &mut Violations) -> Rows {
    let (mut echo, mut figures) = (ByKey::new(), ByKey::new());
    let mut state = BTreeMap::<String, (i64, i64, i64, i64)>::new();
    for (_, record) in numbered(input) {
        // What does not parse is dropped.
        let (Some(Ok(key)), text) = (record.key.clone().map(String::from_utf8), record.text()) else {
            continue;
        };
        let Some((n, x)) = text.split_once(',').and_then(|(n, x)| Some((n, x.parse::<i64>().ok()?))) else {
            continue;
        };
        let (count, sum, min, max) = state.get(&key).copied().unwrap_or((0, 0, x, x));
        let (count, sum, min, max) = (count + 1, sum + x, min.min(x), max.max(x));
        state.insert(key.clone(), (count, sum, min, max));
        figures.entry(key.clone()).or_default().push(format!("{count},{sum},{min},{max},{n}"));
        echo.entry(key).or_default().push(text);
    }
    let seen = by_key("echo", &outputs[0], violations);
    compare("echo", &echo, &seen, first, violations);
    let seen = by_key("figures", &outputs[1], violations);
    compare("figures", &figures, &seen, last, violations);
    last_of(seen)
}

/// Each key has one number, each partition's numbers are without gaps. Out: the numbers of keys, the last number of each partition.
fn ids(input: &Log, output: &Log, violations: &mut Violations) -> Vec<Rows> {
    let (mut wanted, mut assigned, mut counter) = (ByKey::new(), Rows::new(), Rows::new());
    for (partition, record) in numbered(input) {
        let key = key(record);
        let row = format!("p{partition}");
        let next = counter.get(&row).map_or(1, |last| last.parse::<i64>().unwrap() + 1).to_string();
        let id = assigned.entry(key.clone()).or_insert_with(|| {
            counter.insert(row, next.clone());
            next
        });
        wanted.entry(key).or_default().push(format!("{partition},{id},{}", record.text()));
    }
    compare("ids", &wanted, &by_key("ids", output, violations), last, violations);
    vec![assigned, counter]
}

/// Compares the values of each key. `number` is what tells an input record from others.
fn compare(what: &str, wanted: &ByKey, seen: &ByKey, number: fn(&str) -> &str, violations: &mut Violations) {
    let none = Vec::new();
    for key in wanted.keys().chain(seen.keys()).collect::<BTreeSet<_>>() {
        let (wanted, seen) = (wanted.get(key).unwrap_or(&none), seen.get(key).unwrap_or(&none));
        if wanted == seen {
            continue;
        }
        let tally = |values: &[String]| {
            let mut tally = BTreeMap::<String, i64>::new();
            values.iter().for_each(|value| *tally.entry(number(value).to_owned()).or_default() += 1);
            tally
        };
        let (must, is) = (tally(wanted), tally(seen));
        counts(&format!("{what} of {key}"), &must, &is, violations);
        let model: BTreeMap<&str, &String> = wanted.iter().map(|value| (number(value), value)).collect();
        match seen.iter().find(|value| model.get(number(value)).is_some_and(|model| model != value)) {
            Some(value) => {
                let model = model[number(value)];
                violations.add("wrong value", format!("{what} of {key}: {value}, the model has {model}"));
            }
            None if must == is => {
                violations.add("order", format!("{what} of {key}: right records, wrong order"))
            }
            None => {}
        }
    }
}

fn counts<T: Ord + std::fmt::Debug>(
    what: &str,
    wanted: &BTreeMap<T, i64>,
    got: &BTreeMap<T, i64>,
    violations: &mut Violations,
) {
    for item in wanted.keys().chain(got.keys()).collect::<BTreeSet<_>>() {
        let (must, is) = (wanted.get(item).copied().unwrap_or(0), got.get(item).copied().unwrap_or(0));
        let text = || format!("{what}: {item:?} {is} times, must be {must} times");
        match is - must {
            0 => {}
            _ if must == 0 => violations.add("invented", text()),
            more if more > 0 => (0..more).for_each(|_| violations.add("duplicate", text())),
            less => (less..0).for_each(|_| violations.add("lost", text())),
        }
    }
}

/// What a changelog ends in: the replay that a new store would make.
pub(crate) fn replay(log: &Log) -> Rows {
    let mut rows = Rows::new();
    for (_, record) in numbered(log) {
        match record.value {
            Some(_) => rows.insert(key(record), record.text()),
            None => rows.remove(&key(record)),
        };
    }
    rows
}

/// The rows that differ, as violations.
pub(crate) fn compare_rows(what: &str, wanted: &Rows, got: &Rows, violations: &mut Violations) {
    for key in wanted.keys().chain(got.keys()).collect::<BTreeSet<_>>() {
        if wanted.get(key) != got.get(key) {
            let text = format!("{what}: {key} is {:?}, must be {:?}", got.get(key), wanted.get(key));
            violations.add("changelog", text);
        }
    }
}

fn numbered(log: &Log) -> impl Iterator<Item = (usize, &Read)> {
    log.iter()
        .enumerate()
        .flat_map(|(partition, records)| records.iter().map(move |record| (partition, record)))
}

/// Values of each key in the order of the log. A key in two partitions has no order.
fn by_key(what: &str, log: &Log, violations: &mut Violations) -> ByKey {
    let (mut rows, mut homes) = (ByKey::new(), BTreeMap::new());
    for (partition, record) in numbered(log) {
        let key = key(record);
        if *homes.entry(key.clone()).or_insert(partition) != partition {
            violations.add("key in two partitions", format!("{what}: {key}"));
        }
        rows.entry(key).or_default().push(record.text());
    }
    rows
}

fn last_of(seen: ByKey) -> Rows {
    seen.into_iter().filter_map(|(key, values)| Some((key, values.last()?.clone()))).collect()
}

fn key(record: &Read) -> String {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()
}

fn fields<const N: usize>(text: &str) -> [&str; N] {
    let fields: Vec<&str> = text.split(',').collect();
    fields.try_into().unwrap_or_else(|_| panic!("`{text}` has not {N} fields"))
}

fn first(value: &str) -> &str {
    value.split(',').next().unwrap_or_default()
}

fn last(value: &str) -> &str {
    value.rsplit(',').next().unwrap_or_default()
}
