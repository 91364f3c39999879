//! Skips what cannot matter before it is parsed: a search over raw bytes.
//!
//! A literal in the text of a JSON entry stands in the raw bytes as it is, unless a writer
//! escaped its letters (`\u0063onnection`): entries with an escaped ASCII letter or digit are
//! always parsed.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::bytes::Regex;

use sunup_evidence::line;
use sunup_evidence::scope::Scope;

/// Raw marks of entries that are no log lines: events and objects inside a log export.
const EVENT_MARKS: &[&str] = &["involvedObject", "\"regarding\"", "apiVersion"];

/// An escaped ASCII letter or digit.
const ESCAPED: &str = r"\\u00(?:3[0-9]|[46][1-9a-f]|[57][0-9a])";

/// The searches: for plain text, for JSON, for escapes alone.
struct Searches {
    text: Option<Regex>,
    json: Option<Regex>,
    escaped: Option<Regex>,
    literals: Vec<&'static str>,
}

static SEARCHES: LazyLock<Searches> = LazyLock::new(|| {
    let literals = line::literals();
    let plain: Vec<String> = literals.iter().map(|l| regex::escape(l)).collect();
    let marks = EVENT_MARKS.iter().map(|mark| regex::escape(mark));
    let text = plain.join("|");
    let all: Vec<String> = plain.iter().cloned().chain(marks).collect();
    let build = |pattern: &str| Regex::new(&format!("(?i-u){pattern}")).ok();
    Searches {
        text: build(&format!("{text}|{ESCAPED}")),
        json: build(&format!("{}|{ESCAPED}", all.join("|"))),
        escaped: build(ESCAPED),
        literals,
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
        next(SEARCHES.text.as_ref(), block, from)
    }

    /// The same for JSON.
    pub(crate) fn next_json(&self, block: &[u8], from: usize) -> Option<usize> {
        next(SEARCHES.json.as_ref(), block, from)
    }

    /// Whether an entry can belong to the pod or workload that was asked for.
    pub(crate) fn in_scope(&self, entry: &[u8]) -> bool {
        match (&self.scope, &SEARCHES.escaped) {
            (Some(literal), Some(escaped)) => {
                literal.find(entry).is_some() || escaped.is_match(entry)
            }
            _ => true,
        }
    }
}

/// Without a search (its pattern did not compile) everything is looked at.
fn next(search: Option<&Regex>, block: &[u8], from: usize) -> Option<usize> {
    match search {
        Some(search) => search.find_at(block, from).map(|found| found.start()),
        None => (from < block.len()).then_some(from),
    }
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
    fn a_pod_asked_for_is_looked_for_first() {
        let scope = Scope { pod: Some("web-0".to_owned()), ..Scope::default() };
        let filter = Filter::new(&scope);
        assert!(filter.in_scope(b"{\"pod_name\":\"web-0\"}"));
        assert!(filter.in_scope(br#"{"pod_name":"\u0077eb-0"}"#));
        assert!(!filter.in_scope(b"{\"pod_name\":\"other\"}"));
    }
}
