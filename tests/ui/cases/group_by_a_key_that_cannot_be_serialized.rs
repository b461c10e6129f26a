use kstreams::prelude::*;

#[derive(Clone)]
struct Customer(String);

const ORDERS: Topic<String, String> = Topic::new("orders");

fn main() {
    let builder = StreamsBuilder::new();
    builder.stream(&ORDERS).group_by(|_, order| Customer(order.clone())).count();
}
