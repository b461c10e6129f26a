use kstreams::prelude::*;

const LINES: Topic<String, String> = Topic::new("lines");
const LONG: Topic<String, String> = Topic::new("long");
const ALL: Topic<String, String> = Topic::new("all");

fn main() {
    let builder = StreamsBuilder::new();
    let lines = builder.stream(&LINES);
    lines.filter(|_, line| line.len() > 80).to(&LONG);
    lines.to(&ALL);
}
