//! Steps on streams.

use std::collections::BTreeMap;

use streams_core::dsl::{KStream, Printed, Repartitioned, StoreBuilder, Stores};
use streams_core::topic::{Store, Topic};

use super::super::program::{Step, Unsupported};
use super::{Item, Pass, Values, materialized, named};

fn brought(step: Step<'_>) -> Option<Vec<StoreBuilder>> {
    let names = step.text("provides")?;
    Some(names.split(',').map(|name| Stores::key_value(&Store::<String, i64>::named(name))).collect())
}

pub(super) fn on_stream<V: Values>(stream: KStream<String, V>, step: Step<'_>) -> Result<Item, Unsupported> {
    let plain = stream.clone();
    let stream = named(stream, step.text("named"));
    Ok(V::stream(match step.op() {
        "filter" => stream.filter(|_, _| true),
        "filterNot" => stream.filter_not(|_, _| true),
        "map" => stream.map(|key, value| (key.clone(), value)),
        "mapValues" => stream.map_values(|value| value),
        "flatMap" => stream.flat_map(|key, value| vec![(key.clone(), value)]),
        "flatMapValues" => stream.flat_map_values(|value| vec![value]),
        "selectKey" => stream.select_key(|key, _| key.clone()),
        "peek" => stream.peek(|_, _| {}),
        "repartition" => match step.0["partitions"].as_i64() {
            Some(partitions) => stream.repartition_with(Repartitioned::new().partitions(partitions as i32)),
            None => stream.repartition(),
        },
        "process" => match brought(step) {
            Some(stores) => stream.process_with_stores(|| Pass, stores),
            None => stream.process(|| Pass, &step.list("stores")),
        },
        "processValues" => match brought(step) {
            Some(stores) => stream.process_values_with_stores(|| Pass, stores),
            None => stream.process_values(|| Pass, &step.list("stores")),
        },
        "foreach" => {
            stream.for_each(|_, _| {});
            return Ok(Item::Nothing);
        }
        "print" => {
            stream.print(Printed::to_writer(std::io::sink()));
            return Ok(Item::Nothing);
        }
        "to" => {
            match step.text("topic") {
                Some(topic) => stream.to(&Topic::<String, i64>::named(topic)),
                None => stream.to_extractor_as("Extractor", |_, _, _| String::new()),
            }
            return Ok(Item::Nothing);
        }
        "groupByKey" => return Ok(V::grouped(named(plain, step.text("grouped")).group_by_key())),
        "groupBy" => {
            let grouped = named(plain, step.text("grouped")).group_by(|key, _| key.clone());
            return Ok(V::grouped(grouped));
        }
        "toTable" => return Ok(Item::Table(V::table(stream, materialized(step)?))),
        _ => return step.unsupported(),
    }))
}

pub(super) fn split(step: Step<'_>, items: &mut BTreeMap<String, Item>) -> Result<(), Unsupported> {
    let branches = match step.list("in").first().and_then(|id| items.get(*id)) {
        Some(Item::Stream(stream)) => split_stream(stream.clone(), step),
        Some(Item::Rows(stream)) => split_stream(stream.clone(), step),
        _ => return step.unsupported(),
    };
    for (number, branch) in branches {
        items.insert(format!("{}#{number}", step.must("id")), branch);
    }
    Ok(())
}

fn split_stream<V: Values>(stream: KStream<String, V>, step: Step<'_>) -> Vec<(usize, Item)> {
    let mut split = named(stream, step.text("named")).split();
    let mut branches = Vec::new();
    for (index, name) in step.list("branches").into_iter().enumerate() {
        let branch = match name {
            "-" => split.branch(|_, _| true),
            name => split.branch_as(name, |_, _| true),
        };
        branches.push((index + 1, V::stream(branch)));
    }
    match step.text("default") {
        None => split.no_default_branch(),
        Some("-") => branches.push((0, V::stream(split.default_branch()))),
        Some(name) => branches.push((0, V::stream(split.default_branch_as(name)))),
    }
    branches
}
