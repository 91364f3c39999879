//! Recognises protocols from bytes that go by, and counts HTTP requests and responses.
//!
//! It only looks: nothing waits for it, so server-first protocols are never delayed, and bytes it
//! doesn't understand end the looking, not the connection. Memory is bounded whatever comes.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http1;
mod http2;
mod lost;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http2::PREFACE;
use lost::Lost;

use crate::copy::Watch;
use crate::metrics::{Direction, Http, Metrics};

/// What a connection speaks, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Nothing was sent yet.
    Silent,
    /// The destination spoke first: MySQL, SMTP, FTP …
    ServerFirst,
    Http1,
    Http2,
    Tls,
    /// Something else.
    Tcp,
}

/// Methods by which HTTP/1 is known (RFC 9110, 9.3; PATCH of RFC 5789).
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
];

enum Looking {
    /// For the first bytes, of which the client has sent these.
    First(Vec<u8>),
    Http1(Box<http1::Exchange>),
    Http2(Box<http2::Frames>),
    No,
}

/// Looks at one connection.
pub(crate) struct Observer<'a> {
    metrics: &'a Metrics,
    direction: Direction,
    to: SocketAddr,
    pub(crate) protocol: Protocol,
    looking: Looking,
    http: Option<Arc<Http>>,
}

impl<'a> Observer<'a> {
    pub(crate) fn new(metrics: &'a Metrics, direction: Direction, to: SocketAddr) -> Self {
        let looking = Looking::First(Vec::new());
        Self { metrics, direction, to, protocol: Protocol::Silent, looking, http: None }
    }

    /// Decides by the first bytes, once they are enough to decide.
    fn first(&mut self, bytes: &[u8]) {
        let Looking::First(seen) = &mut self.looking else { return };
        seen.extend_from_slice(&bytes[..bytes.len().min(PREFACE.len())]);
        let begins = |with: &[u8]| {
            let n = seen.len().min(with.len());
            (seen[..n] == with[..n]).then_some(n == with.len())
        };
        if seen.is_empty() {
            return;
        }
        let (protocol, next) = match begins(PREFACE) {
            Some(true) => (Protocol::Http2, Looking::Http2(Box::default())),
            // Could still become either; the next bytes tell.
            Some(false) => return,
            _ if seen[0] == 0x16 => (Protocol::Tls, Looking::No),
            _ => match METHODS.iter().filter_map(|m| begins(m)).max() {
                Some(true) => (Protocol::Http1, Looking::Http1(Box::default())),
                Some(false) => return,
                None => (Protocol::Tcp, Looking::No),
            },
        };
        self.protocol = protocol;
        let seen = match std::mem::replace(&mut self.looking, next) {
            Looking::First(seen) => seen,
            _ => Vec::new(),
        };
        if matches!(protocol, Protocol::Http1 | Protocol::Http2) {
            self.http = Some(self.metrics.http(self.direction, self.to));
            // What earlier reads held, then this one from where `seen` stops.
            let taken = bytes.len().min(PREFACE.len());
            self.look(&seen);
            self.look(&bytes[taken..]);
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        let Some(http) = &self.http else { return };
        let mut count = 0;
        let looked = match &mut self.looking {
            Looking::Http1(exchange) => exchange.requests(bytes, &mut count),
            Looking::Http2(frames) => frames.requests(bytes, &mut count),
            _ => return,
        };
        if count > 0 {
            http.requests[self.version()].fetch_add(count, Ordering::Relaxed);
        }
        if looked.is_err() {
            self.looking = Looking::No;
        }
    }

    fn version(&self) -> usize {
        usize::from(self.protocol == Protocol::Http2)
    }
}

impl Watch for Observer<'_> {
    fn request(&mut self, bytes: &[u8]) {
        match &self.looking {
            Looking::No => {}
            Looking::First(_) => self.first(bytes),
            _ => self.look(bytes),
        }
    }

    fn response(&mut self, bytes: &[u8]) {
        let version = self.version();
        let http = self.http.as_ref();
        let mut count = |class: u8| {
            if let Some(http) = http {
                http.responses[version][usize::from(class)].fetch_add(1, Ordering::Relaxed);
            }
        };
        let looked = match &mut self.looking {
            Looking::No => return,
            Looking::First(seen) => {
                if seen.is_empty() {
                    self.protocol = Protocol::ServerFirst;
                } else {
                    self.protocol = Protocol::Tcp;
                }
                Err(Lost)
            }
            Looking::Http1(exchange) => exchange.responses(bytes, &mut count),
            Looking::Http2(frames) => frames.responses(bytes, &mut count),
        };
        if looked.is_err() {
            self.looking = Looking::No;
        }
    }
}

#[cfg(test)]
mod tests;
