//! Addresses in one line of text: sockets, URLs, tuples, key-value pairs.
//!
//! Must not know which of them refused; `peer` chooses.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use super::reading::Host;
use super::telling::tail;

/// At most this many words of a line are looked at.
const WORDS_MAX: usize = 4096;

/// What the name before a value says about whose address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// `host=`, `target_address`, `upstream:` and the like.
    Peer,
    /// nginx's `upstream:`, which beats every other name.
    Upstream,
    /// `client`, `local`, `listening on`, file names' keys: never the destination.
    Own,
    /// No name.
    Unsaid,
}

/// An address and where it stands in the line.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    pub(super) at: Range<usize>,
    pub(super) side: Side,
    /// A bare word: only its key, its quotes or a following `port N` make it a host.
    pub(super) bare: bool,
}

/// Words that stand before `port N` or behind `host:` without being a host.
const NOUNS: &[&str] = &[
    "host",
    "connection",
    "econnrefused",
    "address",
    "connect",
    "refused",
    "server",
    "any",
    "or",
    "and",
    "ipv4",
    "ipv6",
    "the",
    "on",
    "with",
    "hostname",
    "to",
    "invalid",
    "in",
    "name",
    "local",
];
/// Words before a quoted host.
const LEADS: &[&str] = &["on", "host", "at", "server", "for"];

struct Word<'a> {
    at: Range<usize>,
    text: &'a str,
}

fn divides(b: u8) -> bool {
    b <= b' ' || b >= 0x7f || b"\"'`,;(){}<>|".contains(&b)
}

/// Splits at blanks, quotes, brackets; keeps `[v6]:port` and URLs whole.
fn words(line: &str) -> Vec<Word<'_>> {
    let bytes = line.as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < bytes.len() && out.len() < WORDS_MAX {
        if divides(bytes[i]) || bytes[i] == b']' || bytes[i] == b'[' && !v6_bracket(bytes, i) {
            i += 1;
            continue;
        }
        let start = i;
        while i < bytes.len() && !divides(bytes[i]) {
            match bytes[i] {
                b'[' => match v6_bracket(bytes, i) {
                    true => i += bytes[i..].iter().position(|b| *b == b']').unwrap_or(0),
                    false => break,
                },
                b']' => break,
                b':' if bytes[i..].starts_with(b"://") => i = authority(bytes, i + 3) - 1,
                _ => {}
            }
            i += 1;
        }
        out.push(Word { at: start..i, text: &line[start..i] });
    }
    out
}

/// Where the credentials of a URL end, if it has any, so that no divider in them cuts it.
fn authority(bytes: &[u8], from: usize) -> usize {
    let stop = bytes[from..]
        .iter()
        .take(256)
        .position(|b| *b <= b' ' || b"\"'`/?#<>".contains(b))
        .map_or((from + 256).min(bytes.len()), |n| from + n);
    bytes[from..stop].iter().rposition(|b| *b == b'@').map_or(from, |n| from + n)
}

fn v6_bracket(bytes: &[u8], at: usize) -> bool {
    let inner = &bytes[at + 1..];
    let Some(end) = inner.iter().take(64).position(|b| *b == b']') else { return false };
    let inner = &inner[..end];
    inner.iter().filter(|b| **b == b':').count() >= 2
        && std::str::from_utf8(inner).is_ok_and(|s| v6(s).is_some())
}

fn v6(text: &str) -> Option<IpAddr> {
    let bare = text.split('%').next().unwrap_or(text);
    bare.parse::<Ipv6Addr>().ok().map(|ip| IpAddr::V6(ip).to_canonical())
}

/// All addresses of a line, in order.
pub(super) fn find(line: &str) -> Vec<Address> {
    let mut finder = Finder { line, out: Vec::new(), key: None, port: None, previous: 0..0 };
    let words = words(line);
    for (i, word) in words.iter().enumerate() {
        finder.word(word, words.get(i + 1));
        finder.previous = word.at.clone();
    }
    finder.out
}

