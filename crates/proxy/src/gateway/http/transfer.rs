//! One request and its answer on their way, both directions at once: a destination may answer
//! before it has the whole body (100, 413), and a client may leave before it is answered.
//!
//! Small messages go by one read and one write each way. Reading goes through the thread's own
//! buffer; only what the other side didn't take at once is kept.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::body::{Body, Taken};
use super::traffic::Traffic;
use crate::copy::with_scratch;
use crate::destination::Peer;
use crate::http::HEAD_MAX;
use crate::idle::Guest;

/// How long nothing may move once a client has ended what it sends. It may still read, or be gone: that
/// shows only when it is written to.
const ENDED_TIME: Duration = Duration::from_secs(30);

/// A client that sends nothing any more.
#[derive(Debug)]
pub(super) struct EndedClient {
    until: Pin<Box<tokio::time::Sleep>>,
    /// What had moved when the time began.
    moved: u64,
}

/// Why a transfer can't go on.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client left, or can't be written to.
    Client,
    /// What the client sends isn't the body it announced.
    Body,
    /// The destination left, or can't be written to.
    Destination(io::Error),
    /// What the destination sends isn't the body it announced.
    Answer,
    /// Nothing moved for the idle time.
    Idle,
}

/// Bytes for one side that it hasn't taken yet.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    unflushed: bool,
    /// Nothing comes behind it, and then the connection is closed.
    pub(super) last: bool,
}

impl Outgoing {
    /// More bytes, behind those that wait.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.unflushed = true;
        &mut self.bytes
    }

    /// Writes until nothing waits.
    pub(super) fn poll<W: Peer>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let rest = &self.bytes[self.written..];
            let to = Pin::new(&mut *to);
            let n = match self.last {
                true => ready!(to.poll_write_last(cx, rest))?,
                false => ready!(to.poll_write(cx, rest))?,
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
        }
        self.bytes.clear();
        self.written = 0;
        if self.unflushed {
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// What is left of a body's trailers, once they are whole.
    pub(super) fn trailers(&mut self, body: &mut Body) {
        let trailers = body.trailers();
        if !trailers.is_empty() {
            self.room().extend_from_slice(&trailers);
        }
    }

    /// Writes what the other side takes now of bytes that aren't ours; the rest waits.
    fn pass<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.unflushed = true;
        let n = match Pin::new(&mut *to).poll_write(cx, bytes) {
            Poll::Ready(n) => n?,
            Poll::Pending => 0,
        };
        self.bytes.extend_from_slice(&bytes[n..]);
        Ok(())
    }
}

/// Both sides, and what is between them.
pub(super) struct Transfer<'t, C> {
    pub(super) client: &'t mut C,
    /// Read of the client and not yet used: the rest of the body, then the next requests.
    pub(super) input: &'t mut Vec<u8>,
    pub(super) destination: &'t mut TcpStream,
    /// Read of the destination and not yet used.
    pub(super) answer: Vec<u8>,
    pub(super) request: Body,
    pub(super) to_destination: Outgoing,
    pub(super) to_client: Outgoing,
    /// The request is out, or the destination takes no more of it.
    pub(super) sent: bool,
    pub(super) moved: &'t Traffic,
    pub(super) guest: &'t Guest,
    /// Bytes of both bodies so far.
    pub(super) bodies: &'t mut Bodies,
    pub(super) ended: Option<EndedClient>,
}

/// Bytes of a request's body and its answer's, framing included.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Bodies {
    pub(super) request: u64,
    pub(super) answer: u64,
}

