//! A service account's key: an assertion that is signed with it (RFC 7523).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::bearer::SCOPE;
use super::file::Key;

/// How long an assertion is good, seconds: the longest that is accepted.
const GOOD_FOR: i64 = 3600;

/// A signed assertion, or why there can be none.
pub(super) fn assertion(key: &Key, now: jiff::Timestamp) -> Result<String, String> {
    let pem = key.private_key.as_bytes();
    let der =
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| "its private key is no PEM".to_owned())?;
    let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der)
        .map_err(|_| "its private key is of no kind that is known".to_owned())?;
    let signer = signing
        .choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])
        .ok_or("its private key is not an RSA key")?;
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": key.private_key_id});
    let issued = now.as_second();
    let claims = json!({
        "iss": key.client_email,
        "scope": SCOPE,
        "aud": key.token_uri,
        "iat": issued,
        "exp": issued + GOOD_FOR,
    });
    let text = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
    let signature = signer.sign(text.as_bytes()).map_err(|_| "it can't sign".to_owned())?;
    Ok(format!("{text}.{}", BASE64.encode(signature)))
}