struct Finder<'a> {
    line: &'a str,
    out: Vec<Address>,
    /// The name that the next value belongs to.
    key: Option<&'a str>,
    /// A port that came before its host (`"port":6379,"address":…`).
    port: Option<u16>,
    previous: Range<usize>,
}

impl<'a> Finder<'a> {
    fn word(&mut self, word: &Word<'a>, next: Option<&Word<'a>>) {
        let key = self.key.take();
        let (mut text, mut at) = (word.text, word.at.clone());
        let plain = |b: u8| b.is_ascii_alphabetic() || b == b'-';
        if key.is_none() && text.bytes().all(plain) && !text.ends_with('-') {
            return self.bare(text, at, None, next);
        }
        if text.chars().all(|c| matches!(c, ':' | '=' | '-' | '>')) {
            self.key = text.starts_with([':', '=']).then(|| self.previous_word());
            return;
        }
        let mut key = key;
        if !text.starts_with("::")
            && let Some(value) = text.strip_prefix([':', '='])
        {
            if self.attach_colon_port(value, &at) {
                return;
            }
            key = Some(self.previous_word());
            text = value;
            at.start += 1;
        } else if let Some((name, value)) = key_value(text) {
            key = Some(name);
            at.start += name.len() + 1;
            text = value;
            if value.is_empty() {
                self.key = key;
                return;
            }
        } else if let Some(name) = text.strip_suffix(':')
            && is_key(name)
        {
            self.key = Some(name);
            if !ends_with_key(name, "port") || next.is_none() {
                self.bare(name, at, None, next);
            }
            return;
        }
        // `10.1.2.3:41234->10.0.0.1:6379`: the left side is the pod's own.
        if text.ends_with('-') && self.line[at.end..].starts_with('>') {
            return;
        }
        if self.port_word(text, &at, key) || self.unresolved(text, &at) {
            return;
        }
        // `cache:11211:CONNECTION`: what is said of the address follows without a blank.
        if let Some((head, last)) = text.rsplit_once(':')
            && !last.is_empty()
            && last.bytes().all(|b| b.is_ascii_alphabetic())
            && host_port(head, false).is_some_and(|(_, port)| port.is_some())
        {
            at.end = at.start + head.len();
            text = head;
        }
        let side = self.side(key, &at);
        let mut found = socket(text, self.node_style(), &at);
        if found.is_empty() {
            self.bare(text, at, key, next);
            return;
        }
        for address in &mut found {
            address.side = side;
            if address.port.is_none() {
                address.port = tuple_port(self.line, &at, next).or(self.port.take());
            }
        }
        self.out.append(&mut found);
    }

