//! The workloads of the fault harness: `bank`, `echo-sum`, `ids`, `join`. Every key, value and state is text in Kafka.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kstreams::error::BoxError;
use kstreams::prelude::*;
use serde::{Deserialize, Serialize};

use super::text::{Text, fields, number};

/// The topology of `workload`; `None` if there is none of this name.
pub fn topology(workload: &str, input: &str, output: &str) -> Option<Result<Topology, TopologyError>> {
    Some(match workload {
        "bank" => bank(input, output),
        "echo-sum" => echo_sum(input, output),
        "ids" => ids(input, output),
        "join" => join(input, output),
        _ => return None,
    })
}

/// Each transfer becomes a change of two accounts; each account has a numbered, running balance.
fn bank(input: &str, output: &str) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&Topic::<String, Transfer, Auto, Text>::named(input))
        .flat_map(|id, transfer| transfer.legs(id))
        .named("by-account")
        .repartition_with(Repartitioned::new().serdes(Auto, Text))
        .group_by_key_with(Grouped::serdes(Auto, Text))
        .fold(&Store::<String, Account, Auto, Text>::new("balances"), |_, leg, account| {
            account.sequence += 1;
            account.balance += leg.amount;
            account.last = leg;
        })
        .to_stream()
        .to(&Topic::<String, Account, Auto, Text>::named(output));
    builder.build()
}

/// Every record unchanged, and figures of each key.
fn echo_sum(input: &str, output: &str) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let numbers = builder.stream(&Topic::<String, Number, Auto, Text>::named(input));
    numbers.clone().to(&Topic::<String, Number, Auto, Text>::named(format!("{output}-echo")));
    numbers
        .group_by_key_with(Grouped::serdes(Auto, Text))
        .fold(&Store::<String, Figures, Auto, Text>::new("agg"), |_, number, figures| figures.add(&number))
        .to_stream()
        .to(&Topic::<String, Figures, Auto, Text>::named(format!("{output}-agg")));
    builder.build()
}

/// Every key gets a number, counted in its partition: `partition,number,n`.
fn ids(input: &str, output: &str) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&Topic::<String, String>::named(input))
        .process_with_stores(
            IdGenerator::default,
            vec![Stores::key_value(&ASSIGNED).caching(true), Stores::key_value(&COUNTER).caching(true)],
        )
        .to(&Topic::<String, String>::named(output));
    builder.build()
}

/// Each record with the version that a table has for its key, `n,version`; of those a count by ten seconds, `count,n`.
fn join(input: &str, output: &str) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let rows = Topic::<String, String>::named(format!("{input}-table"));
    let table = builder.table_with(&rows, Consumed::new(), &Store::<String, String>::new("table"));
    let joined = builder
        .stream(&Topic::<String, String>::named(input))
        .join_table(&table, |n, version| Joint { n, version: version.clone() });
    joined.clone().to(&Topic::<String, Joint, Auto, Text>::named(format!("{output}-joined")));
    let ten_seconds = TimeWindows::of_size_and_grace(Duration::from_secs(10), Duration::from_secs(3600));
    joined
        .group_by_key_with(Grouped::serdes(Auto, Text))
        .windowed_by(ten_seconds)
        .fold(&Store::<String, Seen, Auto, Text>::new("windows"), |_, joint, seen| {
            seen.count += 1;
            seen.n = joint.n;
        })
        .to_stream_keyed(|windowed, _| format!("{}@{}", windowed.key, windowed.window.start))
        .to(&Topic::<String, Seen, Auto, Text>::named(format!("{output}-windows")));
    builder.build()
}

/// Number by key.
const ASSIGNED: Store<String, String> = Store::new("assigned");
/// The last number given, by `p<partition>`.
const COUNTER: Store<String, String> = Store::new("counter");

/// Gives numbers to keys.
#[derive(Default)]
struct IdGenerator {
    stores: Option<[StoreRef<String, String>; 2]>,
}

impl Processor<String, String, String, String> for IdGenerator {
    fn init(&mut self, context: &mut ProcessorContext<'_, String, String>) -> Result<(), BoxError> {
        self.stores = Some([context.store(&ASSIGNED)?, context.store(&COUNTER)?]);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        let [assigned, counter] = self.stores.as_ref().ok_or("process before init")?;
        let (mut assigned, mut counter) = (assigned.borrow_mut(), counter.borrow_mut());
        let partition = context.task_id().partition;
        let known = assigned.get(&record.key)?.map(|(id, _)| id.clone());
        let id = match known {
            Some(id) => id,
            None => {
                let row = format!("p{partition}");
                let last = counter.get(&row)?.map_or(Ok(0), |(last, _)| number(last))?;
                let id = (last + 1).to_string();
                let at = context.record_context();
                counter.put(&row, Some(id.clone()), record.timestamp, at)?;
                assigned.put(&record.key, Some(id.clone()), record.timestamp, at)?;
                id
            }
        };
        let value = format!("{partition},{id},{}", record.value);
        Ok(context.forward(record.with_value(value))?)
    }
}

/// A transfer: `from,to,amount`.
#[derive(Clone, PartialEq, Debug)]
struct Transfer {
    from: String,
    to: String,
    amount: i64,
}

/// One side of a transfer: `transfer id,amount`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Leg {
    transfer: String,
    amount: i64,
}

/// State of an account: `sequence,balance,transfer id,amount`.
#[derive(Clone, PartialEq, Debug, Default)]
struct Account {
    sequence: i64,
    balance: i64,
    last: Leg,
}

