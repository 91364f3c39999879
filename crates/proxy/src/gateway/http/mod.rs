//! HTTP/1.1 by host and path prefix, request by request: two requests of one connection may go to
//! different places. Heads are read strictly, bounded and written anew; bodies stream as they are.
//! What could mean two things to two readers is refused.
//!
//! Of its own design rather than a library's: an idle client holds neither buffers nor a connection
//! to a destination, and a request costs one read and one write each way.

mod body;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod head;
mod path;
mod pool;
mod traffic;
mod transfer;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::AsyncWriteExt as _;

use self::body::Body;
use self::head::{Request, Wrong};
use self::traffic::Traffic;
use self::transfer::{Bodies, read};
use super::file::Target;
use super::routes::Routes;
use crate::access;
use crate::destination::{Peer, reset};
use crate::http::{HEAD_MAX, HEAD_TIME};
use crate::idle::Guest;
use crate::metrics::Direction;
use crate::state::Shared;

/// How long a new connection may be silent.
const FIRST_TIME: Duration = Duration::from_secs(60);
/// How long a client may take over an answer of ours.
const LAST_WORD: Duration = Duration::from_secs(5);
/// Empty lines that may stand before a request.
const EMPTY_LINES_MAX: usize = 4;
/// How long a client that was sent away may go on talking, and how much it may say.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_MAX: usize = 256 * 1024;

/// Serves a client's requests until it closes, or nothing moves for the idle time.
pub(super) async fn serve<C: Peer>(
    shared: &Arc<Shared>,
    port: u16,
    routes: &Arc<Routes>,
    client: C,
    from: SocketAddr,
    arrival: Arrival,
) {
    let guest = arrival.guest;
    let idle = shared.config().idle_timeout;
    let moved = Traffic::default();
    let session = Session {
        shared,
        port,
        routes,
        from,
        client_ip: from.ip().to_canonical().to_string(),
        scheme: if arrival.tls { "https" } else { "http" },
        tls: arrival.tls,
        sni: arrival.sni,
        guest: &guest,
        client,
        input: Vec::new(),
        moved: &moved,
        told: (0, 0),
        bodies: Bodies::default(),
    };
    let mut work = pin!(session.run());
    let mut timer = pin!(tokio::time::sleep(idle));
    let mut at_last_look = 0;
    poll_fn(|cx| {
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if guest.leaves(cx) {
            if moved.is_begun() {
                // It kept others waiting with half a request: it is told, and the access log.
                moved.over.store(true, Ordering::Relaxed);
                let _ = work.as_mut().poll(cx);
            }
            return Poll::Ready(());
        }
        // The timer is looked at when it fires, not moved at every byte.
        while timer.as_mut().poll(cx).is_ready() {
            let now = moved.sum();
            let mut again = idle;
            if now == at_last_look {
                if !moved.is_begun() || moved.over.swap(true, Ordering::Relaxed) {
                    return Poll::Ready(());
                }
                // Whoever waits for an answer is told, and the access log too.
                if work.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                again = LAST_WORD * 2;
            }
            at_last_look = now;
            timer.as_mut().reset(tokio::time::Instant::now() + again);
        }
        Poll::Pending
    })
    .await;
}

/// How a client comes to HTTP.
pub(super) struct Arrival {
    pub(super) guest: Guest,
    /// By TLS that ends here.
    pub(super) tls: bool,
    /// The name that it was made for, where the client said one.
    pub(super) sni: Option<Box<str>>,
}

/// A client's connection.
struct Session<'s, C> {
    shared: &'s Arc<Shared>,
    port: u16,
    routes: &'s Arc<Routes>,
    from: SocketAddr,
    client_ip: String,
    scheme: &'static str,
    tls: bool,
    sni: Option<Box<str>>,
    guest: &'s Guest,
    client: C,
    /// Read and not yet used; without memory while the client is idle.
    input: Vec<u8>,
    moved: &'s Traffic,
    /// What the metrics know of it already.
    told: (u64, u64),
    /// Of the request that is served.
    bodies: Bodies,
}

