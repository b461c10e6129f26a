//! Where the endpoints listen, who may ask, and why they could not be opened.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::stores::StoreRoutes;

/// A certificate and its key, both PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate, and those between it and the root, in this order.
    pub certificates: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where and to whom the endpoints answer.
#[derive(Clone)]
pub struct HttpConfig {
    /// Address and port; port 0 takes a free one. Default: `127.0.0.1:8080`.
    pub bind: SocketAddr,
    /// What each request has to bring as `Authorization: Bearer ...`. Default: none. Never shown in a log.
    pub token: Option<String>,
    /// Encryption. Default: none.
    pub tls: Option<Tls>,
    /// More records than this behind the ends of the inputs, and the instance is not ready. Default: any lag is.
    pub ready_lag_max: Option<u64>,
    /// Stores that may be asked. Default: none.
    pub stores: StoreRoutes,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))
    }
}

impl HttpConfig {
    /// Listens there, otherwise as by default.
    #[must_use]
    pub fn on(bind: SocketAddr) -> Self {
        Self { bind, token: None, tls: None, ready_lag_max: None, stores: StoreRoutes::new() }
    }

    /// What is missing for an address that other machines reach.
    pub(crate) fn check(&self) -> Result<(), HttpError> {
        let missing = match (&self.tls, &self.token) {
            _ if self.bind.ip().is_loopback() => None,
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some("TLS"),
            (Some(_), None) => Some("a token"),
            (None, None) => Some("TLS and a token"),
        };
        let empty = self.token.as_deref().is_some_and(|token| token.trim().is_empty());
        match missing {
            Some(missing) => Err(HttpError::Open { bind: self.bind, missing }),
            None if empty => Err(HttpError::EmptyToken),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig")
            .field("bind", &self.bind)
            .field("token", &self.token.as_ref().map(|_| "[hidden]"))
            .field("tls", &self.tls)
            .field("ready_lag_max", &self.ready_lag_max)
            .field("stores", &self.stores)
            .finish()
    }
}

/// Why the endpoints could not be opened.
#[derive(thiserror::Error, Debug)]
pub enum HttpError {
    /// Other machines could ask, unseen.
    #[error(
        "{bind} can be reached by other machines, and {missing} is missing; set it, or bind to 127.0.0.1"
    )]
    Open {
        /// The address asked for.
        bind: SocketAddr,
        /// What it needs.
        missing: &'static str,
    },
    /// A token that anybody has.
    #[error("the token is empty; set one, or none at all on the loopback interface")]
    EmptyToken,
    /// The port is in use, or the address is not this machine's.
    #[error("cannot listen on {bind}: {source}; choose another port, or 0 for a free one")]
    Bind {
        /// The address asked for.
        bind: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or key that cannot be used.
    #[error("{}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no thread to give.
    #[error("cannot start the thread of the HTTP endpoints: {0}")]
    Thread(std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_tls_and_a_token() {
        let token = || Some("secret".to_owned());
        let tls = || Some(Tls { certificates: "c.pem".into(), key: "k.pem".into() });
        let on = |bind: &str, token, tls| HttpConfig { token, tls, ..HttpConfig::on(bind.parse().unwrap()) };
        let missing = |config: HttpConfig| config.check().err().map(|error| error.to_string());
        for bind in ["127.0.0.1:0", "127.8.8.8:80", "[::1]:80"] {
            assert_eq!(missing(on(bind, None, None)), None);
        }
        for bind in ["0.0.0.0:80", "[::]:80", "192.168.1.5:80"] {
            assert!(missing(on(bind, None, None)).unwrap().contains("TLS and a token is missing"), "{bind}");
            assert!(missing(on(bind, token(), None)).unwrap().contains("and TLS is missing"), "{bind}");
            assert!(missing(on(bind, None, tls())).unwrap().contains("and a token is missing"), "{bind}");
            assert_eq!(missing(on(bind, token(), tls())), None);
        }
        assert!(missing(on("127.0.0.1:0", Some(" ".to_owned()), None)).unwrap().contains("empty"));
        assert!(!format!("{:?}", on("127.0.0.1:0", token(), None)).contains("secret"));
    }
}
