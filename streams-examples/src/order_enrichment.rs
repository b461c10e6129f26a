//! Order enrichment: JSON orders joined with a table of customers; enriched orders and totals per tier out.
//! Records that do not parse go to a dead-letter topic.

use kstreams::prelude::*;
use serde::{Deserialize, Serialize};

/// Input: orders by order id.
pub const ORDERS: Topic<String, Order> = Topic::new("orders");
/// Input: customers by customer id; a newer record replaces the row, a null deletes it.
pub const CUSTOMERS: Topic<String, Customer> = Topic::new("customers");
/// Output: orders by customer id, with what the table knows of the customer.
pub const ENRICHED_ORDERS: Topic<String, EnrichedOrder> = Topic::new("enriched-orders");
/// Output: running totals by tier.
pub const TIER_TOTALS: Topic<String, TierTotal> = Topic::new("tier-totals");
/// Output: records of the inputs that do not parse, as they came, with headers that say why.
pub const DEAD_LETTERS: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("dead-letters");
/// State: the totals.
pub const TOTALS: Store<String, TierTotal> = Store::new("totals");

/// What a shop sends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Order id.
    pub id: String,
    /// Customer id.
    pub customer: String,
    /// Price in cents.
    pub cents: i64,
}

/// A row of the customers table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Customer {
    /// Name.
    pub name: String,
    /// `gold`, `silver`, `bronze`.
    pub tier: String,
}

/// An order, and what is known of its customer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EnrichedOrder {
    /// The order.
    pub order: Order,
    /// Name of the customer, if the table has the customer.
    pub name: Option<String>,
    /// Tier of the customer; `unknown` if the table does not have the customer.
    pub tier: String,
}

/// What a tier has ordered so far.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct TierTotal {
    /// Number of orders.
    pub orders: i64,
    /// Sum of prices in cents.
    pub cents: i64,
}

/// Orders are rekeyed by customer, joined with the customers table, written, and summed up by tier.
pub fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let customers = builder.table(&CUSTOMERS);
    let enriched = builder
        .stream(&ORDERS)
        .select_key(|_, order| order.customer.clone())
        .left_join_table(&customers, EnrichedOrder::new);
    enriched.clone().to(&ENRICHED_ORDERS);
    enriched
        .group_by(|_, enriched| enriched.tier.clone())
        .aggregate_with(&TOTALS, TierTotal::default, |_, enriched, total| total.add(&enriched.order))
        .to_stream()
        .to(&TIER_TOTALS);
    builder.build()
}

impl EnrichedOrder {
    fn new(order: Order, customer: Option<&Customer>) -> Self {
        Self {
            order,
            name: customer.map(|customer| customer.name.clone()),
            tier: customer.map_or("unknown", |customer| &customer.tier).to_owned(),
        }
    }
}

impl TierTotal {
    fn add(&mut self, order: &Order) {
        self.orders += 1;
        self.cents += order.cents;
    }
}