/// A number of a numbered record: `n,x`.
#[derive(Clone, PartialEq, Debug)]
struct Number {
    n: String,
    x: i64,
}

/// A record and the table's row: `n,version`.
#[derive(Clone, PartialEq, Debug)]
struct Joint {
    n: String,
    version: String,
}

/// How many records a window has, and the last of them: `count,n`.
#[derive(Clone, PartialEq, Debug, Default)]
struct Seen {
    count: i64,
    n: String,
}

/// Figures of a key: `count,sum,min,max,n`.
#[derive(Clone, PartialEq, Debug)]
struct Figures {
    count: i64,
    sum: i64,
    min: i64,
    max: i64,
    n: String,
}

impl Transfer {
    fn legs(self, id: &str) -> [(String, Leg); 2] {
        let leg = |amount| Leg { transfer: id.to_owned(), amount };
        [(self.from, leg(-self.amount)), (self.to, leg(self.amount))]
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self { count: 0, sum: 0, min: i64::MAX, max: i64::MIN, n: String::new() }
    }
}

impl Figures {
    fn add(&mut self, number: &Number) {
        self.count += 1;
        self.sum += number.x;
        self.min = self.min.min(number.x);
        self.max = self.max.max(number.x);
        self.n.clone_from(&number.n);
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.from, self.to, self.amount)
    }
}

impl FromStr for Transfer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [from, to, amount] = fields(text)?;
        Ok(Self { from: from.to_owned(), to: to.to_owned(), amount: number(amount)? })
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.transfer, self.amount)
    }
}

impl FromStr for Leg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [transfer, amount] = fields(text)?;
        Ok(Self { transfer: transfer.to_owned(), amount: number(amount)? })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.sequence, self.balance, self.last)
    }
}

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [sequence, balance, transfer, amount] = fields(text)?;
        let last = Leg { transfer: transfer.to_owned(), amount: number(amount)? };
        Ok(Self { sequence: number(sequence)?, balance: number(balance)?, last })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.n, self.x)
    }
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [n, x] = fields(text)?;
        Ok(Self { n: n.to_owned(), x: number(x)? })
    }
}

impl fmt::Display for Joint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.n, self.version)
    }
}

impl FromStr for Joint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [n, version] = fields(text)?;
        Ok(Self { n: n.to_owned(), version: version.to_owned() })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.count, self.n)
    }
}

impl FromStr for Seen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [count, n] = fields(text)?;
        Ok(Self { count: number(count)?, n: n.to_owned() })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{},{}", self.count, self.sum, self.min, self.max, self.n)
    }
}

impl FromStr for Figures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [count, sum, min, max, n] = fields(text)?;
        let (count, sum) = (number(count)?, number(sum)?);
        Ok(Self { count, sum, min: number(min)?, max: number(max)?, n: n.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(workload: &str, inputs: &[(&str, &str)]) -> TopologyTestDriver {
        let topology = topology(workload, "in", "out").unwrap().unwrap();
        let driver = TopologyTestDriver::new(topology).unwrap();
        let input = driver.input(&Topic::<String, String>::new("in"));
        inputs.iter().for_each(|(key, value)| input.pipe(*key, *value));
        driver
    }

    fn output(driver: &TopologyTestDriver, topic: &'static str) -> Vec<(String, String)> {
        driver.output(&Topic::<String, String>::new(topic)).read_all()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn bank_books_both_legs() {
        let driver = pipe("bank", &[("t1", "a1,a2,120"), ("t2", "a2,a1,20")]);
        let expected = [
            ("a1", "1,-120,t1,-120"),
            ("a2", "1,120,t1,120"),
            ("a2", "2,100,t2,-20"),
            ("a1", "2,-100,t2,20"),
        ];
        assert_eq!(output(&driver, "out"), pairs(&expected));
        assert!(driver.produced_topics().iter().any(|topic| &**topic == "test-by-account-repartition"));
    }

    #[test]
    fn echo_sum_keeps_figures() {
        let driver = pipe("echo-sum", &[("k1", "1,-5"), ("k1", "2,7")]);
        assert_eq!(output(&driver, "out-echo"), pairs(&[("k1", "1,-5"), ("k1", "2,7")]));
        assert_eq!(output(&driver, "out-agg"), pairs(&[("k1", "1,-5,-5,-5,1"), ("k1", "2,2,-5,7,2")]));
    }

    #[test]
    fn ids_are_given_once() {
        let driver = pipe("ids", &[("k5", "1"), ("k6", "2"), ("k5", "3")]);
        assert_eq!(output(&driver, "out"), pairs(&[("k5", "0,1,1"), ("k6", "0,2,2"), ("k5", "0,1,3")]));
    }

    #[test]
    fn join_counts_what_has_a_row_by_ten_seconds() {
        let driver = TopologyTestDriver::new(topology("join", "in", "out").unwrap().unwrap()).unwrap();
        driver.input(&Topic::<String, String>::new("in-table")).pipe_at("u5", "3", 0);
        let input = driver.input(&Topic::<String, String>::new("in"));
        [("u5", "1", 1), ("u9", "2", 2), ("u5", "3", 9_999), ("u5", "4", 10_000)]
            .into_iter()
            .for_each(|(key, n, time)| input.pipe_at(key, n, time));
        assert_eq!(output(&driver, "out-joined"), pairs(&[("u5", "1,3"), ("u5", "3,3"), ("u5", "4,3")]));
        let windows = pairs(&[("u5@0", "1,1"), ("u5@0", "2,3"), ("u5@10000", "1,4")]);
        assert_eq!(output(&driver, "out-windows"), windows);
    }
}
