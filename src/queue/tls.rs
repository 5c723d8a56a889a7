//! TLS to the app.
//!
//! On an address of this host any certificate is accepted: the app proves by its answer that it is the
//! app, and the bytes do not leave the host. Elsewhere the certificate must be one that Node.js trusts.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::crypto::certificates::{AnyName, provider};

/// The certificates that Node.js trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Certificates of authorities, in PEM.
    pub authorities: Vec<String>,
    /// Whether Node.js accepts every certificate (`NODE_TLS_REJECT_UNAUTHORIZED=0`).
    pub any: bool,
}

/// Opens TLS connections.
pub(super) struct TlsClient {
    trusted: Trusted,
    here: OnceLock<TlsConnector>,
    elsewhere: OnceLock<Result<TlsConnector, Error>>,
}

impl TlsClient {
    pub(super) fn new(trusted: Trusted) -> Self {
        Self { trusted, here: OnceLock::new(), elsewhere: OnceLock::new() }
    }

    /// Makes a connection a TLS connection. `host` is the name or address that the certificate must
    /// have, unless the other end is on this host.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        host: &str,
        is_of_this_host: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = match is_of_this_host || self.trusted.any {
            true => self.here.get_or_init(|| connector(Arc::new(AnyName::of_anybody()))),
            false => {
                let elsewhere = self.elsewhere.get_or_init(|| {
                    Authorities::of(&self.trusted).map(|trusted| connector(Arc::new(trusted)))
                });
                elsewhere.as_ref().map_err(|error| io::Error::other(error.clone()))?
            }
        };
        connector.connect(name, stream).await
    }
}

/// Whether a TLS connection failed because of the certificate.
pub(super) fn is_untrusted(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidCertificate(_) | Error::General(_)))
}

fn connector(verifier: Arc<dyn ServerCertVerifier>) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for the default versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Accepts a certificate of an authority, and one that is itself among the authorities: Node.js trusts
/// a self-signed certificate in `NODE_EXTRA_CA_CERTS`.
#[derive(Debug)]
struct Authorities {
    authorities: Arc<WebPkiServerVerifier>,
    themselves: Vec<CertificateDer<'static>>,
    of_any: AnyName,
}

impl Authorities {
    fn of(trusted: &Trusted) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        let mut themselves = Vec::new();
        for text in &trusted.authorities {
            // Node.js skips what it cannot read, too.
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()).flatten() {
                let _ = roots.add(certificate.clone());
                themselves.push(certificate);
            }
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
            .build()
            .map_err(|_| Error::General("Node.js trusts no authority".into()))?;
        Ok(Self { authorities, themselves, of_any: AnyName::of_anybody() })
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let by_authority = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        if by_authority.is_err() && self.themselves.iter().any(|it| it == end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        by_authority
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_any.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_any.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.of_any.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const AUTHORITY: &str = include_str!("../../tests/fixtures/tls/authority.pem");
    const SIGNED: &str = include_str!("../../tests/fixtures/tls/signed.pem");
    const SELF_SIGNED: &str = include_str!("../../tests/fixtures/tls/self-signed.pem");
    const KEY: &str = include_str!("../../tests/fixtures/tls/key.pem");

    /// Whether a client connects to a server with this certificate, at this name.
    async fn connects(trusted: Trusted, certificate: &str, host: &str, here: bool) -> bool {
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            drop(TlsAcceptor::from(Arc::new(config)).accept(stream).await);
        };
        let client = async {
            let stream = TcpStream::connect(at).await.unwrap();
            TlsClient::new(trusted).secure(stream, host, here).await.map(drop)
        };
        let ((), connected) = tokio::join!(server, client);
        assert!(connected.as_ref().err().is_none_or(is_untrusted), "{connected:?}");
        connected.is_ok()
    }

    fn of(authorities: &[&str]) -> Trusted {
        let authorities = authorities.iter().map(|text| (*text).to_owned()).collect();
        Trusted { authorities, any: false }
    }

    #[tokio::test]
    async fn on_this_host_every_certificate_is_accepted() {
        assert!(connects(Trusted::default(), SELF_SIGNED, "127.0.0.1", true).await);
    }

    #[tokio::test]
    async fn elsewhere_an_authority_that_node_trusts_must_have_signed_it_for_the_name() {
        let several = format!("no certificate\n{SELF_SIGNED}\n{AUTHORITY}");
        assert!(connects(of(&[&several]), SIGNED, "app.internal", false).await);
        assert!(!connects(of(&[AUTHORITY]), SIGNED, "other.internal", false).await);
        assert!(!connects(of(&[SELF_SIGNED]), SIGNED, "app.internal", false).await);
        assert!(!connects(of(&[]), SIGNED, "app.internal", false).await);
    }

    #[tokio::test]
    async fn a_certificate_that_node_trusts_itself_needs_no_authority() {
        assert!(connects(of(&[SELF_SIGNED]), SELF_SIGNED, "app.internal", false).await);
        assert!(!connects(of(&[SELF_SIGNED]), SELF_SIGNED, "other.internal", false).await);
        assert!(!connects(of(&[AUTHORITY]), SELF_SIGNED, "app.internal", false).await);
    }

    #[tokio::test]
    async fn elsewhere_too_every_certificate_is_accepted_if_node_does_so() {
        let trusted = Trusted { authorities: vec![], any: true };
        assert!(connects(trusted, SELF_SIGNED, "other.internal", false).await);
    }
}
