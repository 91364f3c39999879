//! Plain HTTP/1.1 by host and path prefix, request by request: two requests of one connection may
//! go to different places. Bodies stream; heads are bounded.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;

use super::{Routes, Target};
use crate::destination::{Peer, errno};
use crate::flow;
use crate::http::{Body, HEAD_MAX, HEAD_TIME, text};
use crate::metrics::Direction;
use crate::state::Shared;

type Answer = Response<Either<Incoming, Body>>;

/// The connection to the destination that this client's last request went to.
type Kept = Mutex<Option<(String, SendRequest<Incoming>)>>;

/// Headers that belong to one hop (RFC 9110, 7.6.1).
const HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Serves a client's requests until it closes.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    port: u16,
    routes: &Arc<Routes>,
    client: impl Peer,
    from: SocketAddr,
) {
    let kept: Arc<Kept> = Arc::default();
    let service = service_fn(|request| {
        let (shared, routes) = (Arc::clone(shared), Arc::clone(routes));
        let kept = Arc::clone(&kept);
        async move {
            let answer = forward(&shared, port, &routes, &kept, request, from).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|error| error.map(Either::Right)))
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_MAX);
    // A client that breaks the protocol has had its answer from hyper.
    let _ = server.serve_connection(TokioIo::new(client), service).await;
}

async fn forward(
    shared: &Arc<Shared>,
    port: u16,
    routes: &Routes,
    kept: &Kept,
    mut request: Request<Incoming>,
    from: SocketAddr,
) -> Result<Answer, Response<Body>> {
    let host =
        host(&request).ok_or_else(|| text(StatusCode::BAD_REQUEST, "one Host is needed\n"))?;
    let serving = routes.serving(port);
    let best = serving.as_ref().and_then(|s| s.by_request(Some(&host), request.uri().path()));
    let to = best.ok_or_else(|| text(StatusCode::NOT_FOUND, "no route\n"))?.clone();
    strip(request.headers_mut());
    let ip = from.ip().to_canonical().to_string();
    if let Ok(ip) = HeaderValue::from_str(&ip) {
        request.headers_mut().append(HeaderName::from_static("x-forwarded-for"), ip);
    }
    // The destination wants the path alone.
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path.into();
    }
    *request.version_mut() = hyper::Version::HTTP_11;
    let mut kept = kept.lock().await;
    let known = kept.take().filter(|(name, sender)| *name == to.name && !sender.is_closed());
    let mut sender = match known {
        Some((_, sender)) => sender,
        None => connect(shared, routes, &to, from).await?,
    };
    let failed = |error: &dyn std::fmt::Display| {
        shared.log.warn(format_args!("gateway request from {from} to {} failed: {error}", to.name));
        text(StatusCode::BAD_GATEWAY, "the destination broke off\n")
    };
    sender.ready().await.map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    *kept = Some((to.name.clone(), sender));
    let mut response = response.map(Either::Left);
    strip(response.headers_mut());
    Ok(response)
}

/// The host without its port. Two Host headers are an attack, none is an error (RFC 9112, 3.2).
fn host(request: &Request<Incoming>) -> Option<String> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let told = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return None,
        (Some(authority), ..) => authority.as_str(),
        (None, host, None) => host?.to_str().ok()?,
    };
    let without = match told.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => told,
    };
    Some(without.to_owned())
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP {
        headers.remove(name);
    }
}

async fn connect(
    shared: &Arc<Shared>,
    routes: &Routes,
    to: &Target,
    from: SocketAddr,
) -> Result<SendRequest<Incoming>, Response<Body>> {
    let gone = || text(StatusCode::SERVICE_UNAVAILABLE, "the destination can't be reached\n");
    let addresses = routes.resolve(to).await;
    let name = &to.name;
    if addresses.is_empty() {
        shared.metrics.failed(Direction::Gateway, None, "name-not-found");
        shared.log.warn(format_args!("gateway request from {from}: {name} has no address"));
        return Err(gone());
    }
    let config = shared.config();
    let (stream, address) = flow::connect_any(&addresses, Direction::Gateway, from, &config).await;
    let stream = stream.map_err(|error| {
        let why = errno(&error);
        shared.metrics.failed(Direction::Gateway, Some(address), why);
        shared.log.warn(format_args!("gateway request from {from} to {name} failed: {why}"));
        gone()
    })?;
    let handshake = hyper::client::conn::http1::handshake::<_, Incoming>(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|_| gone())?;
    tokio::spawn(connection);
    Ok(sender)
}
