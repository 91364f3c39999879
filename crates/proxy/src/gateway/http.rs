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
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::Routes;
use crate::destination::{self, errno};
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
    client: TcpStream,
    from: SocketAddr,
) {
    destination::tune(&client);
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
    let path = request.uri().path();
    let listener = routes.listener(port);
    let all = listener.iter().flat_map(|l| &l.routes);
    let fits = all.filter(|r| r.has_host(Some(&host)) && r.has_path(path));
    // The longest prefix wins; among equals the first in the file.
    let best = fits.reduce(|best, route| if route.weight() > best.weight() { route } else { best });
    let route = best.ok_or_else(|| text(StatusCode::NOT_FOUND, "no route\n"))?;
    let to = route.to.clone();
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
    let known = kept.take().filter(|(name, sender)| *name == to && !sender.is_closed());
    let mut sender = match known {
        Some((_, sender)) => sender,
        None => connect(shared, &to, from).await?,
    };
    let failed = |error: &dyn std::fmt::Display| {
        shared.log.warn(format_args!("gateway request from {from} to {to} failed: {error}"));
        text(StatusCode::BAD_GATEWAY, "the destination broke off\n")
    };
    sender.ready().await.map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    *kept = Some((to.clone(), sender));
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
    to: &str,
    from: SocketAddr,
) -> Result<SendRequest<Incoming>, Response<Body>> {
    let gone = || text(StatusCode::SERVICE_UNAVAILABLE, "the destination can't be reached\n");
    let Some(address) = super::resolve(to).await else {
        shared.metrics.failed(Direction::Gateway, None, "name-not-found");
        shared.log.warn(format_args!("gateway request from {from}: {to} has no address"));
        return Err(gone());
    };
    let config = shared.config();
    let stream = destination::connect(address, Direction::Gateway, from, &config).await;
    let stream = stream.map_err(|error| {
        let why = errno(&error);
        shared.metrics.failed(Direction::Gateway, Some(address), why);
        shared.log.warn(format_args!("gateway request from {from} to {to} failed: {why}"));
        gone()
    })?;
    let handshake = hyper::client::conn::http1::handshake::<_, Incoming>(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|_| gone())?;
    tokio::spawn(connection);
    Ok(sender)
}