    fn previous_word(&self) -> &'a str {
        self.line[self.previous.clone()].trim_matches([':', '='])
    }

    /// `|10.0.0.1|:80`, `"h":80` directly after a host without a port.
    fn attach_colon_port(&mut self, value: &str, at: &Range<usize>) -> bool {
        let Some(port) = port_number(value.trim_end_matches(['.', ':', '?'])) else {
            return false;
        };
        match self.out.last_mut() {
            Some(last) if last.port.is_none() && at.start <= last.at.end + 2 => {
                last.port = Some(port);
                last.at.end = at.end;
                true
            }
            _ => false,
        }
    }

    /// A number that a `port` before it names.
    fn port_word(&mut self, text: &str, at: &Range<usize>, key: Option<&str>) -> bool {
        let named = match key {
            Some(key) => ends_with_key(key, "port"),
            None => self.previous_word().eq_ignore_ascii_case("port"),
        };
        if !named {
            return false;
        }
        let Some(mut port) = port_number(text.trim_end_matches(['.', ':', '?', '!'])) else {
            return false;
        };
        // DB2's driver writes numbers for people: `port 50,000`.
        let rest = self.line[at.end..].strip_prefix(',').unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if text.len() <= 2 && digits == 3 {
            port = rest[..3]
                .parse()
                .ok()
                .and_then(|low: u16| port.checked_mul(1000)?.checked_add(low))
                .unwrap_or(port);
        }
        let near = self.previous.end.saturating_sub(120);
        let mut given = false;
        for last in self.out.iter_mut().rev().take(2) {
            if last.port.is_some() || last.at.end < near {
                break;
            }
            last.port = Some(port);
            given = true;
        }
        if !given {
            self.port = Some(port);
        }
        true
    }

    /// Netty's `redis/<unresolved>:6379`.
    fn unresolved(&mut self, text: &str, at: &Range<usize>) -> bool {
        let Some(name) = text.strip_suffix('/').and_then(host_name) else { return false };
        let Some(rest) = self.line[at.end..].strip_prefix("<unresolved>:") else { return false };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Some(port) = port_number(&rest[..digits]) else { return false };
        let end = at.end + "<unresolved>:".len() + digits;
        self.push(Host::Name(name), Some(port), at.start..end, Side::Unsaid, false);
        true
    }

    fn push(&mut self, host: Host, port: Option<u16>, at: Range<usize>, side: Side, bare: bool) {
        self.out.push(Address { host, port, at, side, bare });
    }

    /// `connect ECONNREFUSED ::1:6379`: Node writes no brackets.
    fn node_style(&self) -> bool {
        self.previous_word().eq_ignore_ascii_case("econnrefused")
    }

    /// A word without a port: a host only by its key, its quotes or what follows.
    fn bare(&mut self, text: &str, at: Range<usize>, key: Option<&str>, next: Option<&Word<'a>>) {
        let bytes = self.line.as_bytes();
        let mark = |b: Option<&u8>| matches!(b, Some(b'\'' | b'"' | b'`'));
        let quoted = at.start > 0 && mark(bytes.get(at.start - 1)) && mark(bytes.get(at.end));
        // Prisma's "`db`:`5432`"; every other quoted word before a colon is a key.
        let marked = self.line[at.end..].strip_prefix("`:`").and_then(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            port_number(&rest[..digits])
        });
        if quoted && marked.is_none() && bytes.get(at.end + 1) == Some(&b':') {
            return;
        }
        // `"kind":"NotReachable","port":5432`: a value of another name is no host.
        let nameless = key.is_none() || self.side(key, &at) == Side::Peer;
        let port_follows = nameless
            && next.is_some_and(|n| {
                let word = n.text.split(['=', ':']).next().unwrap_or_default();
                word.eq_ignore_ascii_case("port")
            });
        let ip_follows = next.is_some_and(|n| {
            let gap = self.line.get(at.end..n.at.start);
            matches!(gap, Some(" (" | "\" (" | "' (" | " [")) && n.text.parse::<IpAddr>().is_ok()
        });
        // `to host db.svc and port 5432`
        let dotted = text.contains('.') && self.previous_word().eq_ignore_ascii_case("host");
        // DB-Library's `… does not exist (db.svc)`, at the end.
        let ends = self.line[at.end..].strip_prefix(')').is_some_and(|rest| rest.trim().is_empty());
        let bracketed = self.line[..at.start].ends_with('(') && ends;
        let bracketed = bracketed && text.contains('.') && !is_source(text);
        // Most words end here, before anything is allocated.
        if !quoted && key.is_none() && !port_follows && !ip_follows && !dotted && !bracketed {
            return;
        }
        let Some(name) = host_name(text.trim_end_matches(['.', ':'])) else { return };
        // `host: Connection refused` is prose; `host: 'db'` and `host=db` are not.
        let assigned = quoted || at.start > 0 && bytes[at.start - 1] == b'=';
        if !assigned && NOUNS.contains(&name.as_str()) {
            return;
        }
        let port = tuple_port(self.line, &at, next).filter(|_| quoted);
        let beside = self.line.get(self.previous.end..at.start).is_some_and(|gap| gap.len() <= 3)
            && !self.line[self.previous.end..at.start].contains(',');
        let led =
            quoted && beside && LEADS.iter().any(|l| self.previous_word().eq_ignore_ascii_case(l));
        let side = self.side(key, &at);
        // Rust's tracing names the module that logs so.
        let module = key.is_some_and(|k| k.eq_ignore_ascii_case("target"));
        let keyed = key.is_some() && side == Side::Peer && assigned && !module;
        let named =
            led || keyed || port_follows || ip_follows || key.is_none() && (dotted || bracketed);
        if port.is_none() && !named {
            return;
        }
        let port = port.or(marked).or_else(|| if keyed { self.port.take() } else { None });
        self.push(Host::Name(name), port, at, side, true);
    }

    fn side(&self, key: Option<&str>, at: &Range<usize>) -> Side {
        if let Some(key) = key {
            let key = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
            if key == "upstream" {
                return Side::Upstream;
            }
            if OWN.contains(&key.as_str()) {
                return Side::Own;
            }
            if PEER.iter().any(|p| ends_with_key(&key, p)) {
                return Side::Peer;
            }
        }
        let before = tail(&self.line[..at.start], 32).to_ascii_lowercase();
        let before = before.trim_end_matches([' ', '"', '\'', '[', '(', ':', '=']);
        const OWN_LEADS: &[&str] = &[
            "client",
            "from",
            "local",
            "listening on",
            "listen",
            "bind",
            "binding",
            "source",
            "listening at",
            "started on",
            "running on",
            "running at",
            "serving on",
            "bound to",
            "server started on port",
            "available at",
            "listening on http",
            "pod",
            "version",
        ];
        match OWN_LEADS.iter().any(|lead| before.ends_with(lead)) {
            true => Side::Own,
            false => Side::Unsaid,
        }
    }
}

