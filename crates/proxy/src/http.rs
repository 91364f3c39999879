//! Small HTTP/1 server and client parts shared by the agent's endpoints, probes and the gateway.
//!
//! Limits are fixed here: they hold for whoever can reach a port of ours.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sunup_limits::{Patient, Places};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use crate::state::Shared;

/// The most that the head of a request may measure; more is answered with 431.
pub(crate) const HEAD_MAX: usize = 16 * 1024;
/// How long a client may take over the head of a request: what a slowloris gets.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a client may take over an answer.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Connections at a time to one of our own endpoints. A newcomer gets the place of another one, of
/// whoever has most: a kubelet always gets in.
const CONNECTIONS_MAX: usize = 256;
/// Those of one address among them.
const PER_PEER_MAX: usize = 32;

pub(crate) type Body = Full<Bytes>;

/// A response of text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let plain = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, plain);
    response
}

/// Who may hold a connection of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Guests {
    places: Places,
    endpoint: &'static str,
}

impl Guests {
    /// The guests of one endpoint; `friends` are not sent away for others.
    pub(crate) fn new(endpoint: &'static str, friends: Vec<IpAddr>) -> Self {
        Self { places: Places::new(CONNECTIONS_MAX, PER_PEER_MAX, friends), endpoint }
    }
}

/// Serves one of our endpoints for ever.
pub(crate) async fn serve<F, A>(
    shared: Arc<Shared>,
    listener: std::net::TcpListener,
    guests: Guests,
    answer: F,
) where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            return shared.fail(format!("cannot watch the {} socket: {error}", guests.endpoint));
        }
    };
    let _vital = shared.vital("an endpoint of our own");
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (place, displaced) = guests.places.enter(peer.ip());
        if displaced {
            shared.metrics.shed(guests.endpoint, "displaced");
        }
        let (shared, answer, endpoint) = (Arc::clone(&shared), answer.clone(), guests.endpoint);
        tokio::spawn(async move {
            let place = Arc::new(place);
            let of_requests = Arc::clone(&place);
            let service = service_fn(move |request| {
                let under_way = of_requests.request();
                let answer = answer(request, peer);
                async move {
                    // Whoever sends many requests at once waits with each for its turn.
                    tokio::task::yield_now().await;
                    let answer = answer.await;
                    drop(under_way);
                    Ok::<_, Infallible>(answer)
                }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_MAX);
            let stream = TokioIo::new(Patient::new(stream, WRITE_TIME));
            let connection = server.serve_connection(stream, service);
            tokio::select! {
                // A client that breaks the protocol has had its answer from hyper.
                ended = connection => if ended.is_err_and(|error| is_timeout(&error)) {
                    shared.metrics.shed(endpoint, "timeout");
                },
                () = place.displaced() => {}
            }
        });
    }
}

/// Whether a client took too long over its request or our answer.
fn is_timeout(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    error.is_timeout() || cause.is_some_and(|e| e.kind() == io::ErrorKind::TimedOut)
}

/// Sends one request and reads the whole answer, at most `limit` bytes of it.
///
/// # Errors
/// In words.
pub(crate) async fn exchange<S>(
    stream: S,
    request: Request<Body>,
    limit: usize,
) -> Result<Response<Bytes>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|e| e.to_string())?;
    let running = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|e| e.to_string());
    let outcome = match response {
        Ok(response) => {
            let (head, body) = response.into_parts();
            let whole = Limited::new(body, limit).collect().await.map_err(|e| e.to_string());
            whole.map(|body| Response::from_parts(head, body.to_bytes()))
        }
        Err(e) => Err(e),
    };
    running.abort();
    outcome
}
