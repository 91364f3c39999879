//! The cheap first look: literals, one of which every line of interest holds.
//!
//! Must not know what a line means; it only says which lines are worth reading.

use std::sync::LazyLock;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickKind, Span};

use super::weaker::CAUSES;
use crate::unresolved;

/// Lowercase ASCII literals, one of which is in every text that [`super::read`],
/// [`super::recognise`] or [`super::Joiner`] could use: families, weaker families and
/// continuation lines (psycopg2's second and third line, Node's object dump, Python's chain
/// markers).
///
/// Search them case-insensitively, or with [`find_literal`], and skip lines without any. None
/// holds a character that JSON must escape, except the two that spell out an escaped quote.
pub const LITERALS: &[&str] = &joined::<
    { WORDS.len() + CONTINUED.len() + CAUSES.len() + unresolved::WORDS.len() },
>(&[WORDS, CONTINUED, CAUSES, unresolved::WORDS]);

/// Those of which one is in every line by which a refusal begins to be told.
pub(crate) const WORDS: &[&str] = &[
    // ECONNREFUSED in every spelling.
    "refus",
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
    "(111 ",
    "[111]",
    "code: 111",
    "code=111",
    "code\":111",
    "code\": 111",
    "code\\\":111",
    "code\\\": 111",
    // Weaker families: the same failure without its name.
    "connect to",
    "failed to connect before",
    "create a connection",
    "unabletoconnect",
    "error connecting",
    "failed connecting",
    "connect call failed",
    "connection failed",
    "connect failed",
    "connection to node",
    "connection could not be",
    "not establish",
    "t reach ",
    "unable to reach",
    "failed to reach",
    "can't contact",
    "connection failure",
    "transientfailure",
    "connectexception",
    "no living connections",
    "server not found in pool",
    "link failure",
    "unavailable: io",
    "aggregateerror",
    "nohostavailable",
    "nonodeavailable",
    "nobrokersavailable",
    "no brokers available",
    "available brokers",
    "no servers available",
    "no server available",
    "no server is available",
    "no reachable servers",
    "nodes is available",
    "brokers are down",
    "are unreachable",
    "- no response",
    "pooltimedout",
    "no hosts available",
];

/// Lines that go on telling of a refusal.
const CONTINUED: &[&str] = &[
    "is the server running",
    "connections on port",
    "address: '",
    "port: ",
    "during handling of the above",
    "direct cause of the following",
];

/// Two lists as one.
const fn joined<const N: usize>(lists: &[&[&'static str]]) -> [&'static str; N] {
    let mut out = [""; N];
    let (mut i, mut list, mut at) = (0, 0, 0);
    while i < N {
        while at == lists[list].len() {
            (list, at) = (list + 1, 0);
        }
        out[i] = lists[list][at];
        (i, at) = (i + 1, at + 1);
    }
    out
}

/// Short pieces, one in each literal, few enough for a vectorised search in every case; they
/// are chosen to be rare in logs.
const PIECES: &[&str] = &[
    "efu", "111", "rrn", "nne", "k f", "vai", "ggr", "nni", ": '", "rt:", "bov", "cau", "bli",
    "eac", "tac", "ntf", "s a", "spo", "ed o", "edo", "meo", "nnr", "h h", "i_a", "otf", "olv",
    "kno", "eof", "nam", "ve f", "n fa", "dsh", "tif", "ngp", "d in p", "d ad",
];

/// Where in the text the next of [`LITERALS`] begins at or after `from`, in any case.
///
/// Linear, allocates nothing; meant for whole blocks as well as for single lines.
#[must_use]
pub fn find_literal(bytes: &[u8], from: usize) -> Option<usize> {
    SEARCH.find(bytes, from)
}

/// Whether the bytes hold one of [`LITERALS`], in any case.
#[must_use]
pub fn may_matter(bytes: &[u8]) -> bool {
    find_literal(bytes, 0).is_some()
}

/// Where the literals begin, in order.
pub(super) fn hits(text: &str) -> impl Iterator<Item = usize> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = find_literal(text.as_bytes(), from)?;
        from = at + 1;
        Some(at)
    })
}

static SEARCH: LazyLock<Search> = LazyLock::new(Search::new);

struct Search {
    /// Finds pieces with vector instructions; `None` on machines without them.
    packed: Option<Searcher>,
    /// For each pattern of `packed`: the literals it stands for, and where in them it stands.
    literals: Vec<Vec<(&'static [u8], usize)>>,
    plain: AhoCorasick,
}

impl Search {
    fn new() -> Search {
        let plain = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(LITERALS)
            .expect("a few dozen short literals fit any automaton");
        let mut builder = Config::new()
            .match_kind(MatchKind::LeftmostFirst)
            .heuristic_pattern_limits(false)
            .builder();
        let mut literals = Vec::new();
        for piece in PIECES {
            let held: Vec<(&'static [u8], usize)> = LITERALS
                .iter()
                .filter(|l| PIECES.iter().find(|p| l.contains(*p)) == Some(piece))
                .filter_map(|l| Some((l.as_bytes(), l.find(piece)?)))
                .collect();
            for variant in cases(piece) {
                builder.add(variant);
                literals.push(held.clone());
            }
        }
        Search { packed: builder.build(), literals, plain }
    }

    fn find(&self, bytes: &[u8], begin: usize) -> Option<usize> {
        let Some(packed) = &self.packed else {
            let rest = bytes.get(begin..)?;
            return self.plain.find(rest).map(|m| begin + m.start());
        };
        let mut from = begin;
        while from < bytes.len() {
            let span = Span { start: from, end: bytes.len() };
            let found = packed.find_in(bytes, span)?;
            let begins = self.literals[found.pattern().as_usize()].iter().filter_map(|(l, at)| {
                let start = found.start().checked_sub(*at).filter(|start| *start >= begin)?;
                let there = bytes.get(start..start + l.len())?;
                there.eq_ignore_ascii_case(l).then_some(start)
            });
            if let Some(start) = begins.min() {
                return Some(start);
            }
            from = found.start() + 1;
        }
        None
    }
}

/// A piece in every mixture of cases.
fn cases(piece: &str) -> Vec<Vec<u8>> {
    let mut out = vec![Vec::new()];
    for b in piece.bytes() {
        let both = [b, b.to_ascii_uppercase()];
        let kinds = if both[0] == both[1] { 1 } else { 2 };
        out = both[..kinds]
            .iter()
            .flat_map(|b| out.iter().map(|head| [head.as_slice(), &[*b]].concat()))
            .collect();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_literal_holds_a_piece() {
        for literal in LITERALS {
            assert!(PIECES.iter().any(|p| literal.contains(p)), "{literal}");
            assert_eq!(literal.to_ascii_lowercase(), *literal);
        }
    }

    #[test]
    fn both_searches_find_the_same() {
        let search = Search::new();
        for literal in LITERALS {
            for text in [literal.to_string(), format!("xx {} yy", literal.to_ascii_uppercase())] {
                let plain = search.plain.find(&text).map(|m| m.start());
                assert_eq!(find_literal(text.as_bytes(), 0), plain, "{text}");
            }
        }
    }
}