/// Names of the other end.
const PEER: &[&str] = &[
    "address",
    "addr",
    "host",
    "remote",
    "peer",
    "server",
    "endpoint",
    "target",
    "url",
    "uri",
    "destination",
    "dest",
    "dst",
    "broker",
    "brokers",
    "backend",
    "dsn",
    "ip",
    "hosts",
    "servers",
    "endpoints",
];
/// Names of this end, or of no end at all.
const OWN: &[&str] = &[
    "client",
    "client_ip",
    "clientip",
    "local",
    "localaddress",
    "local_address",
    "local_addr",
    "laddr",
    "localaddr",
    "source",
    "source_ip",
    "src",
    "src_ip",
    "from",
    "pod",
    "pod_ip",
    "podip",
    "pod_name",
    "node_ip",
    "nodeip",
    "listen",
    "listen_addr",
    "bind",
    "bind_address",
    "bindaddress",
    "listenaddr",
    "listenaddress",
    "listen_address",
    "request",
    "referrer",
    "referer",
    "logger",
    "caller",
    "file",
    "line",
    "time",
    "timestamp",
    "ts",
    "version",
    "image",
    "instance",
    "hostname",
    "remote_ip",
    "remoteip",
    "x-forwarded-for",
    "user_agent",
    "useragent",
    "downstream",
    "peer_service",
    "hostip",
    "host_ip",
    "name",
    "container",
    "namespace",
    "node_name",
    "nodename",
];

