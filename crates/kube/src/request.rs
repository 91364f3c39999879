//! One request to the API server: with a deadline, repeated where repeating helps, and an answer
//! that is either bytes or a [`Trouble`] that says what kind of trouble it is.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use kube::client::{AuthError, Body};
use serde::Deserialize;
use sunup_api::causes::text;
use tokio::time::Instant;

use crate::client::{Cluster, credentials};

/// Tries of a request that the server or the network failed, the first included.
const TRIES: u32 = 5;
/// What is waited before the second try; doubled each time.
const BACKOFF: Duration = Duration::from_millis(100);
/// Bytes of a refusal's own words.
const REFUSAL_MAX: usize = 1 << 20;

/// What went wrong with a request, after whatever repeating it could do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Trouble {
    /// The API server's own refusal.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// No credentials to send: a plugin failed, a token file is gone.
    #[error("credentials: {0}")]
    Credentials(Box<str>),
    /// No connection came about.
    #[error("the API server can't be reached: {0}")]
    Unreachable(Box<str>),
    /// The connection ended in the middle, more often than was tried again.
    #[error("the connection to the API server broke off: {0}")]
    Broken(Box<str>),
    /// No complete answer within the deadline.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// An answer that is larger than is held in memory.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    Huge(usize),
    /// An answer that is not what the API promises.
    #[error("an answer that is not of the Kubernetes API: {0}")]
    Garbled(Box<str>),
}

/// A `Status` by which the API server refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// `Forbidden`, `Conflict` …
    pub reason: String,
    /// In words.
    pub message: String,
    details: Details,
    metadata: ListMeta,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
}

/// One of several reasons of a refusal; of a conflict: one field and who owns it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// `FieldManagerConflict` …
    pub reason: String,
    /// In words.
    pub message: String,
    /// The field.
    pub field: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct ListMeta {
    #[serde(rename = "continue")]
    token: String,
}

impl Refusal {
    /// Its single reasons.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.details.causes
    }

    /// With 410 of a list: from where it can be continued, as of now.
    pub(crate) fn continued(&self) -> Option<&str> {
        Some(self.metadata.token.as_str()).filter(|token| !token.is_empty())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.code == 401 {
            return f.write_str(
                "the API server does not accept the credentials (401): they have expired, or are \
                 another cluster's; log in again",
            );
        }
        let message = self.message.lines().next().unwrap_or_default();
        match self.code {
            0 => f.write_str(message),
            code if message.is_empty() => write!(f, "HTTP {code} {}", self.reason),
            code => write!(f, "{message} ({code})"),
        }
    }
}

impl Trouble {
    /// HTTP status, where the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Trouble::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    /// Whether every other request would fail alike, so that asking on makes no sense.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Trouble::Credentials(_) | Trouble::Unreachable(_))
            || self.code() == Some(401)
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: http::Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) content: Option<&'static str>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(crate) fn get(path: String) -> Ask {
        Ask { method: http::Method::GET, path, content: None, body: Vec::new() }
    }

    pub(crate) fn send(
        method: http::Method,
        path: String,
        content: &'static str,
        body: Vec<u8>,
    ) -> Ask {
        Ask { method, path, content: Some(content), body }
    }
}

/// How far a request may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// When it began to matter, for saying how long was waited.
    pub(crate) since: Instant,
    pub(crate) until: Instant,
    pub(crate) bytes_max: usize,
}

/// How long a single object may take, and its bytes.
const OBJECT_WITHIN: Duration = Duration::from_secs(30);
const OBJECT_BYTES: usize = 64 << 20;

impl Bounds {
    /// Of a request about one object.
    pub(crate) fn object() -> Bounds {
        Bounds::new(OBJECT_WITHIN, OBJECT_BYTES)
    }

    pub(crate) fn new(within: Duration, bytes_max: usize) -> Bounds {
        let since = Instant::now();
        Bounds { since, until: since + within, bytes_max }
    }

    fn late(&self) -> Trouble {
        Trouble::Late(self.until - self.since)
    }
}

