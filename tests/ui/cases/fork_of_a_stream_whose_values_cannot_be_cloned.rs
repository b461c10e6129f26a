use kstreams::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    cents: i64,
}

const ORDERS: Topic<String, Order> = Topic::new("orders");
const LARGE: Topic<String, Order> = Topic::new("large");
const SMALL: Topic<String, Order> = Topic::new("small");

fn main() {
    let builder = StreamsBuilder::new();
    let orders = builder.stream(&ORDERS);
    orders.clone().filter(|_, order| order.cents > 100).to(&LARGE);
    orders.filter_not(|_, order| order.cents > 100).to(&SMALL);
}
