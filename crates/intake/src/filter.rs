//! Skips what cannot matter before it is parsed: a search over raw bytes.
//!
//! A literal in the text of a JSON entry stands in the raw bytes as it is, unless a writer
//! escaped its letters (`\u0063onnection`): entries with an escaped ASCII letter or digit are
//! always parsed.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use sunup_api::container;
use sunup_evidence::line;
use sunup_evidence::scope::Scope;

use crate::search::{Hit, Search};

/// Raw marks of entries that are no log lines: events and objects inside a log export.
const EVENT_MARKS: &[&str] = &["involvedObject", "\"regarding\"", "apiVersion"];

/// How an escaped ASCII letter or digit begins; which one it is, the next digit says.
const ESCAPES: &[&[u8]] = &[b"\\u003", b"\\u004", b"\\u005", b"\\u006", b"\\u007"];

/// The searches: for plain text, for JSON, for escapes alone.
struct Searches {
    text: Option<Search>,
    json: Option<Search>,
    escaped: Option<Search>,
    literals: Vec<&'static str>,
}

static SEARCHES: LazyLock<Searches> = LazyLock::new(|| {
    let literals = line::literals();
    let plain = || literals.iter().map(|l| l.as_bytes()).chain(ESCAPES.iter().copied());
    Searches {
        text: Search::new(plain()),
        json: Search::new(plain().chain(EVENT_MARKS.iter().map(|mark| mark.as_bytes()))),
        escaped: Search::new(ESCAPES.iter().copied()),
        literals: literals.clone(),
    }
});

#[derive(Clone)]
pub(crate) struct Filter {
    scope: Option<Finder<'static>>,
}

impl Filter {
    pub(crate) fn new(scope: &Scope) -> Self {
        Filter { scope: scope.literal().map(|l| Finder::new(l).into_owned()) }
    }

    /// Whether every line of this container's log has to be looked at.
    pub(crate) fn takes_all_of(&self, container: Option<&str>) -> bool {
        container.is_some_and(|c| SEARCHES.literals.iter().any(|l| l.eq_ignore_ascii_case(c)))
    }

    /// Where the next line of a plain log that may matter has a mark, at or behind `from`.
    pub(crate) fn next_text(&self, block: &[u8], from: usize) -> Option<usize> {
        next(SEARCHES.text.as_ref(), block, from).map(|hit| hit.start)
    }

    /// The marks of a block of JSON, entry by entry.
    pub(crate) fn json<'b>(&self, block: &'b [u8]) -> Marks<'b> {
        Marks { block, next: mark(block, 0) }
    }

    /// Whether an entry can belong to the pod or workload that was asked for.
    pub(crate) fn in_scope(&self, entry: &[u8]) -> bool {
        match (&self.scope, &SEARCHES.escaped) {
            (Some(literal), escaped) => {
                literal.find(entry).is_some() || next(escaped.as_ref(), entry, 0).is_some()
            }
            _ => true,
        }
    }
}

/// Without a search (a literal too short for it) everything is looked at.
fn next<'s>(search: Option<&'s Search>, block: &[u8], mut from: usize) -> Option<Hit<'s>> {
    let Some(search) = search else {
        let hit = Hit { start: from, text: b"", behind: from + 1 };
        return (from < block.len()).then_some(hit);
    };
    loop {
        let hit = search.next(block, from)?;
        if !hit.text.starts_with(b"\\u00") || is_letter_or_digit(block, hit.start) {
            return Some(hit);
        }
        from = hit.start + 1;
    }
}

/// What the marks of an entry say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    /// It has none.
    No,
    /// It names the proxy and has no other: all it can say is whose log it is from.
    Proxy,
    /// It may say anything.
    Telling,
}

/// The marks of a block, asked for entry by entry from its beginning.
pub(crate) struct Marks<'b> {
    block: &'b [u8],
    next: Option<Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    start: usize,
    behind: usize,
    proxy: bool,
}

fn mark(block: &[u8], from: usize) -> Option<Mark> {
    let hit = next(SEARCHES.json.as_ref(), block, from)?;
    let proxy = hit.text == container::PROXY.as_bytes();
    Some(Mark { start: hit.start, behind: hit.behind, proxy })
}

impl Marks<'_> {
    /// Of the entry at `entry`, which lies behind those asked for before.
    pub(crate) fn of(&mut self, entry: std::ops::Range<usize>) -> Marked {
        if self.next.is_some_and(|mark| mark.start < entry.start) {
            self.next = mark(self.block, entry.start);
        }
        let mut found = Marked::No;
        while let Some(here) = self.next.filter(|mark| mark.start < entry.end) {
            if !here.proxy {
                return Marked::Telling;
            }
            found = Marked::Proxy;
            self.next = mark(self.block, here.behind);
        }
        found
    }
}

/// Whether the escape `\u00XX` at `start` stands for an ASCII letter or digit: what programs
/// escape for other reasons (`<`, `&`) hides no literal.
fn is_letter_or_digit(block: &[u8], start: usize) -> bool {
    let code = block
        .get(start + 4..start + 6)
        .and_then(|hex| std::str::from_utf8(hex).ok())
        .and_then(|hex| u8::from_str_radix(hex, 16).ok());
    code.is_some_and(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_searches_are_there_and_find_what_they_should() {
        assert!(SEARCHES.text.is_some() && SEARCHES.json.is_some() && SEARCHES.escaped.is_some());
        let filter = Filter::new(&Scope::default());
        for text in ["x REFUSED y", r"x \u0072efused", r"x \u005A"] {
            assert!(filter.next_text(text.as_bytes(), 0).is_some(), "{text}");
        }
        // `<` and `&` are escaped by every Go program, and mean nothing here.
        for text in ["all is well", r"a \u003c b \u0026 c", r"\u005b\u0060\u007b"] {
            assert_eq!(filter.next_text(text.as_bytes(), 0), None, "{text}");
        }
    }

    #[test]
    fn entries_that_only_name_the_proxy_are_told_apart() {
        let filter = Filter::new(&Scope::default());
        let entries = [
            ("all is well", Marked::No),
            ("istio-proxy, istio-proxy", Marked::Proxy),
            ("ISTIO-PROXY", Marked::Proxy),
            ("istio-proxy refused", Marked::Telling),
            ("refused istio-proxy refused", Marked::Telling),
            (r"istio-proxy \u0072efused", Marked::Telling),
            ("istio-prox", Marked::No),
            ("istio-proxy", Marked::Proxy),
        ];
        let block: String = entries.iter().map(|(entry, _)| format!("{entry}\n")).collect();
        let mut marks = filter.json(block.as_bytes());
        let mut at = 0;
        for (entry, want) in entries {
            assert_eq!(marks.of(at..at + entry.len()), want, "{entry}");
            at += entry.len() + 1;
        }
    }

    #[test]
    fn a_pod_asked_for_is_looked_for_first() {
        let scope = Scope { pod: Some("web-0".to_owned()), ..Scope::default() };
        let filter = Filter::new(&scope);
        assert!(filter.in_scope(b"{\"pod_name\":\"web-0\"}"));
        assert!(filter.in_scope(br#"{"pod_name":"\u0077eb-0"}"#));
        assert!(!filter.in_scope(b"{\"pod_name\":\"other\"}"));
    }
}
