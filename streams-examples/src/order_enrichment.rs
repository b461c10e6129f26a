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
        .fold(&TOTALS, |_, enriched, total| total.add(&enriched.order))
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

#[cfg(test)]
mod tests {
    use super::*;
    use kstreams::testing::DriverConfig;
    use std::sync::Arc;

    fn driver() -> TopologyTestDriver {
        let handler = Arc::new(DeadLetterQueue::new(DEAD_LETTERS.name()));
        let config = DriverConfig { deserialization_exception_handler: handler, ..DriverConfig::default() };
        TopologyTestDriver::with_config(topology().unwrap(), config).unwrap()
    }

    fn order(customer: &str, cents: i64) -> Order {
        Order { id: "o1".to_owned(), customer: customer.to_owned(), cents }
    }

    #[test]
    fn joins_orders_with_customers_and_adds_them_up() {
        let driver = driver();
        driver.input(&CUSTOMERS).pipe("ada", Customer { name: "Ada".to_owned(), tier: "gold".to_owned() });
        driver.input(&ORDERS).pipe("o1", order("ada", 150));
        driver.input(&ORDERS).pipe("o2", order("ada", 50));
        driver.input(&ORDERS).pipe("o3", order("nobody", 7));
        let enriched = driver.output(&ENRICHED_ORDERS).read_all();
        assert_eq!(enriched[0].1.name.as_deref(), Some("Ada"));
        assert_eq!(enriched[2], ("nobody".to_owned(), EnrichedOrder::new(order("nobody", 7), None)));
        let totals = driver.output(&TIER_TOTALS).read_key_values();
        assert_eq!(totals["gold"], TierTotal { orders: 2, cents: 200 });
        assert_eq!(totals["unknown"], TierTotal { orders: 1, cents: 7 });
    }

    #[test]
    fn records_that_do_not_parse_go_to_the_dead_letter_topic() {
        let driver = driver();
        driver.input(&ORDERS).pipe_raw(Some(b"o1"), Some(b"{\"id\": \"o1\", \"cust")).unwrap();
        driver.input(&ORDERS).pipe("o2", order("nobody", 7));
        let letters = driver.output(&DEAD_LETTERS).read_records();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].value.as_deref(), Some(&b"{\"id\": \"o1\", \"cust"[..]));
        assert!(letters[0].headers.last("__streams.errors.message").is_some());
        assert_eq!(driver.output(&ENRICHED_ORDERS).len(), 1);
    }
}
