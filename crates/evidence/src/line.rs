//! What one log line means to a pod's start.
//!
//! Readers ask [`notice`] in parallel; what it keeps is folded in file order by
//! [`crate::collect::Collector`]. Rules that need another text add a [`Sign`] and its literals.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use jiff::Timestamp;
use std::sync::LazyLock;

use sunup_api::container;

use crate::record::{ContainerRef, Entry, LogLine};
use crate::scope::Scope;
pub use crate::sign::{Sign, Signs};
use crate::unresolved;

/// A line that means something, owned, ready to be folded in file order.
#[derive(Debug, Clone)]
pub struct Noticed {
    /// When it was written.
    pub at: Option<Timestamp>,
    /// Whose it is: namespace, pod, container, previous.
    pub container: Arc<ContainerKey>,
    /// The text, cut to [`TEXT_MAX`] bytes.
    pub text: Box<str>,
    /// Line of the file, from 1.
    pub line: u64,
    /// What it says, as far as one line can.
    pub signs: Signs,
    /// Which entry of a log service it is, where it is one.
    pub entry: Option<Arc<Entry>>,
}

/// Whose log a line is from, owned.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey {
    /// Namespace.
    pub namespace: Option<String>,
    /// Pod.
    pub pod: Option<String>,
    /// Container.
    pub container: Option<String>,
    /// From the dead container's log.
    pub previous: bool,
    /// Topmost owner (kind, name) where an export's labels say it.
    pub controller: Option<(String, String)>,
    /// The pod's template hash where an export's labels say it.
    pub template_hash: Option<String>,
}

impl From<&ContainerRef<'_>> for ContainerKey {
    fn from(c: &ContainerRef<'_>) -> Self {
        let own = |s: &Option<std::borrow::Cow<'_, str>>| s.as_ref().map(|s| s.to_string());
        ContainerKey {
            namespace: own(&c.namespace),
            pod: own(&c.pod),
            container: own(&c.container),
            previous: c.previous,
            controller: c.controller.as_ref().map(|(k, n)| (k.to_string(), n.to_string())),
            template_hash: own(&c.template_hash),
        }
    }
}

/// How much of a line is kept, bytes. Long enough for a stack trace's telling part.
pub const TEXT_MAX: usize = 4096;

/// Every sign, with the literals (ASCII, any case) that give it away.
const SIGNS: &[(Sign, &[&str])] = &[
    (Sign::ProxyReady, &["envoy proxy is ready"]),
    (Sign::ProxyNotReady, &["envoy proxy is not ready"]),
    // pilot-agent prints these once per start, in this order; not every version prints all.
    (Sign::ProxyStart, &["proxy role", "starting proxy agent", "envoy command: ["]),
    (Sign::BindDenied, &["cannot bind"]),
    (
        Sign::Reset,
        &[
            "connection reset",
            "econnreset",
            "socket hang up",
            "unexpected eof",
            "end of file",
            "server closed the connection",
            "broken pipe",
            "delayed connect error",
            "delayed_connect_error",
            "upstream connect error",
            "connection closed by",
            "closed unexpectedly",
        ],
    ),
    (
        Sign::Timeout,
        &["i/o timeout", "etimedout", "timed out", "timeouterror", "deadline exceeded"],
    ),
    (Sign::NameFailure, unresolved::WORDS),
    (Sign::WebhookCall, &["failed calling webhook"]),
    (Sign::CaptureCheck, &["iptables validation failed"]),
    (
        Sign::CaptureSetup,
        &[
            "unable to initialize table",
            "initialize iptables table",
            "no loaded kernel support",
            "could not fetch rule set",
            "chain already exists",
            "no chain/target/match",
            "xtables lock",
            "/run/xtables.lock",
        ],
    ),
    (Sign::TlsBytes, &["as reply type byte"]),
];

/// The signs with their literals, whichever file they stand in.
fn signs_and_literals() -> impl Iterator<Item = &'static (Sign, &'static [&'static str])> {
    SIGNS.iter().chain(crate::phrases::PHRASES)
}

impl Signs {
    /// All that it holds, but for [`Sign::Refused`], which is no text's own.
    pub fn iter(self) -> impl Iterator<Item = Sign> {
        signs_and_literals().map(|(sign, _)| *sign).filter(move |sign| self.has(*sign))
    }
}

/// Literals (ASCII, any case), one of which is in every line that [`notice`] could keep. A raw
/// line with none of them need not be parsed.
///
/// Signs that only explain a refusal away (resets, timeouts, name failures) are among them: they
/// are as rare in a healthy log as refusals are.
#[must_use]
pub fn literals() -> Vec<&'static str> {
    let mut all = crate::refused::LITERALS.to_vec();
    all.extend(signs_and_literals().flat_map(|(_, l)| *l));
    // The proxy's own lines, whatever they say: that its log is there is evidence.
    all.extend([container::PROXY]);
    all
}

/// Literals, one of which is in every line by which something can be seen to have failed: what a
/// store is asked for that hands out a thousand entries at a time.
#[must_use]
pub fn telling() -> Vec<&'static str> {
    let mut all = crate::refused::WORDS.to_vec();
    let failed = signs_and_literals().filter(|(sign, _)| !sign.only_explains());
    all.extend(failed.flat_map(|(_, literals)| *literals));
    all.sort_unstable();
    all.dedup();
    all
}

