//! The listening socket and its thread: opened before `start` returns, closed by a deadline.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use streams_core::runtime::StreamsMonitor;

use crate::config::{HttpConfig, HttpError, Tls};
use crate::routes::{Site, router};
use crate::work::Watch;

/// Requests that wait for stores at once; others wait for these.
const ASKING_THREADS_MAX: usize = 16;

/// The endpoints of an application, on a thread of their own. Dropping it closes them.
pub struct HttpServer {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Opens the endpoints and answers from then on what `monitor` sees.
    ///
    /// # Errors
    /// The address is not loopback, and TLS or the token is missing; the port is in use; a certificate cannot be used.
    pub fn start(config: HttpConfig, monitor: StreamsMonitor) -> Result<Self, HttpError> {
        config.check()?;
        let tls = config.tls.as_ref().map(server_config).transpose()?;
        let bind = |source| HttpError::Bind { bind: config.bind, source };
        let listener = TcpListener::bind(config.bind).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(ASKING_THREADS_MAX)
            .build();
        let runtime = runtime.map_err(HttpError::Thread)?;
        let HttpConfig { token, ready_lag_max, stores, .. } = config;
        let work = Arc::new(Watch::new(&monitor));
        let site = Site { monitor, work, token, ready_lag_max, stores };
        let service = router(Arc::new(site)).into_make_service();
        let handle = Handle::new();
        let watched = handle.clone();
        let thread = std::thread::Builder::new()
            .name("kstreams-http".to_owned())
            .spawn(move || {
                let served = runtime.block_on(async {
                    match tls {
                        Some(tls) => {
                            let tls = RustlsConfig::from_config(tls);
                            from_tcp_rustls(listener, tls)?.handle(watched).serve(service).await
                        }
                        None => axum_server::from_tcp(listener)?.handle(watched).serve(service).await,
                    }
                });
                if let Err(error) = served {
                    tracing::error!("the HTTP endpoints on {address} ended: {error}");
                }
            })
            .map_err(HttpError::Thread)?;
        tracing::info!("HTTP endpoints on {address}");
        Ok(Self { address, handle, thread: Some(thread) })
    }

    /// Where it listens: the port that was taken, if it was to be a free one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, and waits up to `timeout` for those that are being answered.
    pub fn close(mut self, timeout: Duration) {
        self.end(timeout);
    }

    fn end(&mut self, timeout: Duration) {
        self.handle.graceful_shutdown(Some(timeout));
        if let Some(thread) = self.thread.take() {
            // It says itself what went wrong.
            let _ = thread.join();
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// TLS 1.2 and 1.3 with this certificate.
fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, HttpError> {
    let refused = |path: &Path, reason: String| HttpError::Certificate { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(&tls.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            refused(&tls.certificates, format!("no certificate can be read from it: {error}"))
        })?;
    if certificates.is_empty() {
        return Err(refused(&tls.certificates, "there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| refused(&tls.key, format!("no private key can be read from it: {error}")))?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map(Arc::new)
        .map_err(|error| refused(&tls.certificates, error.to_string()))
}
