//! Bodies of reviews: read into a memory that all of them share, within a time. A large one is worked
//! on beside the other connections, one after the other: what is made of it takes several times its
//! size.
//!
//! Knows nothing of what is in them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sunup_limits::{Budget, GivenUp, Share};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The largest request that is read: the largest object (3 MiB) twice, and room for the rest.
pub const BODY_MAX: usize = 8 << 20;
/// How long a body may take, and a large one its turn, unless the API server says less.
const BODY: Duration = Duration::from_secs(10);
/// Bytes of all bodies that are read or worked on. One that comes in many pieces is put together
/// in up to twice its room.
const BUDGET: usize = 48 << 20;
/// A body of this size waits for its turn.
const LARGE: usize = 256 << 10;

/// What all bodies share.
#[derive(Debug)]
pub(crate) struct Bodies {
    memory: Budget,
    turns: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { memory: Budget::new(BUDGET), turns: Arc::new(Semaphore::new(1)) }
    }
}

/// A body that is whole, with its part of the memory.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Bytes,
    share: Share,
    until: Instant,
}

impl Body {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_large(&self) -> bool {
        self.bytes.len() >= LARGE
    }
}

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The connection ended before it did.
    Broken,
    /// It goes on beyond the limit; this is how it begins.
    TooLarge(Bytes),
    /// It wasn't whole in time.
    TooLate,
    /// Others needed its memory more.
    GivenUp,
}

impl Bodies {
    /// Bytes that are held now.
    pub(crate) fn used(&self) -> usize {
        self.memory.used()
    }

    /// Reads a body, within what the API server still waits.
    pub(crate) async fn take(
        &self,
        peer: IpAddr,
        body: Incoming,
        within: Option<Duration>,
    ) -> Result<Body, Unread> {
        let until = Instant::now() + within.map_or(BODY, |within| within.min(BODY));
        let mut share = self.memory.share(peer);
        let read = timeout_at(until, read(body, &mut share)).await;
        let bytes = read.unwrap_or(Err(Unread::TooLate))?;
        Ok(Body { bytes, share, until })
    }

    /// Waits for a large body's turn.
    ///
    /// # Errors
    /// It took too long, or others needed its memory more.
    pub(crate) async fn turn(&self, body: &Body) -> Result<OwnedSemaphorePermit, GivenUp> {
        let turn = timeout_at(body.until, Arc::clone(&self.turns).acquire_owned());
        tokio::select! {
            turn = turn => turn.map_or(Err(GivenUp), |turn| turn.map_err(|_| GivenUp)),
            () = body.share.given_up() => Err(GivenUp),
        }
    }
}

/// The body, without a copy where it comes in one piece.
async fn read(mut body: Incoming, share: &mut Share) -> Result<Bytes, Unread> {
    let mut whole = Bytes::new();
    let mut pieces: Vec<u8> = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = share.given_up() => return Err(Unread::GivenUp),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Unread::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + pieces.len() + data.len() > BODY_MAX {
            let start = if pieces.is_empty() { whole } else { Bytes::from(pieces) };
            return Err(Unread::TooLarge(if start.is_empty() { data } else { start }));
        }
        share.grow(data.len()).map_err(|GivenUp| Unread::GivenUp)?;
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
pub(crate) fn asked_timeout(query: &str) -> Option<Duration> {
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
