//! The cheap first look: literals, one of which every line of interest holds.
//!
//! Must not know what a line means; it only says which lines are worth reading.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Lowercase ASCII literals, one of which is in every text that [`super::read`],
/// [`super::recognise`] or [`super::Joiner`] could use: families, weaker families and
/// continuation lines (psycopg2's second and third line, Node's object dump, Python's chain
/// markers).
///
/// Search them case-insensitively and skip lines without any. None holds a character that JSON
/// must escape, except the two that spell out an escaped quote.
pub const LITERALS: &[&str] = &[
    // ECONNREFUSED in every spelling, and glibc's translations with an ASCII core.
    "refus",
    "abgelehnt",
    "rifiutata",
    "rehusada",
    "rechazada",
    "recusada",
    "geweigerd",
    "odrzucone",
    // The number, in the places where programs print it.
    "errno",
    "error 111",
    "error -111",
    "error: 111",
    "error: -111",
    "error=111",
    "err=111",
    "err: 111",
    "error code 111",
    "(111)",
    "(-111)",
    "(111:",
    "[111]",
    "code: 111",
    "code=111",
    "code\":111",
    "code\": 111",
    "code\\\":111",
    "code\\\": 111",
    "actively",
    // Weaker families: the same failure without its name.
    "connect to",
    "unabletoconnect",
    "error connecting",
    "failed connecting",
    "connect call failed",
    "connection failed",
    "connect failed",
    "could not be established",
    "link failure",
    "io exception",
    "aggregateerror",
    "nohostavailable",
    "nonodeavailable",
    "nobrokersavailable",
    "no brokers available",
    "available brokers",
    "no reachable servers",
    "no servers available",
    "no living connections",
    "no hosts available",
    "brokers are down",
    "connectexception",
    // Continuation lines.
    "is the server running",
    "connections on port",
    "address: '",
    "port: ",
    "during handling of the above",
    "direct cause of the following",
];

static AUTOMATON: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(LITERALS)
        .expect("a few dozen short literals fit any automaton")
});

/// Whether the bytes hold one of [`LITERALS`], in any case. Linear, allocates nothing.
#[must_use]
pub fn may_matter(bytes: &[u8]) -> bool {
    AUTOMATON.is_match(bytes)
}

/// Where the literals begin, in order.
pub(super) fn hits(text: &str) -> impl Iterator<Item = usize> + '_ {
    AUTOMATON.find_iter(text).map(|m| m.start())
}