/// The other [`literals`], the proxy's name apart: lines that explain what failed, or explain it
/// away, and stand in healthy logs too.
#[must_use]
pub fn explaining() -> Vec<&'static str> {
    let telling = telling();
    let mut all = literals();
    all.retain(|literal| *literal != container::PROXY && !telling.contains(literal));
    all.sort_unstable();
    all.dedup();
    all
}

struct Matcher {
    automaton: AhoCorasick,
    signs: Vec<Sign>,
}

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| {
    let refused = crate::refused::LITERALS.iter().map(|l| (Sign::Refused, *l));
    let others = signs_and_literals().flat_map(|(s, ls)| ls.iter().map(|l| (*s, *l)));
    let (signs, literals): (Vec<_>, Vec<_>) = refused.chain(others).unzip();
    let automaton = AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .build(literals)
        .expect("some hundred short literals always build");
    Matcher { automaton, signs }
});

/// The signs in a text.
#[must_use]
pub fn signs(text: &str) -> Signs {
    let m = &*MATCHER;
    let mut found = Signs::default();
    for hit in m.automaton.find_overlapping_iter(text) {
        found.add(m.signs[hit.pattern().as_usize()]);
    }
    found
}

/// Says whether a line is worth keeping. Pure and cheap: readers call it in parallel.
#[must_use]
pub fn notice(line: &LogLine<'_>, scope: &Scope) -> Option<Noticed> {
    if !scope.admits(&line.container, line.at) {
        return None;
    }
    notice_admitted(line, &Arc::new(ContainerKey::from(&line.container)))
}

/// Like [`notice`], for a line that the scope admits and whose container is owned already.
#[must_use]
pub fn notice_admitted(line: &LogLine<'_>, container: &Arc<ContainerKey>) -> Option<Noticed> {
    let signs = signs(&line.text);
    if signs.is_empty() {
        return None;
    }
    Some(Noticed {
        at: line.at,
        container: Arc::clone(container),
        text: kept(&line.text).into(),
        line: line.line,
        signs,
        entry: None,
    })
}

/// What is kept of the beginning of a text that is too long.
const HEAD: usize = 512;
/// What is kept to either side of words that tell something.
const AROUND: usize = 512;

/// At most [`TEXT_MAX`] bytes of a text: its beginning, and where the words are by which it was noticed.
/// Words that tell of a refused connection come first, however far behind they stand.
fn kept(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_MAX {
        return Cow::Borrowed(text);
    }
    let m = &*MATCHER;
    let hits = |refused: bool| {
        let hits = m.automaton.find_overlapping_iter(text);
        let hits =
            hits.filter(move |hit| refused == (m.signs[hit.pattern().as_usize()] == Sign::Refused));
        hits.map(|hit| hit.start()).collect::<Vec<_>>()
    };
    let mut parts: Vec<Range<usize>> = Vec::new();
    parts.push(0..HEAD);
    let mut room = TEXT_MAX - HEAD;
    // From the end: what went wrong is told last, and numbers that could mean it stand anywhere.
    for hit in hits(true).into_iter().rev().chain(hits(false)) {
        let part = hit.saturating_sub(AROUND)..(hit + AROUND).min(text.len());
        let new = part.len() + GAP.len();
        if parts.iter().any(|kept| kept.start <= hit && hit + AROUND / 4 <= kept.end) {
            continue;
        }
        let Some(left) = room.checked_sub(new) else { break };
        room = left;
        parts.push(part);
    }
    if parts.iter().all(|part| part.end <= TEXT_MAX) {
        return Cow::Borrowed(cut(text, TEXT_MAX));
    }
    parts.sort_by_key(|part| part.start);
    let mut out = String::with_capacity(TEXT_MAX);
    let mut end = 0;
    for part in parts {
        let from = ceil(text, part.start.max(end));
        let to = cut(text, part.end).len();
        if from > end {
            out.push_str(GAP);
        }
        out.push_str(text.get(from..to).unwrap_or_default());
        end = to.max(end);
    }
    Cow::Owned(out)
}

/// What stands for what was left out.
const GAP: &str = " \u{2026} ";

/// The next place that is not within a character.
fn ceil(text: &str, mut at: usize) -> usize {
    while at < text.len() && !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// The beginning of a text, at most `max` bytes, not within a character.
#[must_use]
pub fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_at_the_end_of_a_long_line_is_kept() {
        const REFUSED: &str = "dial tcp 10.0.0.1:6379: connect: connection refused";
        for filler in ["waiting ", "x", "\u{fc}\u{20ac}", "took 111 ms, "] {
            for bytes in [100, 3_000, 4_000, 5_000, 60_000] {
                let before = filler.repeat(bytes / filler.len());
                for behind in ["", " and so on and so on"] {
                    let text = format!("ERROR {before} {REFUSED}{}", behind.repeat(200));
                    let kept = kept(&text);
                    assert!(kept.len() <= TEXT_MAX, "{}", kept.len());
                    assert!(kept.starts_with("ERROR") && kept.contains(REFUSED), "{kept}");
                }
            }
        }
        let plain = "x".repeat(9_000);
        assert_eq!(kept(&plain), plain[..TEXT_MAX]);
    }
}
