//! A token, what it is asked for, and why there may be none.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

/// What the token may be used for: reading logs alone.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/logging.read";
/// A token is asked for anew so long before it ends.
pub(super) const EARLY: Duration = Duration::from_secs(60);
/// Why nobody can be identified. Never holds a token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdentityError {
    /// A file of credentials that can't be used.
    #[error("credentials in {}: {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: Box<str>,
    },
    /// Whoever issues tokens issues none.
    #[error("{who} gives no token: {why}")]
    Refused {
        /// Who.
        who: Box<str>,
        /// Why.
        why: Box<str>,
    },
    /// There are none.
    #[error(
        "no Google credentials: log in with `gcloud auth application-default login`, or name a file \
         with GOOGLE_APPLICATION_CREDENTIALS ({tried})"
    )]
    None {
        /// What was tried.
        tried: Box<str>,
    },
}

/// A token and until when it is good.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) until: Instant,
}