/// Asks, and asks again while that may help: 429 (as long as the server says), 5xx, dropped
/// connections. What changes something is repeated only where the server has not begun with it.
pub(crate) async fn ask(cluster: &Cluster, ask: &Ask, bounds: Bounds) -> Result<Bytes, Trouble> {
    let mut wait = BACKOFF;
    let mut tries = 1;
    loop {
        let (trouble, after) =
            match tokio::time::timeout_at(bounds.until, once(cluster, ask, bounds)).await {
                Err(_) => return Err(bounds.late()),
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(failed)) => failed,
            };
        let reading = ask.method == http::Method::GET;
        let again = match &trouble {
            Trouble::Refused(refusal) => match refusal.code {
                429 => true,
                500 | 502 | 503 | 504 => reading,
                _ => false,
            },
            Trouble::Broken(_) => reading,
            _ => false,
        };
        let pause = after.unwrap_or(wait);
        if !again || tries == TRIES || Instant::now() + pause >= bounds.until {
            return Err(trouble);
        }
        tokio::time::sleep(pause).await;
        tries += 1;
        wait *= 2;
    }
}

/// Sends an object; of the answer only counts that it is no refusal.
pub(crate) async fn tell(
    cluster: &Cluster,
    method: http::Method,
    path: String,
    content: &'static str,
    body: &serde_json::Value,
) -> Result<(), Trouble> {
    let request = Ask::send(method, path, content, body.to_string().into_bytes());
    ask(cluster, &request, Bounds::object()).await.map(|_| ())
}

type Failed = (Trouble, Option<Duration>);

async fn once(cluster: &Cluster, ask: &Ask, bounds: Bounds) -> Result<Bytes, Failed> {
    let (head, body) = send(cluster, ask).await.map_err(|trouble| (trouble, None))?.into_parts();
    let bytes = whole(body, bounds.bytes_max).await.map_err(|trouble| (trouble, None))?;
    if head.status.is_success() { Ok(bytes) } else { Err(refused(&head, &bytes)) }
}

/// Asks once, for an answer that is read as it comes: no deadline, nothing repeated.
pub(crate) async fn open(cluster: &Cluster, path: &str) -> Result<Body, Trouble> {
    let (head, body) = send(cluster, &Ask::get(path.to_owned())).await?.into_parts();
    if head.status.is_success() {
        return Ok(body);
    }
    Err(refused(&head, &whole(body, REFUSAL_MAX).await?).0)
}

async fn send(cluster: &Cluster, ask: &Ask) -> Result<http::Response<Body>, Trouble> {
    let mut request = http::Request::builder().method(ask.method.clone()).uri(&ask.path);
    if let Some(content) = ask.content {
        request = request.header(http::header::CONTENT_TYPE, content);
    }
    let request = request.body(Body::from(ask.body.clone()));
    let request = request.map_err(|why| Trouble::Garbled(text(&why)))?;
    cluster.client.send(request).await.map_err(|why| failed(&why))
}

async fn whole(mut body: Body, bytes_max: usize) -> Result<Bytes, Trouble> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| Trouble::Broken(text(&why)))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > bytes_max {
                return Err(Trouble::Huge(bytes_max));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// A refusal, and how long the server wants to be left alone.
fn refused(head: &http::response::Parts, bytes: &[u8]) -> Failed {
    let mut refusal: Refusal = serde_json::from_slice(bytes).unwrap_or_else(|_| Refusal {
        // A proxy's page, say: its first line tells more than nothing.
        message: String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned(),
        reason: head.status.canonical_reason().unwrap_or_default().to_owned(),
        ..Refusal::default()
    });
    refusal.code = head.status.as_u16();
    let after = head.headers.get(http::header::RETRY_AFTER).and_then(|after| {
        // The API server gives seconds.
        Some(Duration::from_secs(after.to_str().ok()?.parse().ok()?))
    });
    (Trouble::Refused(Box::new(refusal)), after)
}

/// What kept a request from being answered, told by what lies at the bottom of it.
fn failed(error: &kube::Error) -> Trouble {
    if let kube::Error::Auth(why) = error {
        return Trouble::Credentials(credentials(why, None).into());
    }
    let mut connecting = false;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if let Some(why) = at.downcast_ref::<AuthError>() {
            return Trouble::Credentials(credentials(why, None).into());
        }
        if let Some(why) = at.downcast_ref::<hyper_util::client::legacy::Error>() {
            connecting |= why.is_connect();
        }
        cause = at.source();
    }
    let why = innermost(error);
    if connecting { Trouble::Unreachable(why) } else { Trouble::Broken(why) }
}

/// The causes without kube's and hyper's own words around them.
fn innermost(error: &dyn std::error::Error) -> Box<str> {
    let mut said: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(at) = cause {
        said.push(at.to_string());
        cause = at.source();
    }
    let noise =
        |text: &String| text.starts_with("client error") || text == "error trying to connect";
    said.retain(|text| !noise(text));
    said.dedup();
    match said.last() {
        Some(last) => last.as_str().into(),
        None => error.to_string().into(),
    }
}

/// A value in a URL's query.
pub(crate) fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
