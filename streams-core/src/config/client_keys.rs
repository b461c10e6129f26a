//! The settings of Kafka's clients: Java's names, and librdkafka's where they differ.
//!
//! `client_keys.txt` has a line for each: the name, and which clients know it (`c`onsumer, `p`roducer, `a`dmin).

use std::sync::LazyLock;

/// The names and their clients.
static CLIENT_KEYS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    include_str!("client_keys.txt").lines().filter_map(|line| line.split_once(' ')).collect()
});

/// Names of all client settings.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CLIENT_KEYS.iter().map(|(name, _)| *name)
}

/// Whether a client knows this setting.
pub(crate) fn is_known(key: &str) -> bool {
    names().any(|name| name == key)
}

/// Whether the client `role` (`c`, `p` or `a`) knows this setting.
pub(crate) fn is_of(role: char, key: &str) -> bool {
    CLIENT_KEYS.iter().any(|(name, roles)| *name == key && roles.contains(role))
}

/// Whether the value of this setting must not be shown.
pub(crate) fn is_secret(key: &str) -> bool {
    let hidden =
        ["password", "passphrase", "secret", "jaas", "token", "credential", "keystore.key", "key.pem"];
    let key = key.to_ascii_lowercase();
    hidden.iter().any(|word| key.contains(word)) && !key.ends_with(".location") && !key.ends_with(".url")
}
