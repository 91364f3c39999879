//! Sockets: TLS connections with reviews on them, and a plain one for probes and metrics.
//!
//! The accept loop is our own, so that a certificate can change under open connections, a slow
//! handshake holds nobody up, and a stop lets every review finish.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::reviewer::{BODY_MAX, Reply, Reviewer};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may wait for a request's head; longer than an API server keeps an idle
/// connection (90 s), so that it is not us who close one that is about to be used.
const HEAD: Duration = Duration::from_secs(120);
/// How long a request's body may take, unless the API server says less.
const BODY: Duration = Duration::from_secs(10);
/// Connections at a time. API servers have a handful each.
const CONNECTIONS: usize = 2_048;
/// A body of this size is worked on beside the other connections, not before them.
const LARGE: usize = 256 << 10;

/// How a stop goes.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// Not ready, but reviews are still taken: until nobody sends any.
    pub drain: Duration,
    /// Then no new connections; those that are open may finish what they are at.
    pub finish: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Stop { drain: Duration::from_secs(5), finish: Duration::from_secs(20) }
    }
}

/// Serves reviews over TLS until `stop` resolves and all that was begun is answered.
///
/// # Errors
/// TLS can't be set up at all.
pub async fn serve(
    listener: TcpListener,
    reviewer: Arc<Reviewer>,
    stop: impl Future<Output = ()>,
    how: Stop,
) -> std::io::Result<()> {
    let acceptor = acceptor(&reviewer)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (ending, ended) = watch::channel(false);
    // Every connection holds a sender; when all are gone, `recv` says so.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut stopping = pin!(async {
        stop.await;
        reviewer.stop();
        sleep(how.drain).await;
    });
    loop {
        let place = tokio::select! {
            () = &mut stopping => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let stream = tokio::select! {
            () = &mut stopping => break,
            stream = accept(&listener) => stream,
        };
        let (reviewer, acceptor, ended, alive) =
            (Arc::clone(&reviewer), acceptor.clone(), ended.clone(), alive.clone());
        tokio::spawn(async move {
            secured(stream, &acceptor, reviewer, ended).await;
            drop((place, alive));
        });
    }
    drop(listener);
    let _ = ending.send(true);
    drop(alive);
    let _ = timeout(how.finish, all_gone.recv()).await;
    Ok(())
}

/// Serves probes and metrics in plain HTTP, for as long as it is polled.
pub async fn serve_health(listener: TcpListener, reviewer: Arc<Reviewer>) {
    loop {
        let stream = accept(&listener).await;
        let reviewer = Arc::clone(&reviewer);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let reply = reviewer.get(request.uri().path());
                async move { Ok::<_, Infallible>(response(reply, false)) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HANDSHAKE)
                .serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
    }
}

/// The next connection. Errors of `accept` are the connection's (it is gone again) or pass (no
/// file descriptor is free): neither ends the server.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

fn acceptor(reviewer: &Reviewer) -> std::io::Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&reviewer.certificates) as _);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn secured(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    reviewer: Arc<Reviewer>,
    mut ended: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(tls)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        reviewer.metrics.handshakes_failed.fetch_add(1, Ordering::Relaxed);
        return;
    };
    reviewer.metrics.connections.fetch_add(1, Ordering::Relaxed);
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let of_requests = Arc::clone(&reviewer);
    let service = service_fn(move |request| {
        let reviewer = Arc::clone(&of_requests);
        async move { Ok::<_, Infallible>(answer(&reviewer, request, http2).await) }
    });
    let io = TokioIo::new(tls);
    // A connection ends by itself, or is told to when the server ends.
    macro_rules! run {
        ($connection:expr) => {{
            let mut connection = pin!($connection);
            tokio::select! {
                _ = &mut connection => {}
                () = over(&mut ended) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        }};
    }
    if http2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(16 << 20)
            .keep_alive_interval(Duration::from_secs(30));
        run!(builder.serve_connection(io, service));
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
        run!(builder.serve_connection(io, service));
    }
    reviewer.metrics.connections.fetch_sub(1, Ordering::Relaxed);
}

/// Resolves when the server ends.
async fn over(ended: &mut watch::Receiver<bool>) {
    // The sender gone is the end as well.
    let _ = ended.wait_for(|ended| *ended).await;
}

async fn answer(
    reviewer: &Arc<Reviewer>,
    request: Request<Incoming>,
    http2: bool,
) -> Response<Full<Bytes>> {
    let reply = if request.method() == Method::POST {
        post(reviewer, request).await
    } else {
        reviewer.get(request.uri().path())
    };
    // While it stops, connections end after an answer rather than between two requests, where a
    // request that is just on its way would be lost. HTTP/2 says so by itself.
    response(reply, reviewer.stopping() && !http2)
}

fn response(reply: Reply, close: bool) -> Response<Full<Bytes>> {
    let mut out = Response::new(Full::new(Bytes::from(reply.body)));
    *out.status_mut() = hyper::StatusCode::from_u16(reply.status).unwrap_or_default();
    out.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(reply.kind));
    if close {
        out.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    out
}

async fn post(reviewer: &Arc<Reviewer>, request: Request<Incoming>) -> Reply {
    let json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|k| k.split(';').next() == Some("application/json"))
    });
    if !json {
        return Reply::text(415, "a review is application/json\n");
    }
    let path = request.uri().path().to_owned();
    let within = request.uri().query().and_then(asked_timeout).map_or(BODY, |t| t.min(BODY));
    let body = match timeout(within, read(request.into_body())).await {
        Err(_) => return Reply::text(408, "the request's body did not come in time\n"),
        Ok(Err(Unread::Broken)) => return Reply::text(400, "the request's body broke off\n"),
        Ok(Err(Unread::TooLarge(start))) => return reviewer.too_large(&start),
        Ok(Ok(body)) => body,
    };
    if body.len() < LARGE {
        return reviewer.post(&path, &body);
    }
    let reviewer = Arc::clone(reviewer);
    let done = tokio::task::spawn_blocking(move || reviewer.post(&path, &body)).await;
    done.unwrap_or_else(|_| Reply::text(500, "the review was given up\n"))
}

/// Why there is no body.
enum Unread {
    /// The connection ended before it did.
    Broken,
    /// It goes on beyond the limit; this is how it begins.
    TooLarge(Bytes),
}

/// The body, without a copy where it comes in one piece.
async fn read(mut body: Incoming) -> Result<Bytes, Unread> {
    let mut whole = Bytes::new();
    let mut pieces: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + pieces.len() + data.len() > BODY_MAX {
            let start = if pieces.is_empty() { whole } else { Bytes::from(pieces) };
            return Err(Unread::TooLarge(if start.is_empty() { data } else { start }));
        }
        if whole.is_empty() && pieces.is_empty() {
            whole = data;
        } else {
            if pieces.is_empty() {
                pieces.extend_from_slice(&std::mem::take(&mut whole));
            }
            pieces.extend_from_slice(&data);
        }
    }
    Ok(if pieces.is_empty() { whole } else { Bytes::from(pieces) })
}

/// The API server's `timeout=10s`; it waits no longer, so neither do we.
fn asked_timeout(query: &str) -> Option<Duration> {
    let text = query.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    match &text[unit..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m0s" | "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}
