//! TLS where it begins or ends here: a gateway's certificates, and probes of applications that
//! speak it. Nothing of it is made before it is first needed. Knows no routes and no files.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use sunup_limits::Validity;
use tokio::net::TcpStream;

/// A certificate chain with its key, both PEM.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) chain: &'a [u8],
    pub(crate) key: &'a [u8],
}

/// TLS that ends here.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) certificates: Arc<ByName>,
}

/// What a server needs to speak TLS 1.2 and 1.3 with these certificates, `protocols` by ALPN.
///
/// # Errors
/// In words: number of the pair, from 0, and what is wrong with it.
pub(crate) fn server(pairs: &[Pair<'_>], protocols: &[&[u8]]) -> Result<Ended, (usize, String)> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let read = |(n, pair): (usize, &Pair<'_>)| named(pair, &provider).map_err(|why| (n, why));
    let keys = pairs.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let certificates = Arc::new(ByName(keys));
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| (0, e.to_string()))?;
    let mut config =
        config.with_no_client_auth().with_cert_resolver(Arc::clone(&certificates) as _);
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    Ok(Ended { config: Arc::new(config), certificates })
}

/// A certificate with its key, and when it is good.
#[derive(Debug)]
struct Named {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

fn named(pair: &Pair<'_>, provider: &CryptoProvider) -> Result<Named, String> {
    let key = Arc::new(certified(pair, provider)?);
    let validity = key.cert.first().and_then(|leaf| Validity::of(leaf));
    let validity = validity.ok_or("the certificate's dates can't be read")?;
    Ok(Named { key, validity })
}

fn certified(pair: &Pair<'_>, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(pair.chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| format!("the certificate is not PEM: {e}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(pair.key)
        .map_err(|e| format!("there is no private key in PEM: {e}"))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|e| match e {
        Error::InconsistentKeys(_) => "the key is another certificate's".to_owned(),
        other => other.to_string(),
    })
}

/// Certificates, of which the name that is asked for chooses: the first that is good for it and not
/// expired, else the first that is good for it, else the first.
#[derive(Debug)]
pub(crate) struct ByName(Vec<Named>);

impl ByName {
    /// The number of the certificate that is shown for a name.
    pub(crate) fn chosen(&self, name: Option<&str>) -> usize {
        if self.0.len() < 2 {
            return 0;
        }
        let Some(name) = name.and_then(|name| ServerName::try_from(name).ok()) else { return 0 };
        let fits = |named: &Named| {
            let leaf = named.key.end_entity_cert().and_then(ParsedCertificate::try_from);
            leaf.is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
        };
        let fitting: Vec<usize> = (0..self.0.len()).filter(|n| fits(&self.0[*n])).collect();
        let now = SystemTime::now();
        let good = fitting.iter().find(|n| self.0[**n].validity.problem(now).is_none());
        good.or(fitting.first()).copied().unwrap_or(0)
    }

    /// When each of them is good.
    pub(crate) fn validities(&self) -> impl Iterator<Item = Validity> + '_ {
        self.0.iter().map(|named| named.validity)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(self.chosen(hello.server_name())).map(|named| Arc::clone(&named.key))
    }
}

/// Speaks TLS as a client that trusts any certificate, as the kubelet's https probes do.
///
/// # Errors
/// The handshake failed.
pub(crate) async fn connect_unverified(
    stream: TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(schemes)))
        .with_no_client_auth();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Verifies nothing: a probe asks whether the application answers, not who it is.
#[derive(Debug)]
struct AnyCertificate(Vec<SignatureScheme>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