/// `db_host`, `target_address`, `redisHost` all end with their key.
fn ends_with_key(key: &str, suffix: &str) -> bool {
    let at = key.len().checked_sub(suffix.len());
    at.and_then(|at| key.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

fn is_key(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '@')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-@".contains(&b))
}

fn key_value(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    is_key(name).then_some((name, value))
}

fn port_number(text: &str) -> Option<u16> {
    (1..=5).contains(&text.len()).then_some(())?;
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok().filter(|p| *p > 0)
}

/// `('172.30.32.2', 80)`, `{"h",80}`: the number right after a host.
fn tuple_port(line: &str, at: &Range<usize>, next: Option<&Word<'_>>) -> Option<u16> {
    let next = next?;
    let gap = line.get(at.end..next.at.start)?;
    let gap = gap.trim_start_matches(['\'', '"', '`']);
    (gap == ", " || gap == ",").then_some(())?;
    port_number(next.text)
}

/// A host name as DNS and Kubernetes allow it, in lowercase; no bare numbers, no keywords.
fn host_name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let fits = (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..");
    const NEVER: &[&str] = &[
        "null",
        "none",
        "undefined",
        "nil",
        "unknown",
        "true",
        "false",
        "that",
        "this",
        "errno",
        "code",
        "line",
        "error",
        "err",
        "pid",
        "port",
        "status",
        "statuscode",
        "retries",
        "retry",
        "attempt",
        "attempts",
        "exit",
        "sqlstate",
        "tid",
        "level",
        "count",
        "ssl",
        "tls",
        "time",
        "ts",
        "uid",
        "gid",
        "col",
        "column",
        "errcode",
        "rc",
        "ret",
        "version",
        "elapsed",
        "took",
        "length",
        "size",
        "offset",
        "thread",
        "timeout",
        "remote",
        "tcp",
        "udp",
        "http",
        "https",
    ];
    let lower = fits.then(|| text.to_ascii_lowercase())?;
    (!NEVER.contains(&lower.as_str())).then_some(lower)
}

/// Default ports of URL schemes that clients leave out.
fn default_port(scheme: &str) -> Option<u16> {
    let scheme = scheme.rsplit([':', '+']).next().unwrap_or(scheme);
    Some(match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "redis" | "rediss" => 6379,
        "amqp" => 5672,
        "amqps" => 5671,
        "postgres" | "postgresql" => 5432,
        "mysql" | "mariadb" => 3306,
        "mongodb" => 27017,
        "nats" => 4222,
        "ldap" => 389,
        "ldaps" => 636,
        "smtp" => 25,
        "ssh" => 22,
        "ftp" => 21,
        "git" => 9418,
        "bolt" | "neo4j" => 7687,
        _ => return None,
    })
}

/// Reads one word as an address; a pair where it names both host and IP.
fn socket(text: &str, node_style: bool, at: &Range<usize>) -> Vec<Address> {
    let mut out = Vec::new();
    let mut add = |host: Host, port: Option<u16>| {
        out.push(Address { host, port, at: at.clone(), side: Side::Unsaid, bare: false });
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        if let Some((host, port)) = url(scheme, rest) {
            add(host, port);
        }
        return out;
    }
    let mut text = text.trim_end_matches(['.', ':', '!', '?', '&', '*', '\\', '-']);
    // bash's own sockets.
    if let Some(rest) = text.strip_prefix("/dev/tcp/").or(text.strip_prefix("/dev/udp/")) {
        let pair = rest.split_once('/').map(|(host, port)| format!("{host}:{port}"));
        if let Some((host, port)) = pair.and_then(|p| host_port(&p, false)) {
            add(host, port);
        }
        return out;
    }
    for prefix in ["ipv4:", "ipv6:", "ipv4#", "ipv6#", "dns:", "tcp:", "inet:", "udp:"] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let decoded;
    if text.contains("%5B") || text.contains("%5b") {
        decoded = text
            .replace("%5B", "[")
            .replace("%5b", "[")
            .replace("%5D", "]")
            .replace("%5d", "]")
            .replace("%25", "%");
        text = &decoded;
    }
    text = text.rsplit('@').next().unwrap_or(text);
    if let Some((before, after)) = text.split_once('/') {
        // `host/10.0.0.1:5672` and `/10.0.0.1:8443` are Java's; else a path follows.
        let ip = after.split('/').next().and_then(|s| host_port(s, node_style));
        if let Some((host @ Host::Ip(_), port)) = ip
            && (port.is_some() || before.is_empty() || !before.bytes().all(|b| b.is_ascii_digit()))
            && host_or_empty(before)
        {
            if let Some(name) = host_name(before) {
                add(Host::Name(name), port);
            }
            add(host, port);
            return out;
        }
        let cidr = after.len() <= 3 && after.bytes().all(|b| b.is_ascii_digit());
        if cidr && host_port(before, node_style).is_some_and(|(_, port)| port.is_none()) {
            return out;
        }
        text = before;
    }
    if let Some((host, port)) = host_port(text, node_style) {
        add(host, port);
    }
    out
}

fn host_or_empty(before: &str) -> bool {
    before.is_empty() || host_name(before).is_some() || before.parse::<IpAddr>().is_ok()
}

