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
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sunup_limits::{Overstayed, Patient, Place, Places, Times};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::body::{self, Unread};
use crate::metrics::Shed;
use crate::reviewer::{Reply, Reviewer};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take over its first request, the next one, and the head of each. An API
/// server keeps an idle connection for 90 s: it is not us who close one that is about to be used.
pub const TIMES: Times = Times {
    first: Duration::from_secs(30),
    idle: Duration::from_secs(120),
    head: Duration::from_secs(10),
};
/// How long a client may take over an answer.
const WRITE: Duration = Duration::from_secs(10);
/// How long one that is sent away may finish what it is at.
const LEAVE: Duration = Duration::from_secs(5);
/// Connections at a time, and those of one address among them. API servers keep a handful each, but
/// at a burst, before the first one is up, they open one a review: as many as they have mutating
/// requests in flight (200, or 600 of all kinds under priority and fairness). Fewer places would have
/// the last of a burst displace the first, over which the reviews are then sent. A newcomer takes
/// the place of another one: see [`Places`].
const CONNECTIONS: (usize, usize) = (2_048, 1_024);
/// The same for probes and metrics.
const HEALTH_CONNECTIONS: (usize, usize) = (64, 16);
/// Requests of one connection that are read at a time: more than an API server has mutating ones in
/// flight (`--max-mutating-requests-inflight`, 200), which then needs no second connection; what they
/// may take of memory is the budget's affair. And bytes that may be on their way of one and of all.
const STREAMS: u32 = 250;
const WINDOW: u32 = 256 << 10;
/// The largest head.
const HEAD_MAX: usize = 16 << 10;

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

/// Serves reviews over TLS until `stop` resolves and all that was begun is answered; `times` are
/// [`TIMES`], but for tests.
///
/// # Errors
/// TLS can't be set up at all.
pub async fn serve(
    listener: TcpListener,
    reviewer: Arc<Reviewer>,
    stop: impl Future<Output = ()>,
    how: Stop,
    times: Times,
) -> std::io::Result<()> {
    // Fails at once where TLS can't be spoken at all.
    drop(reviewer.tls()?);
    let places = Places::new(CONNECTIONS.0, CONNECTIONS.1, Vec::new());
    let (ending, ended) = watch::channel(false);
    // Every connection holds a sender; when all are gone, `recv` says so.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut stopping = pin!(async {
        stop.await;
        reviewer.stop();
        sleep(how.drain).await;
    });
    loop {
        let (stream, place) = tokio::select! {
            () = &mut stopping => break,
            entered = enter(&listener, &places, &reviewer) => entered,
        };
        let (reviewer, ended, alive) = (Arc::clone(&reviewer), ended.clone(), alive.clone());
        tokio::spawn(async move {
            secured(stream, Arc::new(place), reviewer, ended, times).await;
            drop(alive);
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
    let places = Places::new(HEALTH_CONNECTIONS.0, HEALTH_CONNECTIONS.1, Vec::new());
    loop {
        let (stream, place) = enter(&listener, &places, &reviewer).await;
        let reviewer = Arc::clone(&reviewer);
        tokio::spawn(async move {
            let of_requests = Arc::clone(&reviewer);
            let service = service_fn(move |request: Request<Incoming>| {
                let reply = of_requests.get(request.uri().path());
                async move { Ok::<_, Infallible>(response(reply, false)) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HANDSHAKE)
                .max_buf_size(HEAD_MAX)
                .serve_connection(TokioIo::new(Patient::new(stream, WRITE)), service);
            tokio::select! {
                _ = connection => {}
                () = place.displaced() => {}
            }
        });
    }
}

/// The next connection and its place. Errors of `accept` are the connection's (it is gone again) or
/// pass (no file descriptor is free): neither ends the server.
async fn enter(listener: &TcpListener, places: &Places, reviewer: &Reviewer) -> (TcpStream, Place) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (place, displaced) = places.enter(peer.ip());
                if displaced {
                    reviewer.metrics.shed(Shed::Place);
                }
                return (stream, place);
            }
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn secured(
    stream: TcpStream,
    place: Arc<Place>,
    reviewer: Arc<Reviewer>,
    ended: watch::Receiver<bool>,
    times: Times,
) {
    let _ = stream.set_nodelay(true);
    let metrics = &reviewer.metrics;
    let Ok(config) = reviewer.tls() else { return };
    let tls = tokio::select! {
        tls = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)) => tls,
        () = place.displaced() => return,
    };
    let tls = match tls {
        Ok(Ok(tls)) => tls,
        failed => {
            metrics.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            if failed.is_err() {
                metrics.shed(Shed::Handshake);
            }
            return;
        }
    };
    metrics.connections.fetch_add(1, Ordering::Relaxed);
    tokio::select! {
        () = requests(tls, &place, &reviewer, ended, times) => {}
        () = place.displaced() => {}
    }
    metrics.connections.fetch_sub(1, Ordering::Relaxed);
}

/// Serves a connection's requests until it ends by itself, or is told to when the server ends.
async fn requests(
    tls: tokio_rustls::server::TlsStream<TcpStream>,
    place: &Arc<Place>,
    reviewer: &Arc<Reviewer>,
    mut ended: watch::Receiver<bool>,
    times: Times,
) {
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let (of_requests, of_place) = (Arc::clone(reviewer), Arc::clone(place));
    let service = service_fn(move |request| {
        let (reviewer, place) = (Arc::clone(&of_requests), Arc::clone(&of_place));
        async move {
            let _under_way = place.request();
            Ok::<_, Infallible>(answer(&reviewer, &place, request, http2).await)
        }
    });
    macro_rules! run {
        ($connection:expr) => {{
            let mut connection = pin!($connection);
            tokio::select! {
                _ = &mut connection => {}
                () = over(&mut ended) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
                over = place.overstayed(times) => {
                    reviewer.metrics.shed(match over {
                        Overstayed::Idle => Shed::Idle,
                        Overstayed::Head => Shed::Head,
                    });
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(LEAVE, connection).await;
                }
            }
        }};
    }
    if http2 {
        let io = TokioIo::new(Patient::new(tls, WRITE));
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_secs(30));
        run!(builder.serve_connection(io, service));
    } else {
        let heard = Arc::clone(place);
        let io = Patient::listening(tls, WRITE, Box::new(move || heard.heard()));
        let mut builder = hyper::server::conn::http1::Builder::new();
        // The place sees to the time a head takes, which is not the time until it begins.
        builder.header_read_timeout(None).max_buf_size(HEAD_MAX * 4);
        run!(builder.serve_connection(TokioIo::new(io), service));
    }
}

