//! Kafka's semantics in this process: topics, transactions, groups. (in work)
