//! Who asks: Application Default Credentials in their order, and the tokens that come of them.
//!
//! Written here, since the libraries that know all forms bring about fifty crates (an HTTP client
//! of their own, Unicode domain names, four more families of macros) for what is one form that is
//! posted. Forms that need a program of somebody else's (AWS, executables) are left to `gcloud`.
//!
//! # Sources
//! "How Application Default Credentials works" and AIP-4110 to 4117; RFC 7523 (key), RFC 8693
//! (token exchange); "View and query VM metadata".

mod bearer;
mod exchange;
mod file;
mod key;
pub(crate) mod metadata;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::http::Web;
use bearer::Token;
use file::Credentials;

pub use bearer::IdentityError;

/// How long `gcloud` may take.
const GCLOUD_WITHIN: Duration = Duration::from_secs(30);
/// How long a token of `gcloud`'s is used: it doesn't say how long it is good.
const GCLOUD_FOR: Duration = Duration::from_secs(300);

/// Where credentials are looked for, as the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Where {
    /// `GOOGLE_APPLICATION_CREDENTIALS`.
    pub file: Option<PathBuf>,
    /// The folder of `gcloud`: `CLOUDSDK_CONFIG`, else `~/.config/gcloud`.
    pub gcloud: Option<PathBuf>,
    /// The metadata server: `GCE_METADATA_HOST`, else where it always is.
    pub metadata: Option<String>,
    /// The program to ask when all else fails; `gcloud` where this is `None`.
    pub program: Option<PathBuf>,
    /// `GOOGLE_CLOUD_QUOTA_PROJECT`.
    pub quota_project: Option<String>,
}

enum Source {
    File(PathBuf, Box<Credentials>),
    Metadata(String),
    Program(PathBuf),
}

/// Somebody who can prove who he is.
pub struct Identity {
    source: Source,
    quota_project: Option<String>,
    token: Mutex<Option<Token>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Identity").field(&self.said()).finish()
    }
}

impl Identity {
    /// The first credentials that there are: the file that was named, `gcloud`'s own for
    /// applications, the metadata server, and last what `gcloud` prints.
    ///
    /// # Errors
    /// A file that was named and can't be used; or no credentials at all.
    pub async fn find(places: &Where, web: &Web) -> Result<Identity, IdentityError> {
        let usual =
            places.gcloud.as_ref().map(|dir| dir.join("application_default_credentials.json"));
        let named = places.file.clone();
        let found = match (named, usual.filter(|path| path.exists())) {
            (Some(path), _) | (None, Some(path)) => {
                let credentials = file::read(&path).await?;
                Some((
                    Some(credentials.quota_project().map(str::to_owned)),
                    Source::File(path, Box::new(credentials)),
                ))
            }
            (None, None) => None,
        };
        let (quota, source) = match found {
            Some((quota, source)) => (quota.flatten(), source),
            None => (None, Self::without_a_file(places, web).await?),
        };
        let quota_project = places.quota_project.clone().or(quota);
        Ok(Identity { source, quota_project, token: Mutex::default() })
    }

    async fn without_a_file(places: &Where, web: &Web) -> Result<Source, IdentityError> {
        let host = places.metadata.clone().unwrap_or_else(|| metadata::HOST.to_owned());
        let absent = match metadata::is_there(web, &host).await {
            Ok(()) => return Ok(Source::Metadata(host)),
            Err(why) => why,
        };
        let program = places.program.clone().unwrap_or_else(|| "gcloud".into());
        match printed(&program).await {
            Ok(_) => Ok(Source::Program(program)),
            Err(why) => Err(IdentityError::None {
                tried: format!("no metadata server: {absent}; {}: {why}", program.display()).into(),
            }),
        }
    }

    /// Whose project pays for the requests, where that isn't the one that is asked about.
    #[must_use]
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// Who it is, without anything secret.
    #[must_use]
    pub fn said(&self) -> String {
        match &self.source {
            Source::File(path, credentials) => {
                format!("{} in {}", credentials.said(), path.display())
            }
            Source::Metadata(host) => format!("this machine's service account, by {host}"),
            Source::Program(program) => format!("`{} auth print-access-token`", program.display()),
        }
    }

    /// A token that is good now; `anew` where the last one was not accepted.
    ///
    /// # Errors
    /// [`IdentityError`]: whoever issues them issues none.
    pub(crate) async fn token(&self, web: &Web, anew: bool) -> Result<String, IdentityError> {
        let mut known = self.token.lock().await;
        let good = known.as_ref().filter(|token| !anew && token.until > Instant::now());
        if let Some(token) = good {
            return Ok(token.text.clone());
        }
        let token = match &self.source {
            Source::File(_, credentials) => exchange::token(web, credentials).await?,
            Source::Metadata(host) => metadata::token(web, host).await?,
            Source::Program(program) => {
                let who = program.display().to_string();
                let text = printed(program)
                    .await
                    .map_err(|why| IdentityError::Refused { who: who.into(), why: why.into() })?;
                Token { text, until: Instant::now() + GCLOUD_FOR }
            }
        };
        *known = Some(token.clone());
        Ok(token.text)
    }
}

/// What `gcloud auth print-access-token` prints.
async fn printed(program: &Path) -> Result<String, String> {
    let mut command = tokio::process::Command::new(program);
    command.args(["auth", "print-access-token", "--quiet"]);
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let out = tokio::time::timeout(GCLOUD_WITHIN, command.output()).await;
    let out = out.map_err(|_| format!("did not finish within {} s", GCLOUD_WITHIN.as_secs()))?;
    let out = out.map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => "is not installed or not on the PATH".to_owned(),
        _ => why.to_string(),
    })?;
    let token = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if out.status.success() && !token.is_empty() && !token.contains(char::is_whitespace) {
        return Ok(token);
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty());
    Err(format!("failed ({}): {}", out.status, said.unwrap_or("it said nothing")))
}
