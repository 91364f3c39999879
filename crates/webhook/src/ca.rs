//! A certificate authority of our own, for clusters without cert-manager: made, kept as text by
//! whoever runs this (a Secret, a folder), and renewed while its forerunner is still trusted.
//!
//! Knows no cluster; time is handed in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// How long an authority lives; it is renewed in the last third.
const CA_LIFE: Duration = Duration::from_secs(3 * 365 * 86_400);
/// How long a serving certificate lives; it is renewed in the last third.
const LEAF_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// Clocks differ: certificates are valid from a little before they are made.
const SKEW: Duration = Duration::from_secs(3600);

/// Why no certificate could be made. Retrying doesn't help.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The kept authority is not one of ours.
    #[error("the kept certificate authority can't be used: {0}")]
    Kept(String),
    /// The library refuses.
    #[error("a certificate can't be made: {0}")]
    Made(#[from] rcgen::Error),
}

/// An authority: what signs, and what is trusted.
#[derive(Debug)]
pub struct Authority {
    /// Seconds since 1970 at which it was made; also its name, so that two are told apart.
    made: u64,
    key: KeyPair,
    /// Its certificate, then those it took over from that are still trusted.
    bundle: String,
}

/// What is kept of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Certificates that clients trust, the signing one first (PEM).
    pub bundle: String,
    /// The signing key (PEM). Secret.
    pub key: String,
    /// Seconds since 1970 at which it was made.
    pub made: String,
}

/// A serving certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The chain (PEM).
    pub chain: String,
    /// The key (PEM). Secret.
    pub key: String,
    /// When it should be replaced.
    pub renew_at: SystemTime,
    /// Which authority signed it.
    pub signed_by: u64,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// No key could be made.
    pub fn make(now: SystemTime) -> Result<Self, CaError> {
        let made = seconds(now);
        let key = KeyPair::generate()?;
        let bundle = params(made)?.self_signed(&key)?.pem();
        Ok(Authority { made, key, bundle })
    }

    /// One that was kept.
    ///
    /// # Errors
    /// What was kept is not what [`Self::keep`] gave.
    pub fn read(kept: &Kept) -> Result<Self, CaError> {
        let wrong = |why: &str| CaError::Kept(why.to_owned());
        let made = kept.made.trim().parse().map_err(|_| wrong("no time at which it was made"))?;
        let key = KeyPair::from_pem(&kept.key).map_err(|e| CaError::Kept(e.to_string()))?;
        if !kept.bundle.contains("-----BEGIN CERTIFICATE-----") {
            return Err(wrong("no certificate in it"));
        }
        Ok(Authority { made, key, bundle: kept.bundle.clone() })
    }

    /// What to keep.
    #[must_use]
    pub fn keep(&self) -> Kept {
        Kept {
            bundle: self.bundle.clone(),
            key: self.key.serialize_pem(),
            made: self.made.to_string(),
        }
    }

    /// The certificates that API servers must trust (`caBundle`, before base64).
    #[must_use]
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// By what [`Leaf::signed_by`] knows it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.made
    }

    /// Whether the last third of its life has begun.
    #[must_use]
    pub fn is_old(&self, now: SystemTime) -> bool {
        seconds(now) >= self.made + CA_LIFE.as_secs() * 2 / 3
    }

    /// Its successor, whose bundle still trusts this one: certificates signed by either are good
    /// while replicas and API servers catch up.
    ///
    /// # Errors
    /// No key could be made.
    pub fn renew(&self, now: SystemTime) -> Result<Self, CaError> {
        let mut next = Authority::make(now)?;
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        let ours = self.bundle.split(BEGIN).nth(1).unwrap_or_default();
        next.bundle.push_str(BEGIN);
        next.bundle.push_str(ours);
        Ok(next)
    }

    /// A serving certificate for these names.
    ///
    /// # Errors
    /// A name that can't stand in a certificate.
    pub fn issue(&self, names: &[String], now: SystemTime) -> Result<Leaf, CaError> {
        let mut leaf = CertificateParams::new(names)?;
        // The authority has another name: OpenSSL takes a leaf of the same name for self-signed.
        leaf.distinguished_name.push(DnType::CommonName, "sunup-webhook");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let now_s = seconds(now);
        leaf.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(now_s) - SKEW;
        leaf.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(now_s) + LEAF_LIFE;
        let key = KeyPair::generate()?;
        let issuer = Issuer::new(params(self.made)?, &self.key);
        let chain = leaf.signed_by(&key, &issuer)?.pem();
        Ok(Leaf {
            chain,
            key: key.serialize_pem(),
            renew_at: now + LEAF_LIFE * 2 / 3,
            signed_by: self.made,
        })
    }
}

/// The authority's certificate without its key: the same whenever it is asked for.
fn params(made: u64) -> Result<CertificateParams, rcgen::Error> {
    let mut ca = CertificateParams::new(Vec::<String>::new())?;
    ca.distinguished_name.push(DnType::CommonName, format!("sunup-webhook-ca {made}"));
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(made) - SKEW;
    ca.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(made) + CA_LIFE;
    Ok(ca)
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    /// Whether a client that trusts `bundle` takes `leaf` for `name`.
    fn trusts(bundle: &str, leaf: &Leaf, name: &str, now: SystemTime) -> bool {
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let leaf = CertificateDer::from_pem_slice(leaf.chain.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds(now)));
        verifier.verify_server_cert(&leaf, &[], &name, &[], now).is_ok()
    }

    #[test]
    fn both_generations_are_trusted_while_one_takes_over() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let names = ["sunup-webhook.sunup-system.svc".to_owned()];
        let old = Authority::make(now).unwrap();
        let old_leaf = old.issue(&names, now).unwrap();
        assert!(trusts(old.bundle(), &old_leaf, &names[0], now));
        assert!(!trusts(old.bundle(), &old_leaf, "other.svc", now));
        assert!(!old.is_old(now));
        let later = now + CA_LIFE * 2 / 3;
        assert!(old.is_old(later));
        // A replica that has read what was kept signs as the one that made it.
        let read = Authority::read(&old.keep()).unwrap();
        let leaf = read.issue(&names, later).unwrap();
        let next = old.renew(later).unwrap();
        let next_leaf = next.issue(&names, later).unwrap();
        for leaf in [&leaf, &next_leaf] {
            assert!(trusts(next.bundle(), leaf, &names[0], later));
        }
        assert!(!trusts(old.bundle(), &next_leaf, &names[0], later));
        assert_eq!(next.renew(later).unwrap().bundle().matches("BEGIN").count(), 2);
        assert_ne!(leaf.signed_by, next_leaf.signed_by);
    }

    #[test]
    fn what_is_not_an_authority_is_refused() {
        let mut kept = Authority::make(UNIX_EPOCH).unwrap().keep();
        kept.made = "yesterday".to_owned();
        assert!(Authority::read(&kept).is_err());
    }
}
