//! Words that tell of a connection that could not be made, without saying why; and the words that
//! say why, so that it was no refusal.
//!
//! Works on ASCII-lowercase text. Families and causes are phrases that clients really print, see
//! `corpus/recorded`; must not know which client prints what, nor addresses.

use std::ops::Range;

use crate::unresolved;

/// At most this many places per line are looked at.
const PLACES_MAX: usize = 32;

/// Words of the weaker families, each with its id; the first that fits names the family.
const WEAK: &[(&str, &str)] = &[
    ("communications link failure", "link-failure"),
    ("failed to connect to all addresses", "grpc-all-addresses"),
    ("unavailable: io exception", "grpc-io-exception"),
    ("transientfailure", "grpc-transient-failure"),
    ("aggregateerror", "aggregate-error"),
    ("unabletoconnect", "unable-to-connect"),
    ("unable to connect to", "unable-to-connect"),
    ("not possible to connect to", "unable-to-connect"),
    ("failed to connect to", "failed-to-connect"),
    ("failed to connect before", "failed-to-connect"),
    ("create a connection to", "failed-to-connect"),
    ("couldn't connect to", "failed-to-connect"),
    ("could not connect to", "failed-to-connect"),
    ("can't connect to", "failed-to-connect"),
    ("cannot connect to", "failed-to-connect"),
    ("can not connect to", "failed-to-connect"),
    ("not able to connect to", "failed-to-connect"),
    ("error connecting", "failed-to-connect"),
    ("failed connecting", "failed-to-connect"),
    ("error trying to connect to", "failed-to-connect"),
    ("connect call failed", "connect-call-failed"),
    ("could not be established", "kafka-node"),
    ("could not establish", "not-established"),
    ("can't reach", "cannot-reach"),
    ("cannot reach", "cannot-reach"),
    ("could not reach", "cannot-reach"),
    ("couldn't reach", "cannot-reach"),
    ("unable to reach", "cannot-reach"),
    ("failed to reach", "cannot-reach"),
    ("can't contact", "cannot-reach"),
    ("connection failed", "connection-failed"),
    ("connect failed", "connection-failed"),
    ("connection failure", "connection-failure"),
    ("nohostavailable", "none-available"),
    ("nonodeavailable", "none-available"),
    ("nobrokersavailable", "none-available"),
    ("no brokers available", "none-available"),
    ("available brokers to talk to", "none-available"),
    ("no reachable servers", "none-available"),
    ("no servers available", "none-available"),
    ("no server available", "none-available"),
    ("no server is available", "none-available"),
    ("startup nodes is available", "none-available"),
    ("no living connections", "none-available"),
    ("server not found in pool", "none-available"),
    ("no hosts available", "none-available"),
    ("brokers are down", "none-available"),
    ("are unreachable", "none-available"),
    ("net.connectexception", "connect-exception"),
    ("- no response", "no-response"),
    ("pool timed out", "pool-timed-out"),
    ("pooltimedout", "pool-timed-out"),
];

/// Causes other than a refusal, as errno's words and TLS libraries name them: a line with one of
/// them, or with a resolver's words, explains the weaker words around it. Each is one of the
/// literals.
pub(super) const CAUSES: &[&str] = &[
    "timed out",
    "i/o timeout",
    "etimedout",
    "timeouterror",
    "timeout expired",
    "timeout: context",
    "connection reset",
    "econnreset",
    "unexpected eof",
    "closed the connection",
    "receive failed",
    "authentication failed",
    "wrongpass",
    "handshake failed",
    "certificate verify failed",
    "verify certificate",
    "signed certificate",
    "certification path",
];

