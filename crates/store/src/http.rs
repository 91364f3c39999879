//! One request over HTTP: through a proxy where one is set, with TLS but for loopback, bounded in
//! time and bytes, and repeated where repeating helps.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioExecutor;
use sunup_api::causes::text;
use tokio::time::Instant;

use crate::error::Trouble;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long one try of a request may take.
const TRY_WITHIN: Duration = Duration::from_secs(60);
/// Tries of a request that the server or the network failed, the first included.
const TRIES: u32 = 5;
/// What is waited before the second try; doubled each time.
const BACKOFF: Duration = Duration::from_millis(200);
/// Bytes of an answer. A page of 1,000 entries, each of at most 256 KiB, comes rarely near it.
pub(crate) const ANSWER_MAX: usize = 300 << 20;

/// Proxies, as the environment names them; empty texts are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `HTTPS_PROXY`, else `ALL_PROXY`.
    pub https: String,
    /// `NO_PROXY`.
    pub no: String,
}

/// A way into the web.
#[derive(Clone)]
pub struct Web {
    direct: Way<HttpConnector>,
    /// Which addresses go by the proxy, and the way there; it keeps its connections, as the other does.
    proxies: Arc<Matcher>,
    proxied: Arc<OnceLock<Way<Tunnel<HttpConnector>>>>,
    tls: rustls::ClientConfig,
}

type Way<C> = Client<HttpsConnector<C>, Full<Bytes>>;

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Web")
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is sent.
#[derive(Clone)]
pub(crate) struct Send {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Sent without TLS to a host that isn't loopback: the metadata server has none.
    pub(crate) plain: bool,
}

impl Send {
    pub(crate) fn get(uri: Uri) -> Send {
        Send { method: Method::GET, uri, headers: Vec::new(), body: Bytes::new(), plain: false }
    }

    pub(crate) fn post(uri: Uri, content: &'static str, body: Vec<u8>) -> Send {
        let content = (http::header::CONTENT_TYPE, HeaderValue::from_static(content));
        Send { method: Method::POST, uri, headers: vec![content], body: body.into(), plain: false }
    }

    /// As the holder of a token; `None` where it can't be sent.
    pub(crate) fn bearer(mut self, token: &str) -> Option<Send> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        self.headers.push((AUTHORIZATION, value));
        Some(self)
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Send {
        self.headers.push((name, value));
        self
    }
}

impl Web {
    /// A way into the web that trusts the roots given, else the system's.
    ///
    /// # Errors
    /// No roots that could be trusted, in words.
    pub fn new(proxies: &Proxies, roots: Option<rustls::RootCertStore>) -> Result<Web, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| format!("no TLS: {why}"))?;
        let tls = match roots {
            Some(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
            None => {
                use hyper_rustls::ConfigBuilderExt as _;
                let native = builder.with_native_roots();
                native
                    .map_err(|why| format!("no certificates to trust: {why}"))?
                    .with_no_client_auth()
            }
        };
        let matcher = Matcher::builder().https(proxies.https.as_str()).no(proxies.no.as_str());
        Ok(Web {
            direct: Client::builder(TokioExecutor::new()).build(https(&tls, connector())),
            proxies: Arc::new(matcher.build()),
            proxied: Arc::default(),
            tls,
        })
    }

    /// Asks once, whoever it is.
    pub(crate) async fn once(&self, send: &Send, bytes_max: usize) -> Result<Answer, Trouble> {
        let host = send.uri.host().unwrap_or_default();
        let away = |why: &dyn std::error::Error| Trouble::Unreachable {
            host: host.into(),
            why: text(why),
        };
        let mut request = Request::builder().method(&send.method).uri(&send.uri);
        if let Some(headers) = request.headers_mut() {
            headers.extend(send.headers.iter().cloned());
            let version = concat!("sunup/", env!("CARGO_PKG_VERSION"));
            headers.insert(USER_AGENT, HeaderValue::from_static(version));
        }
        let request = request.body(Full::new(send.body.clone())).map_err(|why| away(&why))?;
        let answered = match self.proxies.intercept(&send.uri) {
            // There is one proxy, whatever address is asked for.
            Some(by) => {
                let proxied = self.proxied.get_or_init(|| {
                    let tunnel = Tunnel::new(by.uri().clone(), connector());
                    let tunnel = match by.basic_auth() {
                        Some(auth) => tunnel.with_auth(auth.clone()),
                        None => tunnel,
                    };
                    Client::builder(TokioExecutor::new()).build(https(&self.tls, tunnel))
                });
                proxied.request(request).await
            }
            None => self.direct.request(request).await,
        };
        let (head, mut body) = answered.map_err(|why| away(&why))?.into_parts();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|why| away(&why))?;
            if let Some(data) = frame.data_ref() {
                if whole.len() + data.len() > bytes_max {
                    return Err(Trouble::Huge(bytes_max));
                }
                whole.extend_from_slice(data);
            }
        }
        Ok(Answer { code: head.status.as_u16(), headers: head.headers, body: whole.freeze() })
    }

    /// Asks, and asks again while the network or the server fails (5xx but 501). Every other
    /// answer is the caller's to judge.
    pub(crate) async fn ask(&self, send: &Send, bytes_max: usize) -> Result<Answer, Trouble> {
        let loopback = send.uri.host().is_some_and(is_loopback);
        if send.uri.scheme() != Some(&http::uri::Scheme::HTTPS) && !loopback && !send.plain {
            let host = send.uri.host().unwrap_or_default();
            return Err(Trouble::Unasked(
                format!("{host} would be asked without TLS: give an https:// address").into(),
            ));
        }
        let mut wait = BACKOFF;
        for again in (0..TRIES).rev() {
            let answered = tokio::time::timeout(TRY_WITHIN, self.once(send, bytes_max)).await;
            let failed = match answered {
                Ok(Ok(answer)) if answer.code < 500 || answer.code == 501 => return Ok(answer),
                Ok(Ok(answer)) if again == 0 => return Ok(answer),
                Ok(Ok(answer)) => {
                    wait = after(&answer.headers).unwrap_or(wait);
                    None
                }
                Ok(Err(trouble @ (Trouble::Huge(_) | Trouble::Unasked(_)))) => return Err(trouble),
                Ok(Err(trouble)) => Some(trouble),
                Err(_) => Some(Trouble::Late(TRY_WITHIN)),
            };
            if let Some(trouble) = failed.filter(|_| again == 0) {
                return Err(trouble);
            }
            tokio::time::sleep_until(Instant::now() + wait).await;
            wait *= 2;
        }
        Err(Trouble::Late(TRY_WITHIN))
    }
}

/// How long the server says that is to be waited (RFC 9110 section 10.2.3, seconds), at most a minute.
pub(crate) fn after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

/// TLS over the connections that `connector` makes.
fn https<C>(tls: &rustls::ClientConfig, connector: C) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector)
}

fn connector() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_WITHIN));
    tcp.set_nodelay(true);
    tcp
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
