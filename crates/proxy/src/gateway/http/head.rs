//! Heads of HTTP/1.1 messages: read strictly, and written anew for the other side without what
//! belongs to one hop. Names and values go on as they came, in their order. Pure.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::body::{Body, is_token, says_who_asks};
use super::path;

/// The most fields a head may have; and the most names in `Connection` and in `Upgrade`.
const FIELDS_MAX: usize = 100;

/// Why a request is answered by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) status: u16,
    pub(super) why: &'static str,
}

impl Wrong {
    pub(super) const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }

    const fn bad(why: &'static str) -> Self {
        Self::new(400, why)
    }
}

/// Where the head ends that begins here, once it is all there: after the first empty line. Bytes
/// before `from` are known to hold no end.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(2);
    memchr::memchr_iter(b'\n', &bytes[from..]).find_map(|at| match &bytes[from + at + 1..] {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// A request's head.
#[derive(Debug)]
pub(super) struct Request<'b> {
    pub(super) method: &'b str,
    /// Path and query to ask the destination for.
    pub(super) path: &'b str,
    /// What the path leads to, without the query: routes are chosen by it.
    pub(super) route_path: Cow<'b, str>,
    /// The host and port it names, where it names one.
    pub(super) authority: Option<&'b str>,
    pub(super) http10: bool,
    pub(super) keep_alive: bool,
    /// Protocols that the client would rather go on with.
    pub(super) upgrade: Vec<&'b str>,
    pub(super) body: Body,
    /// The target was a whole URL: its host counts, not the field's (RFC 9112, 3.2.2).
    absolute: bool,
    trailers: bool,
    fields: Vec<Header<'b>>,
    /// Names of the fields that `Connection` lists.
    hop: Vec<&'b str>,
}

/// What framing and connection fields of a head say.
#[derive(Debug, Default)]
struct Framing<'b> {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    protocols: Vec<&'b str>,
    trailers: bool,
    hop: Vec<&'b str>,
}

impl<'b> Framing<'b> {
    /// Looks at one field; `Err` where it can't be trusted.
    fn look(&mut self, field: &Header<'b>) -> Result<(), Wrong> {
        let (name, value) = (field.name, field.value);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            2 if is("te") => {
                self.trailers |= list(value).any(|v| v.eq_ignore_ascii_case("trailers"));
            }
            7 if is("upgrade") => self.protocols.extend(list(value)),
            10 if is("connection") => {
                for option in list(value) {
                    if option.eq_ignore_ascii_case("close") {
                        self.close = true;
                    } else if option.eq_ignore_ascii_case("keep-alive") {
                        self.keep_alive = true;
                    } else if option.eq_ignore_ascii_case("upgrade") {
                        self.upgrade = true;
                    } else {
                        self.hop.push(option);
                    }
                }
            }
            14 if is("content-length") => {
                if self.length.is_some() {
                    return Err(Wrong::bad("more than one Content-Length"));
                }
                self.length = Some(number(value).ok_or(Wrong::bad("Content-Length"))?);
            }
            17 if is("transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Wrong::new(501, "a Transfer-Encoding other than chunked"));
                }
                self.chunked = true;
            }
            _ => {}
        }
        // Each is held against every field, or against each that the other side names.
        if self.hop.len().max(self.protocols.len()) > FIELDS_MAX {
            return Err(Wrong::new(431, "too many connection options or protocols"));
        }
        Ok(())
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// The elements of a list that are text.
fn list(value: &[u8]) -> impl Iterator<Item = &str> {
    let parts = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    parts.filter_map(|part| std::str::from_utf8(part).ok()).filter(|part| !part.is_empty())
}

/// Fields that belong to one hop (RFC 9110, 7.6.1), and those that are written anew.
fn is_hop(name: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => is("te"),
        7 => is("upgrade"),
        10 => is("connection") || is("keep-alive"),
        14 => is("http2-settings"),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        _ => false,
    }
}

/// Whether whole requests would be hidden behind a switch to this protocol, or it can't be told:
/// a quoted name is one for some readers.
fn hides_requests(protocol: &str) -> bool {
    if !protocol.bytes().all(|byte| is_token(byte) || byte == b'/') {
        return true;
    }
    let name = protocol.split_once('/').map_or(protocol, |(name, _)| name);
    ["h2c", "h2", "http", "tls"].iter().any(|hiding| name.eq_ignore_ascii_case(hiding))
}

/// Whether an answer's protocols are among those that were asked for; it must name one.
pub(super) fn agreed(asked: &str, answered: &[&str]) -> bool {
    let is_asked =
        |protocol: &&str| list(asked.as_bytes()).any(|asked| asked.eq_ignore_ascii_case(protocol));
    !answered.is_empty() && answered.iter().all(is_asked)
}

