//! Files of credentials, by their `type`.

use std::path::Path;

use serde::Deserialize;

use super::bearer::IdentityError;

/// Where Google issues tokens.
pub(super) const GOOGLE: &str = "https://oauth2.googleapis.com/token";
/// A file of credentials is a few kilobytes.
const FILE_MAX: u64 = 1 << 20;

/// A file of credentials.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Credentials {
    /// Of `gcloud auth application-default login`.
    AuthorizedUser(User),
    /// A service account's key.
    ServiceAccount(Key),
    /// Of another identity provider, exchanged.
    ExternalAccount(External),
    /// Of `--impersonate-service-account`.
    ImpersonatedServiceAccount(Impersonated),
}

#[derive(Clone, Deserialize)]
pub(super) struct User {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) refresh_token: String,
    #[serde(default = "google")]
    pub(super) token_uri: String,
    #[serde(default)]
    pub(super) quota_project_id: Option<String>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Key {
    pub(super) client_email: String,
    pub(super) private_key: String,
    #[serde(default)]
    pub(super) private_key_id: Option<String>,
    #[serde(default = "google")]
    pub(super) token_uri: String,
    #[serde(default)]
    pub(super) quota_project_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct External {
    pub(super) audience: String,
    pub(super) subject_token_type: String,
    pub(super) token_url: String,
    #[serde(default)]
    pub(super) service_account_impersonation_url: Option<String>,
    pub(super) credential_source: CredentialSource,
    #[serde(default)]
    pub(super) quota_project_id: Option<String>,
}

/// Where the other provider's token is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CredentialSource {
    pub(super) file: Option<std::path::PathBuf>,
    pub(super) url: Option<String>,
    pub(super) headers: std::collections::BTreeMap<String, String>,
    pub(super) format: Format,
    environment_id: Option<String>,
    executable: Option<serde_json::Value>,
}

/// What it looks like there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Format {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) subject_token_field_name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Impersonated {
    pub(super) service_account_impersonation_url: String,
    pub(super) source_credentials: Box<Credentials>,
    #[serde(default)]
    pub(super) delegates: Vec<String>,
    #[serde(default)]
    pub(super) quota_project_id: Option<String>,
}

// What is secret is never shown, not even to whoever debugs.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("client_email", &self.client_email).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn quota_project(&self) -> Option<&str> {
        match self {
            Credentials::AuthorizedUser(user) => user.quota_project_id.as_deref(),
            Credentials::ServiceAccount(key) => key.quota_project_id.as_deref(),
            Credentials::ExternalAccount(external) => external.quota_project_id.as_deref(),
            Credentials::ImpersonatedServiceAccount(other) => other
                .quota_project_id
                .as_deref()
                .or_else(|| other.source_credentials.quota_project()),
        }
    }

    pub(super) fn said(&self) -> String {
        match self {
            Credentials::AuthorizedUser(_) => "a user's login".to_owned(),
            Credentials::ServiceAccount(key) => format!("service account {}", key.client_email),
            Credentials::ExternalAccount(_) => "an external account".to_owned(),
            Credentials::ImpersonatedServiceAccount(other) => {
                let account = other.service_account_impersonation_url.rsplit('/').next();
                let account = account.and_then(|name| name.split(':').next()).unwrap_or("?");
                format!("{account}, impersonated")
            }
        }
    }

    /// What of it can't be done here.
    fn unusable(&self) -> Option<&'static str> {
        match self {
            Credentials::ExternalAccount(external) => {
                let source = &external.credential_source;
                let by_program = source.environment_id.is_some() || source.executable.is_some();
                let nowhere = source.file.is_none() && source.url.is_none();
                (by_program || nowhere).then_some(
                    "an external account whose token comes from AWS or a program: log in with \
                     `gcloud auth login --cred-file=FILE`, and unset GOOGLE_APPLICATION_CREDENTIALS",
                )
            }
            Credentials::ImpersonatedServiceAccount(other) => other.source_credentials.unusable(),
            Credentials::AuthorizedUser(_) | Credentials::ServiceAccount(_) => None,
        }
    }
}

/// Reads a file of credentials.
pub(super) async fn read(path: &Path) -> Result<Credentials, IdentityError> {
    let unusable = |why: String| IdentityError::File { path: path.to_owned(), why: why.into() };
    let about = tokio::fs::metadata(path).await.map_err(|why| unusable(why.to_string()))?;
    if !about.is_file() || about.len() > FILE_MAX {
        return Err(unusable("not a file of credentials".to_owned()));
    }
    let text = tokio::fs::read(path).await.map_err(|why| unusable(why.to_string()))?;
    // What the parser says may quote a value, and those are secrets: the place alone is told.
    let credentials: Credentials = serde_json::from_slice(&text).map_err(|why| {
        let place = format!("line {}, column {}", why.line(), why.column());
        unusable(match kind(&text) {
            Some(kind) => format!("a credential of type `{kind}` that can't be read ({place})"),
            None => format!("no JSON of credentials ({place})"),
        })
    })?;
    match credentials.unusable() {
        Some(why) => Err(unusable(why.to_owned())),
        None => Ok(credentials),
    }
}

fn kind(text: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let kind = value.get("type")?.as_str()?;
    let plain = kind.len() < 40 && kind.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    plain.then(|| kind.to_owned())
}

fn google() -> String {
    GOOGLE.to_owned()
}
