//! Tokens of SASL OAUTHBEARER, from a provider that the application gives.

use std::error::Error;
use std::fmt;
use std::time::SystemTime;

/// Gives the tokens with which the clients of an application say who they are (`sasl.mechanism=OAUTHBEARER`).
///
/// Each client asks when it is made, and again when four fifths of the time until the token expires have passed; it goes on with the old
/// one meanwhile. It asks on a thread of its own, so that a provider may take its time. One that fails is asked again after 10 seconds.
///
/// ```
/// use std::{collections::BTreeMap, error::Error, sync::Arc, time::{Duration, SystemTime}};
/// use streams_core::client::rdkafka::{RdKafka, Token, TokenProvider};
///
/// /// A token that something else keeps fresh in a file, as Kubernetes does.
/// struct Projected;
///
/// impl TokenProvider for Projected {
///     fn token(&self) -> Result<Token, Box<dyn Error + Send + Sync>> {
///         let value = std::fs::read_to_string("/var/run/secrets/tokens/kafka")?;
///         let expires = SystemTime::now() + Duration::from_secs(600);
///         Ok(Token { value, expires, principal: "orders".to_owned(), extensions: Vec::new() })
///     }
/// }
///
/// let settings = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER")];
/// let properties: BTreeMap<_, _> = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
/// let kafka = RdKafka::new("localhost:9096", properties).with_tokens(Arc::new(Projected));
/// ```
pub trait TokenProvider: Send + Sync {
    /// A token that is valid now.
    ///
    /// # Errors
    /// There is none at the moment: one sentence, which must not hold a secret, since it is logged and reported.
    fn token(&self) -> Result<Token, Box<dyn Error + Send + Sync>>;
}

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What is sent: a JWT in compact form.
    pub value: String,
    /// When it stops being valid.
    pub expires: SystemTime,
    /// Whom it is for. Brokers decide by the token itself; this is for messages.
    pub principal: String,
    /// SASL extensions (KIP-342), sent beside it.
    pub extensions: Vec<(String, String)>,
}

/// Without the token itself.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.extensions.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Token")
            .field("expires", &self.expires)
            .field("principal", &self.principal)
            .field("extensions", &names)
            .finish_non_exhaustive()
    }
}
