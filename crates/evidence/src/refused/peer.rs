//! Which of a line's addresses is the one that refused.
//!
//! Must not know families one by one: nearness, glue words and keys decide.

use std::ops::Range;

use super::address::{Address, Side};
use super::reading::{Destination, Host, Strength};
use super::telling::Telling;

/// At most this many destinations are kept for one error.
pub(super) const DESTINATIONS_MAX: usize = 16;

/// From this score on an address is the telling words' own.
const SURE: i32 = 80;
/// Below this score an address merely is in the same line.
const NEAR: i32 = 50;

/// Words that may stand between an address and the telling words after it.
const GLUE_BEFORE: &[&str] = &[
    "connect",
    "connection",
    "failed",
    "error",
    "err",
    "errno",
    "dial",
    "tcp",
    "udp",
    "getsockopt",
    "read",
    "finishconnect",
    "os",
    "syscall",
    "was",
    "is",
    "has",
    "been",
    "ms",
    "after",
    "port",
    "io",
    "exception",
    "java",
    "net",
    "connectexception",
    "reason",
    "cause",
    "caused",
    "by",
    "msg",
    "message",
    "because",
    "socket",
    "socketexception",
    "ssl",
    "default",
    "remote",
    "host",
    "with",
    "http",
    "https",
    "could",
    "not",
    "be",
    "established",
    "couldn",
    "t",
    "to",
    "operationalerror",
    "s",
    "system",
    "sockets",
    "transport",
    "trying",
    "newconnectionerror",
    "new",
    "a",
    "establish",
    "max",
    "retries",
    "exceeded",
    "url",
    "object",
    "at",
    "last",
    "refused",
    "none",
    "dead",
    "urlopen",
    "oserror",
    "unavailable",
    "unknown",
    "backend",
    "proxy",
    "node",
    "response",
];
/// Words that may stand between the telling words and an address after them.
const GLUE_AFTER: &[&str] = &[
    "connect",
    "for",
    "to",
    "on",
    "at",
    "host",
    "address",
    "errno",
    "syscall",
    "port",
    "code",
    "connecting",
    "upstream",
    "ip",
    "addr",
    "remote",
    "remoteaddress",
    "server",
    "socket",
    "os",
    "error",
    "by",
    "executing",
    "get",
    "post",
    "put",
    "delete",
    "head",
    "patch",
    "calling",
    "peer",
    "target",
    "call",
    "failed",
    "endpoint",
    "url",
    "uri",
    "econnrefused",
    "connection",
    "refused",
    "while",
    "with",
    "attempt",
    "ah00957",
    "ah01114",
    "http",
    "proxy",
    "fcgi",
    "ajp",
    "tried",
    "reaching",
    "accessing",
    "contacting",
    "when",
    "the",
    "trying",
    "dialing",
    "destination",
    "hostname",
    "system",
    "net",
    "sockets",
    "socketexception",
    "opening",
    "sending",
    "request",
];

/// What [`choose`] found.
pub(super) struct Chosen {
    pub(super) destinations: Vec<Destination>,
    /// They stand beside the telling words; else merely somewhere in the same line.
    pub(super) beside: bool,
}

/// The addresses that belong to a line's telling words, in their order.
pub(super) fn choose(lower: &str, tellings: &[Telling], found: &[Address]) -> Chosen {
    let proxy_log = lower.contains("while connecting to upstream");
    // In nginx's error log `host:` and `server:` are what the client asked for.
    let request_log = lower.contains(", client: ") && lower.contains(", server: ");
    let quoted = |a: &Address| tellings.iter().any(|t| overlaps(a, t) && !t.holds_address());
    let usable = |a: &&Address| match a.side {
        Side::Own => false,
        Side::Upstream => true,
        Side::Peer if request_log => false,
        _ => !proxy_log && !quoted(a),
    };
    let found: Vec<&Address> = found.iter().filter(usable).collect();
    let best = |telling: &Telling| {
        let scores = found.iter().enumerate();
        let scores = scores.filter_map(|(i, a)| Some((score(lower, telling, a)?, i)));
        scores.max_by_key(|(score, i)| (*score, std::cmp::Reverse(*i)))
    };
    let best: Vec<(i32, usize)> = tellings.iter().filter_map(best).collect();
    // One error told several times over: where one telling has its address beside it, another
    // that only finds one somewhere in the line has none of its own.
    let sure = best.iter().any(|(score, _)| *score >= SURE);
    let beside = best.iter().any(|(score, _)| *score >= NEAR);
    let mut chosen: Vec<usize> = Vec::new();
    for (_, i) in best.into_iter().filter(|(score, _)| !sure || *score >= NEAR) {
        with_neighbours(lower, &found, i, &mut chosen);
    }
    partners(&found, &mut chosen);
    chosen.sort_unstable();
    chosen.dedup();
    let mut out = Vec::new();
    // `es:9200 [es/10.0.0.3]`: one port for all that stand together.
    let mut ports: Vec<u16> = chosen.iter().filter_map(|i| found[*i].port).collect();
    ports.dedup();
    let common = if let [port] = ports[..] { Some(port) } else { None };
    // Dart prints the local port of the socket beside the remote address.
    let dart = lower.contains("(os error: connection refused, errno");
    if dart {
        let again = |a: &&Address| chosen.iter().any(|i| found[*i].host == a.host);
        chosen = (0..found.len()).filter(|n| again(&found[*n])).collect();
    }
    for i in chosen {
        let port = found[i].port.or(common).filter(|port| !(dart && *port >= 32_768));
        add(&mut out, Destination { host: found[i].host.clone(), port });
    }
    Chosen { destinations: out, beside }
}

