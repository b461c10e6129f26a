//! The edge to a running application: its HTTP endpoints (`streams-http`).

use std::path::Path;
use std::time::Duration;

use ureq::Agent;

use crate::Error;
use crate::options::Http;

/// Deadline of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one application.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    /// A client of the application at `url`, whose path is left out.
    pub(crate) fn new(url: &str, http: &Http) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let secure = match scheme {
            "http" => false,
            "https" => true,
            other => return Err(format!("`{url}`: the endpoints speak http and https, not {other}").into()),
        };
        let host = rest.split('/').next().unwrap_or_default();
        let builder = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
        let agent = match secure {
            true => tls::configure(builder, http.ca_file.as_deref())?,
            false => builder.build().new_agent(),
        };
        Ok(Self { agent, base: format!("{scheme}://{host}"), token: http.token.clone() })
    }

    /// Where it asks.
    pub(crate) fn address(&self) -> &str {
        &self.base
    }

    /// The text at `path`.
    pub(crate) fn get(&self, path: &str) -> Result<String, Error> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.get(&url);
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let unreachable = |error: ureq::Error| -> Error {
            format!("no application answers at {url}: {error}; is it running, with its HTTP endpoints there?")
                .into()
        };
        let mut answer = request.call().map_err(unreachable)?;
        match answer.status().as_u16() {
            200 => answer.body_mut().read_to_string().map_err(unreachable),
            401 => Err(format!("{url} wants a token: give --token, or set KSTREAMS_TOKEN").into()),
            code => Err(format!(
                "{url} answers {code}: these are not the endpoints of an application of kstreams"
            )
            .into()),
        }
    }
}

#[cfg(feature = "https")]
mod tls {
    use std::sync::Arc;

    use ureq::config::ConfigBuilder;
    use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
    use ureq::typestate::AgentScope;

    use super::{Agent, Error, Path};

    /// Trusts the certificates in `ca`, or those that the system trusts.
    pub(super) fn configure(builder: ConfigBuilder<AgentScope>, ca: Option<&Path>) -> Result<Agent, Error> {
        let roots = match ca {
            Some(path) => certificates(path)?,
            None => {
                let found = rustls_native_certs::load_native_certs().certs;
                found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(provider);
        Ok(builder.tls_config(tls.build()).build().new_agent())
    }

    fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
        let pem =
            std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let items = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        });
        let found: Vec<_> = items.collect();
        match found.is_empty() {
            true => Err(format!("{} holds no certificate in PEM", path.display()).into()),
            false => Ok(found),
        }
    }
}

#[cfg(not(feature = "https"))]
mod tls {
    use ureq::config::ConfigBuilder;
    use ureq::typestate::AgentScope;

    use super::{Agent, Error, Path};

    pub(super) fn configure(_: ConfigBuilder<AgentScope>, _: Option<&Path>) -> Result<Agent, Error> {
        Err("this program was built without https: build it with the feature `https`".into())
    }
}
