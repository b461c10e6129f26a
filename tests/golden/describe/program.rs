//! The recorded programs: their settings, steps and stores.

use std::time::Duration;

use serde_json::Value;
use streams_core::topology::TopicDefaults;

/// `application.id` of the recordings.
pub(crate) const APPLICATION: &str = "app";

/// What a recorded application says about its internal topics.
pub(crate) fn topic_defaults(golden: &Value) -> TopicDefaults {
    let mut defaults = TopicDefaults::default();
    for (key, value) in entries(&golden["config"]) {
        let value = value.as_str().unwrap();
        if let Some(key) = key.strip_prefix("topic.") {
            defaults.properties.insert(key.to_owned(), value.to_owned());
        }
        if key == "windowstore.changelog.additional.retention.ms" {
            defaults.window_additional_retention_ms = value.parse().unwrap();
        }
    }
    defaults
}

/// The strings of a JSON list.
pub(crate) fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// The entries of a JSON object.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// A step of a program.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a>(pub(crate) &'a Value);

impl<'a> Step<'a> {
    /// A text, if it is there.
    pub(crate) fn text(self, field: &str) -> Option<&'a str> {
        self.0[field].as_str()
    }

    /// A text that must be there.
    pub(crate) fn must(self, field: &str) -> &'a str {
        self.text(field).unwrap_or_else(|| panic!("`{field}` is not in {}", self.0))
    }

    /// A number, if it is there.
    pub(crate) fn number(self, field: &str) -> Option<i64> {
        self.0[field].as_i64()
    }

    /// The operator.
    pub(crate) fn op(self) -> &'a str {
        self.must("op")
    }

    /// A list of texts; empty if it is not there.
    pub(crate) fn list(self, field: &str) -> Vec<&'a str> {
        strings(&self.0[field])
    }

    /// Whether the field is there.
    pub(crate) fn has(self, field: &str) -> bool {
        !self.0[field].is_null()
    }

    /// Milliseconds that must be there.
    pub(crate) fn millis(self, field: &str) -> Duration {
        let millis = self.0[field].as_u64();
        Duration::from_millis(millis.unwrap_or_else(|| panic!("`{field}` is no number in {}", self.0)))
    }

    /// Milliseconds, or so many if they are not there.
    pub(crate) fn millis_or(self, field: &str, default: u64) -> Duration {
        if self.has(field) { self.millis(field) } else { Duration::from_millis(default) }
    }

    /// Texts by name.
    pub(crate) fn entries(self, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.0[field]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
    }

    /// Refuses the step if one of these fields is there.
    pub(crate) fn without(self, fields: &[&str]) -> Result<(), Unsupported> {
        match fields.iter().find(|field| self.has(field)) {
            None => Ok(()),
            Some(field) => Err(Unsupported(format!("{} with {field}", self.op()))),
        }
    }

    /// The step is not supported.
    pub(crate) fn unsupported<T>(self) -> Result<T, Unsupported> {
        Err(Unsupported(self.op().to_owned()))
    }
}

/// What this library cannot do.
pub(crate) struct Unsupported(pub(crate) String);

/// The rows that a supplier of window stores keeps.
pub(crate) fn window_retention(step: Step<'_>) -> streams_core::dsl::WindowRetention {
    streams_core::dsl::WindowRetention::new(step.millis_or("wret", 60_000), step.millis_or("wsize", 1000))
}

/// Stores of the catalogue.
pub(crate) fn store_builder(step: Step<'_>) -> Result<streams_core::dsl::StoreBuilder, Unsupported> {
    use streams_core::dsl::Stores;
    let store: streams_core::topic::Store<String, i64> =
        streams_core::topic::Store::named(step.must("store"));
    let mut builder = match step.must("kind") {
        "kv_rocks" => Stores::key_value(&store),
        "kv_ts" => Stores::timestamped_key_value(&store),
        "kv_headers" => Stores::timestamped_key_value_with_headers(&streams_core::topic::Store::<
            String,
            streams_core::types::ValueAndHeaders<i64>,
        >::named(step.must("store"))),
        "kv_mem" => Stores::key_value(&store).in_memory(),
        "kv_lru" => Stores::lru_map(&store, 100),
        "versioned" => Stores::versioned(&store, step.millis_or("wret", 60_000)),
        "win_rocks" => Stores::window(&store, window_retention(step)),
        "win_dup" => Stores::window(&store, window_retention(step).retain_duplicates()),
        "win_mem" => Stores::window(&store, window_retention(step)).in_memory(),
        "win_mem_dup" => Stores::window(&store, window_retention(step).retain_duplicates()).in_memory(),
        "win_ts" => Stores::timestamped_window(&store, window_retention(step)),
        "sess_rocks" => Stores::session(&store, step.millis_or("wret", 60_000)),
        "sess_mem" => Stores::session(&store, step.millis_or("wret", 60_000)).in_memory(),
        other => return Err(Unsupported(format!("store {other}"))),
    };
    if step.text("logging") == Some("off") {
        builder = builder.logging(false);
    }
    if step.text("caching") == Some("on") {
        builder = builder.caching(true);
    }
    for (key, value) in step.entries("cfg") {
        builder = builder.changelog_config(key, value);
    }
    Ok(builder)
}