fn url(scheme: &str, rest: &str) -> Option<(Host, Option<u16>)> {
    let scheme = scheme.to_ascii_lowercase();
    if matches!(scheme.as_str(), "unix" | "file" | "jar" | "classpath") || rest.starts_with("unix:")
    {
        return None;
    }
    // gRPC's `dns:///host:port` has no authority, `dns://server/host:port` another one's.
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    if !matches!(scheme.as_str(), "http" | "https" | "ws" | "wss")
        && let Some((_, path)) = rest.split_once('/')
        && let Some((Host::Name(_) | Host::Ip(_), Some(_))) = host_port(path, false)
    {
        return host_port(path, false);
    }
    let end = rest.rfind('@').filter(|n| !rest[..*n].contains(['/', '?', '#']));
    let rest = end.map_or(rest, |n| &rest[n + 1..]);
    let authority = &rest[..rest.find(['/', '?', '#', '&', '\\']).unwrap_or(rest.len())];
    let authority = authority.trim_end_matches(['.', ':', '!', '*']);
    let (host, port) = match host_port(authority, false) {
        Some(pair) => pair,
        None => (Host::Name(host_name(authority)?), None),
    };
    Some((host, port.or_else(|| default_port(&scheme))))
}

/// `10.0.0.1`, `10.0.0.1:80`, `[::1]:80`, `::1`, `db.svc:5432`.
fn host_port(text: &str, node_style: bool) -> Option<(Host, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, rest) = rest.split_once(']')?;
        let port = rest.strip_prefix(':').and_then(port_number);
        return Some((Host::Ip(v6(inner)?), port));
    }
    match text.bytes().filter(|b| *b == b':').count() {
        0 => text.parse::<IpAddr>().ok().map(|ip| (Host::Ip(ip), None)),
        1 => {
            let (host, port) = text.split_once(':')?;
            let port = port_number(port)?;
            if let Ok(ip) = host.parse::<IpAddr>() {
                return Some((Host::Ip(ip), Some(port)));
            }
            // Image tags (`redis:7`) and places in source files (`app.py:12`) look the same.
            if port < 20 || is_source(host) {
                return None;
            }
            Some((Host::Name(host_name(host)?), Some(port)))
        }
        _ => {
            let (head, last) = text.rsplit_once(':')?;
            let mapped = head.to_ascii_lowercase().starts_with("::ffff:") && head.contains('.');
            if (node_style || head == "::1" || head == "::" || mapped)
                && let (Some(ip), Some(port)) = (v6(head), port_number(last))
            {
                return Some((Host::Ip(ip), Some(port)));
            }
            if let Some(ip) = v6(text) {
                return Some((Host::Ip(ip), None));
            }
            Some((Host::Ip(v6(head)?), Some(port_number(last)?)))
        }
    }
}

/// Whether `name` before a number is a source file or a class, not a host.
fn is_source(name: &str) -> bool {
    const EXTENSIONS: &[&str] = &[
        "js", "ts", "mjs", "cjs", "jsx", "tsx", "java", "py", "pyx", "go", "rb", "rs", "kt", "kts",
        "scala", "php", "cs", "fs", "vb", "c", "cc", "cpp", "cxx", "h", "hpp", "m", "mm", "ex",
        "exs", "erl", "hrl", "hs", "ml", "mli", "pl", "pm", "lua", "swift", "dart", "clj", "cljs",
        "cljc", "groovy", "vue", "svelte", "sh", "bash", "sql", "yml", "yaml", "json", "xml",
        "conf", "ini", "toml", "html", "htm", "log", "txt", "so", "jar", "class", "r", "jl", "zig",
        "nim", "cr", "d", "f90", "tcl", "ps1", "proto", "tf",
    ];
    let Some((head, last)) = name.rsplit_once('.') else { return false };
    let class = last.starts_with(|c: char| c.is_ascii_uppercase())
        && last.contains(|c: char| c.is_ascii_lowercase());
    !head.is_empty() && (class || EXTENSIONS.contains(&last.to_ascii_lowercase().as_str()))
}
