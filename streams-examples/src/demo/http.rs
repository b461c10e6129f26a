//! The HTTP endpoints of an example: options -> a server beside the application, until the application is dropped.

use kstreams::prelude::*;

use super::{Failure, Options};

#[cfg(feature = "http")]
pub(super) struct Http {
    config: Option<kstreams::http::HttpConfig>,
    server: std::sync::OnceLock<kstreams::http::HttpServer>,
}

#[cfg(feature = "http")]
impl Http {
    pub(super) fn of(options: &Options) -> Result<Self, Failure> {
        use kstreams::http::{HttpConfig, Tls};
        let files = options.http_certificate.clone().zip(options.http_key.clone());
        let config = options.http.map(|bind| HttpConfig {
            token: options.http_token.clone(),
            tls: files.map(|(certificates, key)| Tls { certificates, key }),
            ..HttpConfig::on(bind)
        });
        Ok(Self { config, server: std::sync::OnceLock::new() })
    }

    /// Opens them; before the start, so that they answer while the application starts.
    pub(super) fn open(&self, streams: &KafkaStreams) -> Result<(), Failure> {
        if let Some(config) = &self.config {
            let server = kstreams::http::HttpServer::start(config.clone(), streams.monitor())?;
            eprintln!("HTTP endpoints on {}", server.address());
            // The first start keeps its own.
            let _ = self.server.set(server);
        }
        Ok(())
    }
}

#[cfg(not(feature = "http"))]
pub(super) struct Http;

#[cfg(not(feature = "http"))]
impl Http {
    pub(super) fn of(options: &Options) -> Result<Self, Failure> {
        match options.http {
            None => Ok(Self),
            Some(_) => {
                Err("this binary was built without HTTP endpoints; build it with --features http".into())
            }
        }
    }

    pub(super) fn open(&self, _streams: &KafkaStreams) -> Result<(), Failure> {
        Ok(())
    }
}
