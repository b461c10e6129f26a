//! TLS with certificates of our own making. Can catch: a client that trusts who it should not, or an error that does not say that it is
//! the certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use streams_schemas::{HttpRegistry, Registry, SchemaError, SchemaRegistryConfig};
use streams_state::serdes::SerdeErrorKind;

use crate::gate::{Gate, Step};

const STEPS: &[Step] = &[Step::Say(200, r#"["a"]"#)];

/// An authority, and the folder where its certificates are.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn ca(&self) -> String {
        self.path("ca.pem").display().to_string()
    }

    /// A certificate for `name`, as files `<file>.pem` and `<file>.key`.
    fn issue(&self, file: &str, name: &str, expired: bool) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// A server with the certificate `file`, which wants one of the client, too, if `mutual`.
    fn server(&self, file: &str, mutual: bool) -> Gate {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let builder = match mutual {
            true => builder.unwrap().with_client_cert_verifier(verifier),
            false => builder.unwrap().with_no_client_auth(),
        };
        let chain = vec![CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).unwrap();
        Gate::start_tls(STEPS, Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

fn ask(port: u16, files: &[(&str, &str)]) -> Result<Vec<String>, SchemaError> {
    let url = format!("https://127.0.0.1:{port}");
    let all = [("schema.registry.url", url.as_str()), ("request.deadline.ms", "20000")];
    let config = SchemaRegistryConfig::from_properties(all.iter().chain(files).copied())?;
    HttpRegistry::new(&config)?.subjects()
}

fn refused(result: Result<Vec<String>, SchemaError>, expected: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, SchemaError::Tls { .. }), "{expected}: {error:?}");
    assert_eq!(error.kind(), SerdeErrorKind::Setup);
    assert!(error.to_string().contains(expected), "{expected}: {error}");
    assert!(error.to_string().contains("ssl.ca.location"), "the way out: {error}");
}

#[test]
fn only_who_was_signed_by_the_authority_is_trusted() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    ours.issue("good", "127.0.0.1", false);
    ours.issue("other", "elsewhere", false);
    ours.issue("old", "127.0.0.1", true);
    theirs.issue("good", "127.0.0.1", false);
    let ca = ours.ca();
    let trusting: &[(&str, &str)] = &[("ssl.ca.location", &ca)];
    assert_eq!(ask(ours.server("good", false).port, trusting).unwrap(), ["a"]);
    refused(ask(theirs.server("good", false).port, trusting), "UnknownIssuer");
    refused(ask(ours.server("other", false).port, trusting), "elsewhere");
    refused(ask(ours.server("old", false).port, trusting), "expired");
    refused(ask(Gate::start(STEPS).port, trusting), "TLS failed");
}

#[test]
fn who_asks_shows_a_certificate_if_the_registry_wants_one() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    ours.issue("server", "127.0.0.1", false);
    ours.issue("me", "me", false);
    theirs.issue("me", "me", false);
    let (ca, port) = (ours.ca(), ours.server("server", true).port);
    let files =
        |authority: &Authority| ["me.pem", "me.key"].map(|file| authority.path(file).display().to_string());
    let with = |[certificate, key]: [String; 2]| {
        ask(
            port,
            &[
                ("ssl.ca.location", &ca),
                ("ssl.certificate.location", &certificate),
                ("ssl.key.location", &key),
            ],
        )
    };
    assert_eq!(with(files(&ours)).unwrap(), ["a"]);
    refused(with(files(&theirs)), "TLS failed");
    refused(ask(port, &[("ssl.ca.location", &ca)]), "TLS failed");
}

#[test]
fn files_that_are_no_certificates_are_named_without_what_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    std::fs::write(path("empty.pem"), "").unwrap();
    std::fs::write(path("secret.pem"), "-----BEGIN PRIVATE KEY-----\ns3cret!\n-----END PRIVATE KEY-----\n")
        .unwrap();
    let authority = Authority::new("ours");
    let named = |key: &str, file: &Path| {
        let (ca, file) = (authority.ca(), file.display().to_string());
        let other = if key == "ssl.key.location" { "ssl.certificate.location" } else { "ssl.key.location" };
        let mut files = vec![(key, file.as_str())];
        if key != "ssl.ca.location" {
            files.push((other, &ca));
        }
        let error = ask(1, &files).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(&file) && !error.contains("s3cret"), "{error}");
    };
    named("ssl.ca.location", &path("missing.pem"));
    named("ssl.ca.location", &path("empty.pem"));
    named("ssl.key.location", &path("empty.pem"));
    named("ssl.key.location", &path("secret.pem"));
    named("ssl.certificate.location", &path("empty.pem"));
}
