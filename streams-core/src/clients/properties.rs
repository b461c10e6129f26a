//! What the settings of producers and consumers have in common: a table of the keys that have a field, and the check of
//! all others.
//!
//! In: properties under Kafka's names. Out: fields set, the rest for the client, or every fault at once.

use std::collections::BTreeMap;

use crate::config::{ConfigError, client_keys, nearest};

/// Takes a value into the settings; the error is what follows "must be".
pub(super) type Setter<C> = fn(&mut C, &str) -> Result<(), String>;

/// Sets a field, if the value is one.
pub(super) fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

/// Kafka's text of an enum, from a table of both.
pub(super) fn name_of<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

/// The value of an enum, from a table of both.
pub(super) fn value_of<T: Copy>(table: &[(&'static str, T)], text: &str) -> Result<T, String> {
    let names: Vec<String> = table.iter().map(|(name, _)| format!("`{name}`")).collect();
    let found = table.iter().find(|(name, _)| *name == text.trim());
    found.map(|(_, value)| *value).ok_or_else(|| format!("one of {}", names.join(", ")))
}

/// Settings of one kind of client.
pub(super) struct Keys<C: 'static> {
    /// `c` or `p`, as `client_keys` has it.
    pub(super) role: char,
    /// Keys that have a field.
    pub(super) fields: &'static [(&'static str, Setter<C>)],
    /// Keys that only the library sets, or that are given elsewhere: the key, and why.
    pub(super) refused: &'static [(&'static str, &'static str)],
}

/// Given when a client is made, so that a file of properties may have them.
const GIVEN: [&str; 5] =
    ["bootstrap.servers", "key.serializer", "value.serializer", "key.deserializer", "value.deserializer"];

impl<C> Keys<C> {
    /// Sets the fields that have a key in `properties`; gives the rest, for the client, and all faults.
    pub(super) fn read(
        &self,
        config: &mut C,
        properties: BTreeMap<String, String>,
    ) -> (BTreeMap<String, String>, Vec<String>) {
        let (mut rest, mut faults) = (BTreeMap::new(), Vec::new());
        for (key, value) in properties {
            match self.fields.iter().find(|(name, _)| *name == key) {
                Some((_, setter)) => {
                    let shown = if client_keys::is_secret(&key) { "(hidden)" } else { value.trim() };
                    let taken = setter(config, &value);
                    faults.extend(taken.err().map(|must| format!("`{key}` is `{shown}`; it must be {must}")));
                }
                None if GIVEN.contains(&key.as_str()) => {}
                None => {
                    rest.insert(key, value.trim().to_owned());
                }
            }
        }
        (rest, faults)
    }

    /// What is wrong with properties that go to the client as they are.
    pub(super) fn faults_of(&self, properties: &BTreeMap<String, String>) -> Vec<String> {
        properties.keys().filter_map(|key| self.fault_of(key)).collect()
    }

    fn fault_of(&self, key: &str) -> Option<String> {
        if self.fields.iter().any(|(name, _)| *name == key) {
            return Some(format!("`{key}` among the properties has no effect: set its field"));
        }
        if let Some((_, why)) = self.refused.iter().find(|(name, _)| *name == key) {
            return Some(format!("`{key}` {why}"));
        }
        if client_keys::is_of(self.role, key) {
            return None;
        }
        let fields = self.fields.iter().map(|(name, _)| *name);
        let names = fields.chain(client_keys::names().filter(|name| client_keys::is_of(self.role, name)));
        let client = if self.role == 'p' { "producer" } else { "consumer" };
        Some(match nearest(key, names) {
            Some(near) => format!("`{key}` is no setting of a {client}; did you mean `{near}`?"),
            None => format!("`{key}` is no setting of a {client}; remove it"),
        })
    }
}

/// Nothing, if there are no faults.
pub(super) fn check(faults: Vec<String>) -> Result<(), ConfigError> {
    ConfigError::unless_none(faults)
}