/// Resolves when the server ends.
async fn over(ended: &mut watch::Receiver<bool>) {
    // The sender gone is the end as well.
    let _ = ended.wait_for(|ended| *ended).await;
}

async fn answer(
    reviewer: &Arc<Reviewer>,
    place: &Place,
    request: Request<Incoming>,
    http2: bool,
) -> Response<Full<Bytes>> {
    let reply = if request.method() == Method::POST {
        post(reviewer, place, request).await
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

async fn post(reviewer: &Arc<Reviewer>, place: &Place, request: Request<Incoming>) -> Reply {
    let json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|k| k.split(';').next() == Some("application/json"))
    });
    if !json {
        return Reply::text(415, "a review is application/json\n");
    }
    let path = request.uri().path().to_owned();
    let within = request.uri().query().and_then(body::asked_timeout);
    let (bodies, metrics) = (&reviewer.bodies, &reviewer.metrics);
    let taken = bodies.take(place.peer(), request.into_body(), within).await;
    let body = match taken {
        Ok(body) => body,
        Err(Unread::Broken) => return Reply::text(400, "the request's body broke off\n"),
        Err(Unread::TooLarge(start)) => return reviewer.too_large(&start),
        Err(Unread::TooLate) => {
            metrics.shed(Shed::Body);
            return Reply::text(408, "the request's body did not come in time\n");
        }
        Err(Unread::GivenUp) => {
            metrics.shed(Shed::Memory);
            return Reply::text(503, "too many large requests at once\n");
        }
    };
    if !body.is_large() {
        return reviewer.post(&path, body.bytes());
    }
    let Ok(turn) = bodies.turn(&body).await else {
        metrics.shed(Shed::Memory);
        return Reply::text(503, "too many large requests at once\n");
    };
    let reviewer = Arc::clone(reviewer);
    let done = tokio::task::spawn_blocking(move || {
        let reply = reviewer.post(&path, body.bytes());
        drop((body, turn));
        reply
    });
    done.await.unwrap_or_else(|_| Reply::text(500, "the review was given up\n"))
}
