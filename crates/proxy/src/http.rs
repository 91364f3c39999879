//! Small HTTP/1 server and client parts shared by the agent's endpoints, probes and the gateway.
//!
//! Limits are fixed here: they hold for whoever can reach a port of ours.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// The most that the head of a request may measure; more is answered with 431.
pub(crate) const HEAD_MAX: usize = 16 * 1024;
/// How long a client may take over the head of a request: what a slowloris gets.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(5);
/// Connections at a time to one of our own endpoints; more are reset.
const CONNECTIONS_MAX: usize = 256;

pub(crate) type Body = Full<Bytes>;

/// A response of text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let plain = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, plain);
    response
}

/// Serves one of our endpoints for ever.
pub(crate) async fn serve<F, A>(listener: std::net::TcpListener, answer: F)
where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            crate::destination::reset(stream);
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(request, peer);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_MAX);
            // A client that breaks the protocol has had its answer from hyper.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
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