fn overlaps(address: &Address, telling: &Telling) -> bool {
    address.at.start < telling.span.end && telling.span.start < address.at.end
}

/// Adds a destination unless it is there; one without a port is filled in by one that has it.
pub(super) fn add(to: &mut Vec<Destination>, destination: Destination) {
    for known in to.iter_mut().filter(|k| k.host == destination.host) {
        if destination.port.is_none() || known.port == destination.port {
            return;
        }
        if known.port.is_none() {
            known.port = destination.port;
            return;
        }
    }
    if to.len() < DESTINATIONS_MAX {
        to.push(destination);
    }
}

/// How well an address fits; `None` where it does not.
fn score(lower: &str, telling: &Telling, address: &Address) -> Option<i32> {
    let span = &telling.span;
    if address.at.start >= span.start && address.at.end <= span.end {
        return Some(130);
    }
    let before = address.at.end <= span.start;
    let gap = match before {
        true => lower.get(address.at.end..span.start)?,
        false => lower.get(span.end..address.at.start)?,
    };
    let distance = i32::try_from(gap.len()).unwrap_or(i32::MAX);
    let weak = telling.strength == Strength::Weak;
    let glue = distance <= 200 && glued(gap, if before { GLUE_BEFORE } else { GLUE_AFTER });
    // "Can't connect to MySQL server on 'db'": what it is stands before where it is.
    let glue =
        glue || weak && !before && distance <= 40 && !gap.contains(['.', ':', ';', ',', '(']);
    let keyed = matches!(address.side, Side::Peer | Side::Upstream);
    let mut score = match (glue, before) {
        (true, true) => 100 - distance / 4 + if gap.starts_with([':', ')']) { 15 } else { 0 },
        (true, false) => {
            100 - distance / 4
                + if telling.form == "node-connect" || telling.form == "errno-word" {
                    20
                } else {
                    0
                }
        }
        (false, true) => 50 - distance / 20,
        (false, false) => 40 - distance / 20 + if weak { 15 } else { 0 },
    };
    if keyed {
        score += 15;
    }
    // A number without a port in the middle of nowhere may be a version or a count.
    let naked = address.port.is_none() && !glue && !keyed;
    let far = distance > 600 && !keyed;
    if address.bare && address.port.is_none() && !glue || far {
        return None;
    }
    Some(score - if naked { 20 } else { 0 })
}

fn glued(gap: &str, words: &[&str]) -> bool {
    // A sentence's end or another error in between belongs to somebody else.
    gap.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty() && !w.bytes().all(|b| b.is_ascii_digit()))
        .all(|w| words.contains(&w))
}

/// Takes an address together with the list it stands in.
fn with_neighbours(lower: &str, found: &[&Address], i: usize, chosen: &mut Vec<usize>) {
    chosen.push(i);
    let listed = |a: &Range<usize>, b: &Range<usize>| {
        a == b
            || lower.get(a.end..b.start).is_some_and(|gap| {
                gap.len() <= 8 && gap.bytes().all(|c| b" ,;[]()'\"/".contains(&c))
            })
    };
    let (mut from, mut to) = (i, i);
    while from > 0 && listed(&found[from - 1].at, &found[from].at) {
        from -= 1;
        chosen.push(from);
    }
    while to + 1 < found.len() && listed(&found[to].at, &found[to + 1].at) {
        to += 1;
        chosen.push(to);
    }
}

/// Adds the name that a chosen IP was dialled by, or the one IP of a chosen name: the same port
/// elsewhere in the line.
fn partners(found: &[&Address], chosen: &mut Vec<usize>) {
    let ip = |a: &Address| matches!(a.host, Host::Ip(_));
    for i in chosen.clone() {
        let Some(port) = found[i].port else { continue };
        let other = |a: &&Address| ip(a) != ip(found[i]) && a.port == Some(port);
        let mut others: Vec<&Host> =
            found.iter().copied().filter(|a| other(a)).map(|a| &a.host).collect();
        others.dedup();
        if ip(found[i]) || others.len() == 1 {
            chosen.extend((0..found.len()).filter(|n| other(&found[*n])));
        }
    }
}
