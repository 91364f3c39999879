//! Credentials for a token: what each form posts, and where.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use serde::Deserialize;
use serde_json::json;
use sunup_api::link::encoded;
use tokio::time::Instant;

use super::bearer::{EARLY, IdentityError, SCOPE, Token};
use super::file::{Credentials, External, Impersonated};
use super::key;
use crate::http::{Send, Web};

/// Bytes of an answer that holds a token.
const ANSWER_MAX: usize = 1 << 20;
/// How long an impersonated token is asked for.
const LIFETIME: &str = "3600s";
/// What a token may be used for that does nothing but get another one.
const CLOUD: &str = "https://www.googleapis.com/auth/cloud-platform";

type Fetched<'a> =
    Pin<Box<dyn Future<Output = Result<Token, IdentityError>> + std::marker::Send + 'a>>;

/// What an issuer answers.
#[derive(Deserialize)]
pub(super) struct Issued {
    #[serde(alias = "accessToken")]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
    /// Of impersonation, instead.
    #[serde(default, rename = "expireTime")]
    expire_time: Option<String>,
}

impl Issued {
    pub(super) fn token(self) -> Token {
        let until = self.expire_time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let left = until.map(|until| {
            let left = until.as_second() - jiff::Timestamp::now().as_second();
            u64::try_from(left).unwrap_or(0)
        });
        let seconds = self.expires_in.or(left).unwrap_or(300);
        let good = Duration::from_secs(seconds.min(86_400)).saturating_sub(EARLY);
        Token { text: self.access_token, until: Instant::now() + good }
    }
}

/// Gets a token for credentials of a file.
pub(super) fn token<'a>(web: &'a Web, credentials: &'a Credentials) -> Fetched<'a> {
    Box::pin(async move {
        match credentials {
            Credentials::AuthorizedUser(user) => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", &user.client_id),
                    ("client_secret", &user.client_secret),
                    ("refresh_token", &user.refresh_token),
                ];
                post(web, &user.token_uri, &form).await
            }
            Credentials::ServiceAccount(account) => {
                let signed = key::assertion(account, jiff::Timestamp::now())
                    .map_err(|why| refused(&account.client_email, &why))?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                let form = [("grant_type", grant), ("assertion", signed.as_str())];
                post(web, &account.token_uri, &form).await
            }
            Credentials::ExternalAccount(external) => of_external(web, external).await,
            Credentials::ImpersonatedServiceAccount(other) => impersonated(web, other).await,
        }
    })
}

/// RFC 8693: another provider's token for one of Google's, and that for a service account's where
/// the file names one.
async fn of_external(web: &Web, external: &External) -> Result<Token, IdentityError> {
    let subject = subject_token(web, external).await?;
    let last = external.service_account_impersonation_url.as_deref();
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", external.audience.as_str()),
        ("scope", if last.is_some() { CLOUD } else { SCOPE }),
        ("subject_token_type", external.subject_token_type.as_str()),
        ("subject_token", subject.as_str()),
    ];
    let first = post(web, &external.token_url, &form).await?;
    match last {
        Some(url) => impersonate(web, url, &[], &first.text).await,
        None => Ok(first),
    }
}

async fn subject_token(web: &Web, external: &External) -> Result<String, IdentityError> {
    let source = &external.credential_source;
    let text = match (&source.file, &source.url) {
        (Some(path), _) => tokio::fs::read(path).await.map_err(|why| IdentityError::File {
            path: path.clone(),
            why: why.to_string().into(),
        })?,
        (None, Some(url)) => {
            let mut send = Send::get(uri(url)?);
            // A provider on this machine or its network, which the file's owner has named.
            send.plain = true;
            for (name, value) in &source.headers {
                let pair = (HeaderName::try_from(name), HeaderValue::from_str(value));
                let (Ok(name), Ok(value)) = pair else {
                    return Err(refused(url, "a header that the file names can't be sent"));
                };
                send = send.with(name, value);
            }
            let answer = web.ask(&send, ANSWER_MAX).await;
            let answer = answer.map_err(|why| refused(url, &why.to_string()))?;
            if answer.code != 200 {
                return Err(refused(url, &format!("HTTP {}", answer.code)));
            }
            answer.body.to_vec()
        }
        (None, None) => return Err(refused("the file", "it names no source of a token")),
    };
    let text = String::from_utf8_lossy(&text);
    if source.format.kind != "json" {
        return Ok(text.trim().to_owned());
    }
    let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let field = &source.format.subject_token_field_name;
    let token = value.as_ref().and_then(|value| value.get(field)?.as_str());
    token.map(str::to_owned).ok_or_else(|| {
        refused("the source of the token", &format!("no field `{field}` in its JSON"))
    })
}

async fn impersonated(web: &Web, other: &Impersonated) -> Result<Token, IdentityError> {
    let first = token(web, &other.source_credentials).await?;
    let url = &other.service_account_impersonation_url;
    impersonate(web, url, &other.delegates, &first.text).await
}

/// `iamcredentials` `generateAccessToken`.
async fn impersonate(
    web: &Web,
    url: &str,
    delegates: &[String],
    with: &str,
) -> Result<Token, IdentityError> {
    let body = json!({"scope": [SCOPE], "lifetime": LIFETIME, "delegates": delegates});
    let send = Send::post(uri(url)?, "application/json", body.to_string().into_bytes());
    let send = send.bearer(with).ok_or_else(|| refused(url, "a token that can't be sent"))?;
    issued(web, url, &send).await
}

async fn post(web: &Web, url: &str, form: &[(&str, &str)]) -> Result<Token, IdentityError> {
    let pairs: Vec<String> =
        form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let body = pairs.join("&").into_bytes();
    issued(web, url, &Send::post(uri(url)?, "application/x-www-form-urlencoded", body)).await
}

pub(super) async fn issued(web: &Web, who: &str, send: &Send) -> Result<Token, IdentityError> {
    let answer = web.ask(send, ANSWER_MAX).await.map_err(|why| refused(who, &why.to_string()))?;
    if answer.code != 200 {
        return Err(refused(who, &words(answer.code, &answer.body)));
    }
    let issued: Issued = serde_json::from_slice(&answer.body)
        .map_err(|_| refused(who, "an answer without an access token"))?;
    if issued.access_token.is_empty() {
        return Err(refused(who, "an empty access token"));
    }
    Ok(issued.token())
}

/// What an issuer says when it refuses (RFC 6749 section 5.2), and what helps.
fn words(code: u16, body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(|v| v.as_str()).unwrap_or_default();
    let nested = value["error"]["message"].as_str().unwrap_or_default();
    let said = [text("error"), text("error_description"), nested];
    let said: Vec<&str> = said.into_iter().filter(|part| !part.is_empty()).collect();
    let help = match text("error") {
        "invalid_grant" => ": log in again with `gcloud auth application-default login`",
        _ => "",
    };
    format!("HTTP {code} {}{help}", said.join(", "))
}

pub(super) fn refused(who: &str, why: &str) -> IdentityError {
    IdentityError::Refused { who: who.into(), why: why.into() }
}

pub(super) fn uri(url: &str) -> Result<Uri, IdentityError> {
    url.parse().map_err(|_| refused(url, "that is no address"))
}
