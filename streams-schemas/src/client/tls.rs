//! Certificates from PEM files, or the system's.

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::config::{SchemaRegistryConfig, wrong};
use crate::error::SchemaError;

/// What the connections of these settings need. `https` only: the system's certificates are not read for nothing.
pub(super) fn config(config: &SchemaRegistryConfig) -> Result<TlsConfig, SchemaError> {
    let files = &config.tls;
    let roots = match &files.ca {
        Some(path) => certificates("ssl.ca.location", path)?,
        None if config.urls.iter().any(|url| url.starts_with("https:")) => system_roots()?,
        None => Vec::new(),
    };
    let client = match (&files.certificate, &files.key) {
        (Some(chain), Some(key)) => {
            let chain = certificates("ssl.certificate.location", chain)?;
            Some(ClientCert::new_with_certs(&chain, private_key("ssl.key.location", key)?))
        }
        _ => None,
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .client_cert(client)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, SchemaError> {
    std::fs::read(path).map_err(|error| wrong(key, format!("{} cannot be read: {error}", path.display())))
}

fn certificates(key: &str, path: &Path) -> Result<Vec<Certificate<'static>>, SchemaError> {
    let pem = read(key, path)?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(wrong(key, format!("{} is damaged: {error}", path.display())))),
    });
    let found = items.collect::<Result<Vec<_>, _>>()?;
    match found.is_empty() {
        true => Err(wrong(key, format!("{} holds no certificate in PEM", path.display()))),
        false => Ok(found),
    }
}

fn private_key(key: &str, path: &Path) -> Result<PrivateKey<'static>, SchemaError> {
    // What is in the file is never part of the message.
    PrivateKey::from_pem(&read(key, path)?)
        .map_err(|_| wrong(key, format!("{} holds no private key in PEM without a password", path.display())))
}

fn system_roots() -> Result<Vec<Certificate<'static>>, SchemaError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = "is not set, and this system has no CA certificates; install them (`ca-certificates`) or name a file";
        return Err(wrong("ssl.ca.location", why));
    }
    Ok(found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}
