//! Kafka through librdkafka. (in work)
