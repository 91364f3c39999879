//! A small server in front of an API server: answers some requests itself and passes all others
//! on, watches included. Listens on loopback, without TLS, and speaks to the cluster with the
//! client's own credentials: for those who hold its token, and are not led here by a web page.
//!
//! The lab's kubelet answers `pods/log` by it, for API servers that have no kubelets.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kube::Client;
use kube::client::Body;
use tokio::net::TcpListener;

/// Bytes of a request's body; the API server takes no larger ones.
const BODY_MAX: usize = 4 << 20;

type Out = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What is done with a request.
pub enum Reply {
    /// It is passed on.
    Pass,
    /// It is answered here.
    Answer(Response<Bytes>),
    /// The connection is closed without a word.
    Drop,
}

/// Says what is done with each request.
pub trait Desk: Send + Sync + 'static {
    /// Called once a request, before its body is read.
    fn reply(&self, head: &http::request::Parts) -> impl Future<Output = Reply> + Send;
}

/// Who is answered.
#[derive(Clone)]
pub enum Callers {
    /// Whoever can reach the port: for tests, whose servers know no secrets.
    Anybody,
    /// Who holds this token.
    Holding(Arc<Token>),
}

/// What a caller has to show.
pub struct Token(String);

impl Token {
    /// One that nobody can guess.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> io::Result<Self> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        Ok(Self(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()))
    }

    /// As it stands in a kubeconfig.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a caller shows it. How long that takes doesn't tell how much of it was right.
    fn is_shown(&self, headers: &http::HeaderMap) -> bool {
        let mut shown = headers.get_all(http::header::AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else { return false };
        let Some(shown) = shown.as_bytes().strip_prefix(b"Bearer ") else { return false };
        let pairs = shown.iter().zip(self.0.as_bytes());
        shown.len() == self.0.len() && pairs.fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }
}

impl Callers {
    /// Why a caller gets nothing. A web page can lead a browser here by a name of its own, and has
    /// no token.
    fn refuse(&self, request: &Request<Incoming>, own: SocketAddr) -> Option<StatusCode> {
        let Callers::Holding(token) = self else { return None };
        let named = request.uri().authority().map(http::uri::Authority::as_str);
        let mut hosts = request.headers().get_all(http::header::HOST).iter();
        let Ok(host) = hosts.next().map(http::HeaderValue::to_str).transpose() else {
            return Some(StatusCode::FORBIDDEN);
        };
        let is_own = |host: &str| {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
            let here = name == own.ip().to_string() || name.eq_ignore_ascii_case("localhost");
            here && port.parse() == Ok(own.port())
        };
        let one = hosts.next().is_none() && (named.is_some() || host.is_some());
        if !one || ![named, host].into_iter().flatten().all(is_own) {
            return Some(StatusCode::FORBIDDEN);
        }
        (!token.is_shown(request.headers())).then_some(StatusCode::UNAUTHORIZED)
    }
}

/// Serves until the future is dropped.
///
/// # Errors
/// None of single connections: only what keeps the listener from accepting.
pub async fn serve<D: Desk>(
    listener: TcpListener,
    client: Client,
    desk: Arc<D>,
    callers: Callers,
) -> io::Result<()> {
    let own = listener.local_addr()?;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, _) = listener.accept().await?;
        let (client, desk, callers) = (client.clone(), Arc::clone(&desk), callers.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (client, desk, callers) = (client.clone(), Arc::clone(&desk), callers.clone());
                async move {
                    match callers.refuse(&request, own) {
                        None => answer(request, &client, &*desk).await,
                        Some(StatusCode::UNAUTHORIZED) => {
                            Ok(said(StatusCode::UNAUTHORIZED, "show the token of its kubeconfig"))
                        }
                        Some(code) => Ok(said(code, "not by this name")),
                    }
                }
            });
            // A client that goes away in the middle is its own affair.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A free port of loopback.
///
/// # Errors
/// What the system says.
pub async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The connection is closed where this is returned.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped")
    }
}

impl std::error::Error for Dropped {}

async fn answer<D: Desk>(
    request: Request<Incoming>,
    client: &Client,
    desk: &D,
) -> Result<Response<Out>, Dropped> {
    let (mut head, body) = request.into_parts();
    match desk.reply(&head).await {
        Reply::Pass => {}
        Reply::Answer(response) => return Ok(response.map(whole)),
        Reply::Drop => return Err(Dropped),
    }
    let body = http_body_util::Limited::new(body, BODY_MAX);
    let Ok(body) = body.collect().await else {
        return Ok(said(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    };
    // The client speaks to the cluster under its own name, whoever asked here.
    for header in [http::header::AUTHORIZATION, http::header::HOST, http::header::CONNECTION] {
        head.headers.remove(header);
    }
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let mut request = Request::builder().method(head.method).uri(path);
    if let Some(headers) = request.headers_mut() {
        *headers = head.headers;
    }
    let passed = match request.body(Body::from(body.to_bytes())) {
        Ok(request) => client.send(request).await,
        Err(why) => return Ok(said(StatusCode::BAD_REQUEST, &why.to_string())),
    };
    match passed {
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            head.headers.remove(http::header::TRANSFER_ENCODING);
            head.headers.remove(http::header::CONNECTION);
            Ok(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()))
        }
        Err(why) => Ok(said(StatusCode::BAD_GATEWAY, &why.to_string())),
    }
}

fn whole(bytes: Bytes) -> Out {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A `Status`, as the API server would say it.
#[must_use]
pub fn status(code: StatusCode, reason: &str, message: &str) -> Response<Bytes> {
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = code;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// The pairs of a query, decoded.
#[must_use]
pub fn query(uri: &http::Uri) -> Vec<(String, String)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    };
    pairs.map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |c: &u8| char::from(*c).to_digit(16);
                let code = digit(high).zip(digit(low)).map(|(high, low)| high * 16 + low);
                code.and_then(|code| u8::try_from(code).ok())
            }
            _ => None,
        };
        match code {
            Some(code) => {
                out.push(code);
                rest = &tail[2..];
            }
            None => {
                out.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn said(code: StatusCode, message: &str) -> Response<Out> {
    status(code, code.canonical_reason().unwrap_or_default(), message).map(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_was_meant() {
        let uri = "/log?container=a%2Db&sinceTime=2026-01-02T03%3A04%3A05Z&x=a+b&odd=%2&flag";
        let pairs = query(&uri.parse().unwrap());
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let time = ("sinceTime", "2026-01-02T03:04:05Z");
        let want = [("container", "a-b"), time, ("x", "a b"), ("odd", "%2"), ("flag", "")];
        assert_eq!(pairs, want);
    }
}
