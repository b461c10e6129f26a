use kstreams::prelude::*;

const LINES: Topic<String, String> = Topic::new("lines");
const LENGTHS: Topic<String, String> = Topic::new("lengths");

fn main() {
    let builder = StreamsBuilder::new();
    builder.stream(&LINES).map_values(|line| line.len() as i64).to(&LENGTHS);
}
