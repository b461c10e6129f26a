//! Record by record: calls on streams. Comes in: a step. Goes out: a stream, or nothing (`to`, `foreach`).

use kstreams::dsl::{BranchedKStream, StoreBuilder};

use super::{Calls, Stream, Variable, function, store, text_topic};
use crate::case::Step;
use crate::functions::{self, Text};
use crate::processors::CaseProcessorSupplier;

impl Calls {
    /// Record by record: stream to stream.
    pub(super) fn on_stream(&self, step: &Step) -> Stream {
        if step.op() == "merge" {
            let mut other = step.text("right");
            let right = match self.variables.get(std::mem::take(&mut other)) {
                Some(Variable::Stream(stream)) => stream.clone(),
                _ => panic!("`{}` is no stream", step.text("right")),
            };
            return self.stream(step, "left").merge(right);
        }
        let stream = self.stream(step, "in");
        match step.op() {
            "peek" => {
                let (seen, tag) = (self.seen.clone(), step.text("tag").to_owned());
                return stream.peek(move |key, value| seen.add(&tag, key, value));
            }
            "repartition" => return stream.repartition(),
            _ => {}
        }
        let name = function(step);
        match step.op() {
            "filter" => stream.filter(move |k, v| functions::predicate(&name, k.as_deref(), v.as_deref())),
            "filterNot" => {
                stream.filter_not(move |k, v| functions::predicate(&name, k.as_deref(), v.as_deref()))
            }
            "map" => stream.map(move |k, v| functions::map(&name, k.as_deref(), v.as_deref())),
            "flatMap" => stream.flat_map(move |k, v| functions::flat_map(&name, k.as_deref(), v.as_deref())),
            "selectKey" => stream.select_key(move |k, v| functions::key(&name, k.as_deref(), v.as_deref())),
            "mapValues" if name.starts_with("key") => stream
                .map_values_with_key(move |k, v| functions::map_value(&name, k.as_deref(), v.as_deref())),
            "mapValues" => stream.map_values(move |v| functions::map_value(&name, None, v.as_deref())),
            "flatMapValues" if name.starts_with("key") => stream.flat_map_values_with_key(move |k, v| {
                functions::flat_map_value(&name, k.as_deref(), v.as_deref())
            }),
            "flatMapValues" => {
                stream.flat_map_values(move |v| functions::flat_map_value(&name, None, v.as_deref()))
            }
            other => panic!("unknown operator `{other}`"),
        }
    }

    pub(super) fn split(&mut self, step: &Step) {
        let mut split: BranchedKStream<Text, Text> = self.stream(step, "in").split();
        for branch in step.parts("branches") {
            let name = function(&branch);
            let predicate = move |k: &Text, v: &Text| functions::predicate(&name, k.as_deref(), v.as_deref());
            let stream = match branch.find("name") {
                Some(suffix) => split.branch_as(suffix, predicate),
                None => split.branch(predicate),
            };
            self.variables.insert(branch.text("out").to_owned(), Variable::Stream(stream));
        }
        let Some(default) = step.part("default") else {
            return split.no_default_branch();
        };
        let stream = match default.find("name") {
            Some(suffix) => split.default_branch_as(suffix),
            None => split.default_branch(),
        };
        self.variables.insert(default.text("out").to_owned(), Variable::Stream(stream));
    }

    pub(super) fn end(&self, step: &Step) {
        let stream = self.stream(step, "in");
        match step.op() {
            "to" => stream.to(&text_topic(step.text("topic"))),
            "toDynamic" => {
                let name = function(step);
                stream.to_extractor_as(format!("extractor-{name}"), move |k, v, _| {
                    functions::topic(&name, k.as_deref(), v.as_deref())
                });
            }
            _ => {
                let (seen, tag) = (self.seen.clone(), step.text("tag").to_owned());
                stream.for_each(move |key, value| seen.add(&tag, key, &value));
            }
        }
    }

    pub(super) fn process(&self, step: &Step) -> Variable {
        let stream = self.stream(step, "in");
        let supplier = CaseProcessorSupplier::new(step);
        let make = move || supplier.get();
        let brought: Vec<StoreBuilder> = match step.flag("supplied") {
            Some(true) => step.part("storeSpec").as_ref().map(store).into_iter().collect(),
            Some(false) | None => Vec::new(),
        };
        let named: Vec<&str> = step.find("store").into_iter().filter(|_| brought.is_empty()).collect();
        Variable::Stream(match (step.op(), brought.is_empty()) {
            ("process", true) => stream.process(make, &named),
            ("process", false) => stream.process_with_stores(make, brought),
            (_, true) => stream.process_values(make, &named),
            (_, false) => stream.process_values_with_stores(make, brought),
        })
    }
}