/// A request that is ready to go.
struct Prepared {
    /// Its length as it came.
    length: usize,
    /// As the destination gets it.
    head: Vec<u8>,
    to: Option<Target>,
    body: Body,
    /// It came without a body.
    bodiless: bool,
    http10: bool,
    keep_alive: bool,
    to_head: bool,
    /// Protocols that the client would rather go on with.
    upgrade: Option<String>,
    /// Its host is another server's than the one that TLS was made for.
    misdirected: bool,
    /// It can be sent a second time.
    repeatable: bool,
    /// There is an access log.
    logged: bool,
    log: Option<Box<access::Http>>,
}

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Again,
    /// It was told; what it still sends is read away so that it can read the answer.
    Linger,
    Close,
    Reset,
}

impl<C: Peer> Session<'_, C> {
    async fn run(mut self) {
        let mut first = true;
        let next = loop {
            let next = match self.request(first).await {
                // Boxed: between two requests a client holds no room for one.
                Ok(Some(request)) => Box::pin(self.exchange(request)).await,
                Ok(None) => Next::Close,
                Err(wrong) => {
                    self.shared.metrics.failed(Direction::Gateway, None, "bad-request");
                    let said = self.say(wrong.status, wrong.why, false, false).await;
                    if said.is_ok() { Next::Linger } else { Next::Close }
                }
            };
            self.tell();
            first = false;
            if next != Next::Again {
                break next;
            }
        };
        match next {
            Next::Linger => Box::pin(self.linger()).await,
            Next::Reset => reset(self.client),
            Next::Again | Next::Close if C::SAYS_ITS_END => drop(self.client.shutdown().await),
            // Closing says it.
            Next::Again | Next::Close => {}
        }
    }

    /// Adds to the metrics what has moved since it was last told.
    fn tell(&mut self) {
        let (received, returned) = self.moved.now();
        let flows = self.shared.metrics.flows(Direction::Gateway);
        flows.received.fetch_add(received - self.told.0, Ordering::Relaxed);
        flows.sent.fetch_add(returned - self.told.1, Ordering::Relaxed);
        self.told = (received, returned);
    }

    /// The next request; none where the client is done.
    async fn request(&mut self, first: bool) -> Result<Option<Prepared>, Wrong> {
        let mut searched = 0;
        let mut until = None;
        let mut empty_lines = 0;
        loop {
            // Empty lines before a request are allowed (RFC 9112, 2.2), not for ever.
            while self.input.starts_with(b"\r\n") {
                self.input.drain(..2);
                empty_lines += 1;
                if empty_lines > EMPTY_LINES_MAX {
                    return Err(Wrong::new(400, "empty lines instead of a request"));
                }
            }
            if let Some(end) = head::end(&self.input, searched) {
                if end > HEAD_MAX {
                    return Err(Wrong::new(431, "the head is too long"));
                }
                return self.prepare(end).map(Some);
            }
            searched = self.input.len();
            if searched > HEAD_MAX {
                return Err(Wrong::new(431, "the head is too long"));
            }
            if !head::may_begin(&self.input) {
                return Err(Wrong::new(400, "not an HTTP/1.1 request"));
            }
            let now = tokio::time::Instant::now;
            let limit = match (self.input.is_empty(), first) {
                (true, true) => Some(now() + FIRST_TIME),
                (true, false) => None,
                // From the first byte on.
                (false, _) => Some(*until.get_or_insert_with(|| now() + HEAD_TIME)),
            };
            let more = poll_fn(|cx| read(cx, &mut self.client, &mut self.input));
            let more = match limit {
                None => Ok(more.await),
                Some(limit) => tokio::time::timeout_at(limit, more).await,
            };
            match more {
                Ok(Ok(n @ 1..)) => {
                    self.moved.received.fetch_add(n as u64, Ordering::Relaxed);
                }
                Ok(_) => return Ok(None),
                Err(_) if self.input.is_empty() => return Ok(None),
                Err(_) => return Err(Wrong::new(408, "the head took too long")),
            }
        }
    }

    /// Reads a whole head, finds its route, and writes it anew.
    fn prepare(&self, length: usize) -> Result<Prepared, Wrong> {
        let request = Request::read(&self.input[..length])?;
        let serving = self.routes.serving(self.port);
        let to = serving.as_ref().and_then(|s| s.by_request(request.host(), &request.route_path));
        let to = to.cloned();
        let logged = !self.shared.config().access_log_file.is_empty();
        let mut head = Vec::with_capacity(length + 128);
        request.write(&mut head, &self.client_ip, self.scheme);
        Ok(Prepared {
            length,
            head,
            to,
            http10: request.http10,
            keep_alive: request.keep_alive,
            to_head: request.method == "HEAD",
            upgrade: (!request.upgrade.is_empty()).then(|| request.upgrade.join(",")),
            misdirected: self.tls
                && serving.as_ref().is_some_and(|serving| {
                    serving.is_misdirected(self.sni.as_deref(), request.host())
                }),
            bodiless: request.body.is_done(),
            repeatable: request.is_idempotent() && request.body.is_done(),
            logged,
            log: logged.then(|| Box::new(log(&request))),
            body: request.body,
        })
    }

    /// Answers in the destination's place.
    async fn fail(&mut self, request: &Prepared, status: u16, why: &'static str) -> Next {
        let keep = request.keep_alive && request.bodiless && !self.shared.is_draining();
        let said = self.say(status, why, request.to_head, keep);
        match tokio::time::timeout(LAST_WORD, said).await {
            Ok(Ok(())) if keep => Next::Again,
            Ok(Ok(())) => Next::Linger,
            Ok(Err(_)) => Next::Close,
            // It doesn't even read that.
            Err(_) => Next::Reset,
        }
    }

    async fn say(
        &mut self,
        status: u16,
        why: &'static str,
        to_head: bool,
        keep: bool,
    ) -> std::io::Result<()> {
        let reason = StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
        let (reason, length) = (reason.unwrap_or_default(), why.len() + 1);
        let close = if keep { "" } else { "connection: close\r\n" };
        let mut answer = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: {length}\r\n{close}\r\n"
        );
        if !to_head {
            answer.push_str(why);
            answer.push('\n');
        }
        self.moved.returned.fetch_add(answer.len() as u64, Ordering::Relaxed);
        self.client.write_all(answer.as_bytes()).await?;
        self.client.flush().await
    }

    /// Reads away what a client still sends, for a while: closing with bytes unread would reset the
    /// connection, and the client might never see its answer (RFC 9112, 9.6).
    async fn linger(mut self) {
        let away = async {
            let mut left = LINGER_MAX;
            self.client.shutdown().await?;
            while left > 0 {
                self.input.clear();
                let n = poll_fn(|cx| read(cx, &mut self.client, &mut self.input)).await?;
                if n == 0 {
                    break;
                }
                left = left.saturating_sub(n);
            }
            Ok::<_, std::io::Error>(())
        };
        let _ = tokio::time::timeout(LINGER_TIME, away).await;
    }
}

/// What the access log tells of a request.
fn log(request: &Request<'_>) -> access::Http {
    let field = |name| request.field(name);
    access::Http {
        method: request.method.to_owned(),
        path: request.path.to_owned(),
        protocol: if request.http10 { "HTTP/1.0" } else { "HTTP/1.1" },
        authority: request.authority.map(str::to_owned),
        user_agent: field("user-agent"),
        forwarded_for: field("x-forwarded-for"),
        request_id: field("x-request-id"),
    }
}
