//! TLS to the server, as the `sslmode` of the URL wants it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::location::{PostgresLocation, SslMode};
use crate::crypto::certificates::{AnyName, provider};
use crate::error::{ErrorKind, WorldError};

/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What makes TLS connections to this server.
pub(super) fn connector(location: &PostgresLocation) -> Result<MakeRustlsConnect, WorldError> {
    let verifier: Arc<dyn ServerCertVerifier> = match location.ssl_mode {
        SslMode::VerifyFull => {
            WebPkiServerVerifier::builder_with_provider(roots(location)?.into(), provider())
                .build()
                .map_err(|error| bad(&format!("holds no usable authority: {error}")))?
        }
        SslMode::VerifyCa => Arc::new(AnyName::of(roots(location)?)),
        // As libpq does: a file of authorities is there to be used.
        SslMode::Require if location.root_certificates.is_some() => {
            Arc::new(AnyName::of(roots(location)?))
        }
        _ => Arc::new(AnyName::of_anybody()),
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &location.client_certificate {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|_| unreadable(key))?;
            config
                .with_client_auth_cert(certificates(certificate)?, key)
                .map_err(|error| bad(&format!("and its key do not fit: {error}")))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn bad(why: &str) -> WorldError {
    WorldError::new(
        ErrorKind::BadConfig,
        format!("a certificate file of WORKFLOW_HOOKLINE_URL {why}"),
    )
}

fn unreadable(path: &Path) -> WorldError {
    bad(&format!("cannot be read as PEM: {}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, WorldError> {
    let read = || CertificateDer::pem_file_iter(path).ok()?.collect::<Result<Vec<_>, _>>().ok();
    read().filter(|found| !found.is_empty()).ok_or_else(|| unreadable(path))
}

fn roots(location: &PostgresLocation) -> Result<RootCertStore, WorldError> {
    let of_system =
        || SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| fs::metadata(path).is_ok());
    let path = match &location.root_certificates {
        Some(path) => path,
        None => of_system().ok_or_else(|| {
            WorldError::new(
                ErrorKind::BadConfig,
                "this system has no file of trusted authorities; name one with sslrootcert in the \
                 Postgres URL",
            )
        })?,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(path)?);
    Ok(roots)
}
