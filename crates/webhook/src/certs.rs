//! The certificate that is served: taken into use while connections go on, refused where it can't
//! be. Knows no cluster and no clock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use sunup_limits::Validity;

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A file can't be read; retry when it changes.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// No certificate or no key in the text, or they don't belong together.
    #[error("{0}")]
    Content(String),
}

/// What is served now. Shared by all connections; those that are open keep what they have.
#[derive(Debug, Default)]
pub struct Certificates {
    current: RwLock<Option<Current>>,
}

/// A certificate in use, and when it is good.
#[derive(Debug, Clone)]
struct Current {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

impl Certificates {
    /// Takes a certificate chain and its key into use.
    ///
    /// # Errors
    /// They can't be used; the ones before stay.
    pub fn install(&self, chain: &[u8], key: &[u8]) -> Result<(), CertError> {
        let content = |e: &dyn std::fmt::Display| CertError::Content(e.to_string());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|e| content(&format!("certificate: {e}")))?;
        if chain.is_empty() {
            return Err(content(&"no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|e| content(&format!("private key: {e}")))?;
        let provider = aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|e| content(&e))?;
        let validity = certified.cert.first().and_then(|leaf| Validity::of(leaf));
        let validity = validity.ok_or_else(|| content(&"certificate: its dates can't be read"))?;
        let mut current = self.current.write().unwrap_or_else(|e| e.into_inner());
        *current = Some(Current { key: Arc::new(certified), validity });
        Ok(())
    }

    /// Why no client would take what is served at this time; `None` where it is good.
    #[must_use]
    pub fn problem(&self, now: SystemTime) -> Option<&'static str> {
        match self.get().map(|current| current.validity.problem(now)) {
            None => Some("there is no certificate yet"),
            Some(Some("expired")) => Some("the certificate has expired"),
            Some(Some(_)) => Some("the certificate is not valid yet"),
            Some(None) => None,
        }
    }

    /// Seconds until it expires, negative once it has; `None` where there is none.
    #[must_use]
    pub fn left(&self, now: SystemTime) -> Option<i64> {
        Some(self.get()?.validity.left(now))
    }

    fn get(&self) -> Option<Current> {
        self.current.read().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get().map(|current| current.key)
    }
}

/// How TLS is spoken: with these certificates, and with `callers` who show one of their own.
pub(crate) fn server(
    certificates: Arc<Certificates>,
    callers: Option<Arc<dyn ClientCertVerifier>>,
) -> std::io::Result<Arc<ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?;
    let config = match callers {
        Some(callers) => config.with_client_cert_verifier(callers),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(certificates as _);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Takes callers that one of these authorities (PEM) signed for.
pub(crate) fn callers(authorities: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, CertError> {
    let content = |e: &dyn std::fmt::Display| CertError::Content(format!("authorities: {e}"));
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.map_err(|e| content(&e))?).map_err(|e| content(&e))?;
    }
    if roots.is_empty() {
        return Err(content(&"no certificate in it"));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map(|verifier| verifier as _).map_err(|e| content(&e))
}

/// A certificate in two files, such as cert-manager's Secret mounted into the pod.
#[derive(Debug)]
pub struct Files {
    chain: PathBuf,
    key: PathBuf,
    /// What was read last, used or refused.
    seen: Option<(Vec<u8>, Vec<u8>)>,
}

impl Files {
    /// A chain and a key; they need not be there yet.
    #[must_use]
    pub fn new(chain: &Path, key: &Path) -> Self {
        Files { chain: chain.to_owned(), key: key.to_owned(), seen: None }
    }

    /// Looks at the files, and takes them into use where they have changed; whether they have.
    ///
    /// The two are replaced together by a kubelet, but not by everybody: a pair that doesn't match
    /// is refused, and looked at again when either changes.
    ///
    /// # Errors
    /// They can't be read or used; the ones before stay.
    pub fn look(&mut self, into: &Certificates) -> Result<bool, CertError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|e| CertError::File {
                path: path.display().to_string(),
                why: e.to_string(),
            })
        };
        let pair = (read(&self.chain)?, read(&self.key)?);
        if self.seen.as_ref() == Some(&pair) {
            return Ok(false);
        }
        let outcome = into.install(&pair.0, &pair.1).map_err(|e| CertError::File {
            path: format!("{} and {}", self.chain.display(), self.key.display()),
            why: e.to_string(),
        });
        self.seen = Some(pair);
        outcome.map(|()| true)
    }
}