/// Words that name another cause where they stand in the line of the weaker words themselves.
const OTHER_CAUSES: &[&str] = &[
    "deadline exceeded",
    "timeout was reached",
    "connect timeout",
    "timeout connecting",
    "connection timeout",
    "before timeout",
    "timeoutexception",
    "no route to host",
    "network is unreachable",
    "network unreachable",
    "host is unreachable",
    "host unreachable",
    "enetunreach",
    "ehostunreach",
    "name or service",
    "unknown host",
    "unknownhost",
    "not resolve",
    "be resolved",
    "failed to resolve",
    "unable to resolve",
    "(socketerror)",
    "no address associated",
    "invalid argument",
    "broken pipe",
    "closed connection",
    "has closed",
    "bad request",
    "failed parsing",
    "packet size",
    // ActiveMQ gives its reason here, and a refusal would be strong.
    "attempt(s) with ",
    "can't parse",
    "protocol error",
    "protocolerror",
    "access denied",
    "permission denied",
    "certificate",
    "certverif",
    "tls handshake",
    "ssl handshake",
    "handshake_failure",
    "ssl routines",
    "ssl operation failed",
    "(unknown error)",
    "does not exist",
    "no such file",
    "unknown database",
    "too many connections",
    "starting up",
    "noauth",
];

/// The weaker families of a line, where their words stand; the first names the family, all of
/// them point at addresses.
pub(super) fn find(lower: &str) -> impl Iterator<Item = (Range<usize>, &'static str)> + '_ {
    let of =
        |(words, form): &(&'static str, &'static str)| Some((family(lower, words, form)?, *form));
    WEAK.iter().filter_map(of)
}

fn family(lower: &str, words: &str, form: &str) -> Option<Range<usize>> {
    let at = lower.find(words)?;
    let after = &lower[at + words.len()..];
    let fits = match form {
        // "connection failed" by itself is an everyday word; it takes "could not", "refus…" or an
        // error word to be about a socket.
        "connection-failed" => lower.contains("error") || lower.contains("exception"),
        // A rate or a counter of failures is none.
        "connection-failure" => !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'),
        "kafka-node" | "not-established" => lower.contains("connection"),
        // A stack frame or an import that merely holds the class name.
        "connect-exception" => !lower.trim_start().starts_with("at "),
        // `pg_isready` says no more; "no response from the user" does.
        "no-response" => {
            let next = after.split_whitespace().next().unwrap_or_default();
            !next.starts_with(|c: char| c.is_alphabetic()) || next.contains('=')
        }
        _ => true,
    };
    fits.then(|| at..at + words.len())
}

/// Whether a line with weaker words names another cause than a refusal.
pub(super) fn names_other_cause(lower: &str) -> bool {
    // StackExchange.Redis guesses at causes in the same breath; this word is the real one. A pool
    // that dials again and again until its time is up does so where it is refused.
    let certain = ["unabletoconnect on ", "pool timed out", "pooltimedout"];
    let certain = certain.iter().any(|w| lower.contains(w));
    let named = || OTHER_CAUSES.iter().any(|w| lower.contains(w));
    !certain && (is_other_cause(lower) || named() || late(lower) || of_password(lower))
}

/// Whether a line speaks of a password, rather than holding one among its settings.
fn of_password(lower: &str) -> bool {
    let setting = |rest: &str| rest.starts_with(['=', ':', '"', '\'', '_']);
    lower
        .match_indices("password")
        .take(PLACES_MAX)
        .any(|(at, word)| !setting(&lower[at + word.len()..]))
}

/// Whether a line says what went wrong with a connection, and that it was no refusal.
pub(super) fn is_other_cause(lower: &str) -> bool {
    CAUSES.iter().chain(unresolved::WORDS).any(|w| lower.contains(w))
}

/// "Failed to connect to X in 3000ms", "…: ClientTimeout": a refusal comes at once, so this waited
/// in vain.
fn late(lower: &str) -> bool {
    const LATE_MS: u64 = 1000;
    if lower.trim_end_matches(|c: char| !c.is_alphanumeric()).ends_with("timeout") {
        return true;
    }
    [" in ", " after ", " within "].iter().any(|lead| {
        lower.match_indices(lead).take(PLACES_MAX).any(|(at, _)| {
            let rest = &lower[at + lead.len()..];
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let unit = rest[digits..].trim_start();
            let unit = unit.starts_with("ms") || unit.starts_with("milliseconds");
            unit && rest[..digits].parse().is_ok_and(|ms: u64| ms >= LATE_MS)
        })
    })
}