impl<C: Peer> Transfer<'_, C> {
    /// Sends the request on until it is out.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            ready!(self.to_destination.poll(cx, self.destination)).map_err(Fault::Destination)?;
            if self.request.is_done() {
                return Poll::Ready(Ok(()));
            }
            if !self.input.is_empty() {
                self.take_input()?;
                continue;
            }
            let (client, input) = (&mut *self.client, &mut *self.input);
            let (request, out) = (&mut self.request, &mut self.to_destination);
            let (destination, moved) = (&mut *self.destination, self.moved);
            let bodies = &mut *self.bodies;
            let passed = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(client).poll_read(cx, &mut buffer)).map_err(|_| Fault::Client)?;
                let bytes = buffer.filled();
                moved.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if bytes.is_empty() {
                    return Poll::Ready(Err(Fault::Client));
                }
                let taken = request.take(bytes, |_| {}).map_err(|_| Fault::Body)?;
                bodies.request += taken.all as u64;
                out.pass(cx, destination, &bytes[..taken.on]).map_err(Fault::Destination)?;
                out.trailers(request);
                input.extend_from_slice(&bytes[taken.all..]);
                Poll::Ready(Ok(()))
            });
            match passed.is_pending() {
                true => self.guest.waited_for(),
                false => self.guest.busy(),
            }
            ready!(passed)?;
        }
    }

    /// Moves what was read already of the body.
    pub(super) fn take_input(&mut self) -> Result<(), Fault> {
        let taken = self.request.take(self.input, |_| {}).map_err(|_| Fault::Body)?;
        self.bodies.request += taken.all as u64;
        self.to_destination.room().extend_from_slice(&self.input[..taken.on]);
        self.to_destination.trailers(&mut self.request);
        self.input.drain(..taken.all);
        Ok(())
    }

    /// [`Transfer::poll_request`] for those who wait for something else.
    fn drive_request(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.sent {
            return Ok(());
        }
        match self.poll_request(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.sent = true;
                Ok(())
            }
            // It may have answered before it stopped listening.
            Poll::Ready(Err(Fault::Destination(_))) => {
                self.sent = true;
                Ok(())
            }
            Poll::Ready(Err(fault)) => Err(fault),
        }
    }

    /// Reads ahead, a little, of a client that has nothing to send: by that its end is seen. Who ended
    /// only what it sends gets its answer (RFC 9293, 3.6: a connection may be closed one way).
    fn mind_client(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        while self.sent && self.ended.is_none() && self.input.len() < HEAD_MAX {
            match read(cx, self.client, self.input) {
                Poll::Ready(Ok(0)) => {
                    let until = Box::pin(tokio::time::sleep(ENDED_TIME));
                    self.ended = Some(EndedClient { until, moved: self.moved.sum() });
                }
                Poll::Ready(Ok(n)) => {
                    self.moved.received.fetch_add(n as u64, Ordering::Relaxed);
                }
                Poll::Ready(Err(_)) => return Err(Fault::Client),
                Poll::Pending => break,
            }
        }
        let Some(ended) = &mut self.ended else { return Ok(()) };
        // Where others need its place, it is the first to go.
        self.guest.waited_for();
        while ended.until.as_mut().poll(cx).is_ready() {
            let now = self.moved.sum();
            if now == ended.moved {
                return Err(Fault::Client);
            }
            ended.moved = now;
            ended.until.as_mut().reset(tokio::time::Instant::now() + ENDED_TIME);
        }
        Ok(())
    }

    /// Waits for more of the answer.
    pub(super) async fn answered(&mut self) -> Result<(), Fault> {
        poll_fn(|cx| {
            self.look_at_the_clock()?;
            self.drive_request(cx)?;
            match read(cx, self.destination, &mut self.answer) {
                Poll::Ready(Ok(1..)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(0)) => {
                    let ended = io::ErrorKind::UnexpectedEof.into();
                    return Poll::Ready(Err(Fault::Destination(ended)));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::Destination(error))),
                Poll::Pending => {}
            }
            self.mind_client(cx)?;
            Poll::Pending
        })
        .await
    }

    fn look_at_the_clock(&self) -> Result<(), Fault> {
        if self.moved.is_over() { Err(Fault::Idle) } else { Ok(()) }
    }

    /// Counts what waits for the client as returned.
    pub(super) fn count_reply(&self) {
        self.moved.returned.fetch_add(self.to_client.bytes.len() as u64, Ordering::Relaxed);
    }

    /// Writes what waits for the client.
    pub(super) async fn reply(&mut self) -> Result<(), Fault> {
        self.count_reply();
        poll_fn(|cx| {
            self.look_at_the_clock()?;
            self.to_client.poll(cx, self.client).map_err(|_| Fault::Client)
        })
        .await
    }

    /// Sends the answer's body on until its end. `plain`: without the framing of chunks.
    pub(super) async fn finish(&mut self, body: &mut Body, plain: bool) -> Result<(), Fault> {
        poll_fn(|cx| {
            self.look_at_the_clock()?;
            if self.poll_answer(cx, body, plain)?.is_ready() {
                return Poll::Ready(Ok(()));
            }
            self.drive_request(cx)?;
            self.mind_client(cx)?;
            Poll::Pending
        })
        .await
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        plain: bool,
    ) -> Result<Poll<()>, Fault> {
        loop {
            match self.to_client.poll(cx, self.client) {
                Poll::Pending => {
                    self.guest.waited_for();
                    return Ok(Poll::Pending);
                }
                Poll::Ready(written) => written.map_err(|_| Fault::Client)?,
            }
            self.guest.busy();
            if body.is_done() {
                return Ok(Poll::Ready(()));
            }
            let (out, client) = (&mut self.to_client, &mut *self.client);
            let (answer, moved) = (&mut self.answer, self.moved);
            let (destination, bodies) = (&mut *self.destination, &mut *self.bodies);
            let passed = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                match Pin::new(destination).poll_read(cx, &mut buffer) {
                    Poll::Pending => return Ok(Poll::Pending),
                    Poll::Ready(read) => read.map_err(Fault::Destination)?,
                }
                let bytes = buffer.filled();
                if bytes.is_empty() {
                    let whole = *body == Body::UntilClose;
                    *body = Body::NONE;
                    let ended = io::ErrorKind::UnexpectedEof.into();
                    return whole.then_some(Poll::Ready(())).ok_or(Fault::Destination(ended));
                }
                moved.returned.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let taken = pass_body(body, bytes, plain, out)?;
                bodies.answer += taken.all as u64;
                if !plain {
                    out.pass(cx, client, &bytes[..taken.on]).map_err(|_| Fault::Client)?;
                    out.trailers(body);
                }
                answer.extend_from_slice(&bytes[taken.all..]);
                Ok(Poll::Ready(()))
            });
            if passed?.is_pending() {
                return Ok(Poll::Pending);
            }
        }
    }
}

/// What of these bytes belongs to the body; with `plain` what they carry is put out.
pub(super) fn pass_body(
    body: &mut Body,
    bytes: &[u8],
    plain: bool,
    out: &mut Outgoing,
) -> Result<Taken, Fault> {
    let taken = body.take(bytes, |data| {
        if plain {
            out.room().extend_from_slice(data);
        }
    });
    taken.map_err(|_| Fault::Answer)
}

/// Reads what is there now behind what was read before.
pub(super) fn read<R: AsyncRead + Unpin>(
    cx: &mut Context<'_>,
    from: &mut R,
    into: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let read = with_scratch(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer))?;
        into.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    });
    if read.is_pending() && into.is_empty() {
        // Whoever waits long waits without memory.
        *into = Vec::new();
    }
    read
}