/// Fields that no `Connection` can have left away: they say where a message goes and ends.
fn is_bound(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case("content-length")
}

impl<'b> Request<'b> {
    /// Reads a head that is all there; `bytes` ends with it.
    ///
    /// # Errors
    /// What to answer.
    pub(super) fn read(bytes: &'b [u8]) -> Result<Self, Wrong> {
        let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, &mut room) {
            Ok(Status::Complete(n)) if n == bytes.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Wrong::new(431, "too many fields")),
            Err(httparse::Error::Version) => return Err(Wrong::new(505, "HTTP/1.0 or HTTP/1.1")),
            _ => return Err(Wrong::bad("not an HTTP/1.1 request")),
        }
        // A line feed alone ends a line for some and not for others.
        if memchr::memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r') {
            return Err(Wrong::bad("a line that ends without carriage return"));
        }
        let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
        let http10 = parsed.version == Some(0);
        let mut framing = Framing::default();
        let mut host = None;
        for field in parsed.headers.iter() {
            if field.name.len() == 4 && field.name.eq_ignore_ascii_case("host") {
                let value = std::str::from_utf8(field.value).ok().filter(|host| is_authority(host));
                let value = value.ok_or(Wrong::bad("Host"))?;
                if host.replace(value).is_some() {
                    return Err(Wrong::bad("more than one Host"));
                }
            }
            framing.look(field)?;
        }
        if host.is_none() && !http10 {
            return Err(Wrong::bad("one Host is needed"));
        }
        if framing.chunked && (framing.length.is_some() || http10) {
            return Err(Wrong::bad("Transfer-Encoding beside Content-Length or in HTTP/1.0"));
        }
        let (authority, path) = split(method, target)?;
        let route_path = path::routed(match path.split_once('?') {
            _ if path == "*" => "/",
            Some((path, _)) => path,
            None => path,
        });
        let body = match framing.length {
            _ if framing.chunked => Body::chunked(),
            Some(length) => Body::Length(length),
            None => Body::NONE,
        };
        let mut upgrade = framing.protocols;
        upgrade.retain(|protocol| framing.upgrade && !hides_requests(protocol));
        if !body.is_done() || http10 {
            upgrade.clear();
        }
        let named = |name: &&str| !is_bound(name);
        Ok(Self {
            method,
            path,
            route_path: route_path.map_err(|_| Wrong::bad("a path of two meanings"))?,
            authority: authority.or(host).filter(|host| !host.is_empty()),
            http10,
            keep_alive: !framing.close && (!http10 || framing.keep_alive),
            upgrade,
            body,
            absolute: authority.is_some(),
            trailers: framing.trailers,
            fields: parsed.headers.to_vec(),
            hop: framing.hop.into_iter().filter(named).collect(),
        })
    }

    /// The host without its port.
    pub(super) fn host(&self) -> Option<&'b str> {
        let authority = self.authority?;
        Some(match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        })
    }

    /// Whether asking twice is asking once (RFC 9110, 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"].contains(&self.method)
    }

    /// A field's value, for logs.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let field = self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(field.value).into_owned())
    }

    /// The head as the destination gets it, from `client` by `scheme`.
    pub(super) fn write(&self, out: &mut Vec<u8>, client: &str, scheme: &str) {
        for part in [self.method, " ", self.path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        if self.absolute || self.authority.is_none() {
            put(out, "host", self.authority.unwrap_or_default().as_bytes());
        }
        let mut forwarded = Vec::new();
        for field in &self.fields {
            let is = |other: &str| field.name.eq_ignore_ascii_case(other);
            match field.name.len() {
                4 if (self.absolute || self.authority.is_none()) && is("host") => {}
                15 if is("x-forwarded-for") => {
                    forwarded.extend_from_slice(field.value);
                    forwarded.extend_from_slice(b", ");
                }
                17 if is("x-forwarded-proto") => {}
                23 if is("x-forwarded-client-cert") => {}
                9.. if is_ours_to_say(field.name) => {}
                _ if is_hop(field.name) || listed(&self.hop, field.name) => {}
                _ => put(out, field.name, field.value),
            }
        }
        if matches!(self.body, Body::Chunked(_)) {
            put(out, "transfer-encoding", b"chunked");
        }
        if !self.upgrade.is_empty() {
            put(out, "connection", b"upgrade");
            put(out, "upgrade", self.upgrade.join(", ").as_bytes());
        } else if self.trailers {
            put(out, "connection", b"te");
            put(out, "te", b"trailers");
        }
        forwarded.extend_from_slice(client.as_bytes());
        put(out, "x-forwarded-for", &forwarded);
        put(out, "x-forwarded-proto", scheme.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Splits a request's target into authority and path (RFC 9112, 3.2).
fn split<'b>(method: &str, target: &'b str) -> Result<(Option<&'b str>, &'b str), Wrong> {
    if method == "CONNECT" {
        return Err(Wrong::new(405, "CONNECT: this is no forward proxy"));
    }
    if target.contains('#') {
        return Err(Wrong::bad("a fragment in the target"));
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok((None, target));
    }
    let schemes = ["http://", "https://"];
    let scheme = schemes.iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let rest = scheme.and_then(|scheme| target.get(scheme.len()..));
    let rest = rest.ok_or(Wrong::bad("the target"))?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None if !rest.contains('?') => (rest, "/"),
        None => return Err(Wrong::bad("the target")),
    };
    if authority.is_empty() || !is_authority(authority) {
        return Err(Wrong::bad("the target's host"));
    }
    Ok((Some(authority), path))
}

/// Whether a text can be a host and port (RFC 3986, 3.2.2), without user.
fn is_authority(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&b))
}

