//! Bytes from one side to the other and back, until both have ended.
//!
//! Half-close is kept: the end of one direction is passed on and the other goes on. Backpressure
//! is the kernel's: nothing is read while what was read before isn't written. An idle connection
//! holds no buffer at all: reading goes through one buffer per thread, and only what the other
//! side didn't take at once is kept, at most [`CHUNK`] bytes a direction.
//! Knows no protocol; what goes by is shown to a [`Watch`].

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::destination::{Peer, notice_vanishing};

/// The most that is read at once, and so the most a direction ever buffers. 64 KiB gained no
/// throughput over it on loopback.
pub(crate) const CHUNK: usize = 16 * 1024;

/// How long a connection has to live until its destination is watched for having vanished.
const YOUNG: Duration = Duration::from_secs(60);

/// Chunks a direction may move before it gives way to other connections.
const TURN: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Lends the thread's own buffer for one read.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}

/// Sees the bytes of both directions as they go by; it can't change or delay them.
pub(crate) trait Watch {
    /// Bytes from the client.
    fn request(&mut self, bytes: &[u8]);
    /// Bytes from the destination.
    fn response(&mut self, bytes: &[u8]);
}

/// Looks at nothing.
#[derive(Debug)]
pub(crate) struct Blind;

impl Watch for Blind {
    fn request(&mut self, _: &[u8]) {}
    fn response(&mut self, _: &[u8]) {}
}

/// Where the bytes are counted while they move.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters<'a> {
    pub(crate) received: &'a AtomicU64,
    pub(crate) sent: &'a AtomicU64,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Both sides closed.
    Closed,
    /// Nothing went by for the idle time.
    Idle,
    /// The client reset or vanished.
    Client(io::Error),
    /// The destination reset or vanished.
    Destination(io::Error),
}

/// What one connection moved.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

#[derive(Debug, Default)]
struct Half {
    /// Read but not yet written; empty and without memory nearly always.
    left: Vec<u8>,
    written: usize,
    /// A stream that encrypts may hold back what it took.
    unflushed: bool,
    ended: bool,
    passed_on: bool,
    bytes: u64,
}

enum Side {
    From(io::Error),
    To(io::Error),
}

impl Half {
    /// Moves what can be moved now; ready when this direction has ended for good. `last`: the other
    /// one has, so that the connection will be closed, which says this one's end too.
    fn poll<F: Peer, T: Peer>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
        last: bool,
        count: &AtomicU64,
        mut see: impl FnMut(&[u8]),
    ) -> Poll<Result<(), Side>> {
        for _ in 0..TURN {
            if self.passed_on {
                return Poll::Ready(Ok(()));
            }
            while self.written < self.left.len() {
                let rest = &self.left[self.written..];
                let n = ready!(Pin::new(&mut *to).poll_write(cx, rest)).map_err(Side::To)?;
                self.written += n;
                self.unflushed = true;
            }
            if self.unflushed {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Side::To)?;
                self.unflushed = false;
            }
            if !self.left.is_empty() {
                // The memory goes back: most connections never fall behind again.
                self.left = Vec::new();
                self.written = 0;
            }
            if self.ended {
                if !last || T::SAYS_ITS_END {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Side::To)?;
                }
                self.passed_on = true;
                continue;
            }
            let moved = SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer)).map_err(Side::From)?;
                let then = end_behind(&mut buffer, from, cx);
                let read = buffer.filled();
                count.fetch_add(read.len() as u64, Ordering::Relaxed);
                self.bytes += read.len() as u64;
                self.ended = read.is_empty() || matches!(then, Ok(true));
                if !read.is_empty() {
                    see(read);
                    let to = Pin::new(&mut *to);
                    let written = match self.ended {
                        true => to.poll_write_last(cx, read),
                        false => to.poll_write(cx, read),
                    };
                    let n = match written {
                        Poll::Ready(n) => n.map_err(Side::To)?,
                        Poll::Pending => 0,
                    };
                    self.unflushed = true;
                    self.left.extend_from_slice(&read[n..]);
                }
                Poll::Ready(then.map(drop).map_err(Side::From))
            });
            ready!(moved)?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Reads on where the end is known to be near, so that it goes out with the last bytes and not as
/// a packet of its own; whether it was found. An error here has bytes before it.
fn end_behind<F: Peer>(
    buffer: &mut ReadBuf<'_>,
    from: &mut F,
    cx: &mut Context<'_>,
) -> io::Result<bool> {
    let mut before = 0;
    while buffer.filled().len() > before && buffer.remaining() > 0 && from.has_ended(cx) {
        before = buffer.filled().len();
        match Pin::new(&mut *from).poll_read(cx, buffer) {
            Poll::Ready(read) => read?,
            Poll::Pending => return Ok(false),
        }
    }
    Ok(buffer.filled().len() == before)
}

/// Copies both ways. `first` are bytes already taken from the client, sent ahead.
pub(crate) async fn both_ways<C: Peer>(
    client: &mut C,
    destination: &mut TcpStream,
    first: Vec<u8>,
    idle: Duration,
    counters: Counters<'_>,
    watch: &mut impl Watch,
) -> (Ended, Moved) {
    let mut up = Half { bytes: first.len() as u64, left: first, ..Half::default() };
    counters.received.fetch_add(up.bytes, Ordering::Relaxed);
    if !up.left.is_empty() {
        watch.request(&up.left);
    }
    let mut down = Half::default();
    let begun = Instant::now();
    let mut timer = std::pin::pin!(tokio::time::sleep(idle.min(YOUNG)));
    let mut young = true;
    let mut at_last_look = 0;
    let ended = poll_fn(|cx| {
        let (last, count) = (down.passed_on, counters.received);
        let requests = up.poll(cx, client, destination, last, count, |bytes| watch.request(bytes));
        match requests {
            Poll::Ready(Err(Side::From(e))) => return Poll::Ready(Ended::Client(e)),
            Poll::Ready(Err(Side::To(e))) => return Poll::Ready(Ended::Destination(e)),
            _ => {}
        }
        let (last, count) = (up.passed_on, counters.sent);
        let responses =
            down.poll(cx, destination, client, last, count, |bytes| watch.response(bytes));
        match responses {
            Poll::Ready(Err(Side::From(e))) => return Poll::Ready(Ended::Destination(e)),
            Poll::Ready(Err(Side::To(e))) => return Poll::Ready(Ended::Client(e)),
            _ => {}
        }
        if requests.is_ready() && responses.is_ready() {
            return Poll::Ready(Ended::Closed);
        }
        // The timer is looked at when it fires, not moved at every byte.
        while timer.as_mut().poll(cx).is_ready() {
            if std::mem::take(&mut young) {
                notice_vanishing(destination);
                if idle > YOUNG {
                    timer.as_mut().reset(begun + idle);
                    continue;
                }
            }
            let now = up.bytes + down.bytes;
            if now == at_last_look {
                return Poll::Ready(Ended::Idle);
            }
            at_last_look = now;
            timer.as_mut().reset(Instant::now() + idle);
        }
        Poll::Pending
    })
    .await;
    (ended, Moved { received: up.bytes, sent: down.bytes })
}