/// Fields by which the mesh's own proxies tell each other what they know of a client; and any of
/// those that we write, disguised as applications undo it that take `_` for `-`.
fn is_ours_to_say(name: &str) -> bool {
    if !name.starts_with(['x', 'X']) {
        return false;
    }
    let begins = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    begins("x-envoy-") || (name.contains('_') && says_who_asks(&name.replace('_', "-")))
}

fn listed(hop: &[&str], name: &str) -> bool {
    hop.iter().any(|hop| hop.eq_ignore_ascii_case(name))
}

fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A response's head.
#[derive(Debug)]
pub(super) struct Response<'b> {
    pub(super) status: u16,
    pub(super) body: Body,
    /// The destination will take another request on this connection.
    pub(super) keep_alive: bool,
    reason: &'b str,
    /// What it switches to.
    pub(super) protocols: Vec<&'b str>,
    fields: Vec<Header<'b>>,
    hop: Vec<&'b str>,
    /// A length that chunks overrule is left away, and one of an answer that can have none.
    without_length: bool,
}

/// How a response goes on to the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Onward {
    pub(super) http10: bool,
    pub(super) keep_alive: bool,
}

impl<'b> Response<'b> {
    /// Reads a head that is all there; `to_head`: it answers HEAD.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &'b [u8], to_head: bool) -> Result<Self, &'static str> {
        let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut room) {
            Ok(Status::Complete(n)) if n == bytes.len() => {}
            _ => return Err("it is not an HTTP/1.1 response"),
        }
        let status = parsed.code.filter(|code| (100..600).contains(code));
        let status = status.ok_or("its status is none")?;
        let http10 = parsed.version == Some(0);
        let mut framing = Framing::default();
        for field in parsed.headers.iter() {
            framing.look(field).map_err(|wrong| wrong.why)?;
        }
        let body = match framing.length {
            _ if to_head || status < 200 || matches!(status, 204 | 304) => Body::NONE,
            _ if framing.chunked => Body::chunked(),
            Some(length) => Body::Length(length),
            None => Body::UntilClose,
        };
        let both = framing.chunked && framing.length.is_some();
        Ok(Self {
            status,
            keep_alive: !framing.close && !http10 && !both && body != Body::UntilClose,
            body,
            reason: parsed.reason.unwrap_or_default(),
            protocols: framing.protocols,
            fields: parsed.headers.to_vec(),
            hop: framing.hop.into_iter().filter(|name| !is_bound(name)).collect(),
            without_length: both || status < 200 || status == 204,
        })
    }

    /// The head as the client gets it.
    pub(super) fn write(&self, out: &mut Vec<u8>, onward: Onward) {
        out.extend_from_slice(b"HTTP/1.1 ");
        let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
        out.extend([digit(self.status / 100), digit(self.status / 10), digit(self.status), b' ']);
        out.extend_from_slice(self.reason.as_bytes());
        out.extend_from_slice(b"\r\n");
        for field in &self.fields {
            let length = self.without_length && field.name.eq_ignore_ascii_case("content-length");
            if !length && !is_hop(field.name) && !listed(&self.hop, field.name) {
                put(out, field.name, field.value);
            }
        }
        if matches!(self.body, Body::Chunked(_)) && !onward.http10 {
            put(out, "transfer-encoding", b"chunked");
        }
        match self.status {
            101 => {
                put(out, "connection", b"upgrade");
                put(out, "upgrade", self.protocols.join(", ").as_bytes());
            }
            100..200 => {}
            _ if !onward.keep_alive => put(out, "connection", b"close"),
            _ if onward.http10 => put(out, "connection", b"keep-alive"),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether bytes can be the beginning of a request at all.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|byte| is_token(*byte) || matches!(byte, b'\r' | b'\n'))
}

#[cfg(test)]
mod tests;
