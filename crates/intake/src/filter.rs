//! Skips what cannot matter before it is parsed: a search over raw bytes.
//!
//! A literal in the text of a JSON entry stands in the raw bytes as it is, unless a writer
//! escaped its letters (`\u0063onnection`): entries with an escaped ASCII letter or digit are
//! always parsed.

use memchr::memmem::Finder;
use regex::bytes::Regex;

use sunup_evidence::line;
use sunup_evidence::scope::Scope;

/// Raw marks of entries that are no log lines: events and objects inside a log export.
const EVENT_MARKS: &[&str] = &["involvedObject", "\"regarding\"", "apiVersion"];

/// An escaped ASCII letter or digit.
const ESCAPED: &str = r"\\u00(?:3[0-9]|[46][1-9a-f]|[57][0-9a])";

pub(crate) struct Filter {
    text: Option<Regex>,
    json: Option<Regex>,
    escaped: Option<Regex>,
    scope: Option<Finder<'static>>,
    literals: Vec<&'static str>,
}

impl Filter {
    pub(crate) fn new(scope: &Scope) -> Self {
        let literals = line::literals();
        let plain: Vec<String> = literals.iter().map(|l| regex::escape(l)).collect();
        let marks = EVENT_MARKS.iter().map(|mark| regex::escape(mark));
        let text = plain.join("|");
        let all: Vec<String> = plain.into_iter().chain(marks).collect();
        let build = |pattern: &str| Regex::new(&format!("(?i-u){pattern}")).ok();
        Filter {
            text: build(&format!("{text}|{ESCAPED}")),
            json: build(&format!("{}|{ESCAPED}", all.join("|"))),
            escaped: build(ESCAPED),
            scope: scope.literal().map(|l| Finder::new(l).into_owned()),
            literals,
        }
    }

    /// One that lets everything pass.
    pub(crate) fn none() -> Self {
        Filter { text: None, json: None, escaped: None, scope: None, literals: Vec::new() }
    }

    /// Whether every line of this container's log has to be looked at.
    pub(crate) fn takes_all_of(&self, container: Option<&str>) -> bool {
        container.is_some_and(|c| self.literals.iter().any(|l| l.eq_ignore_ascii_case(c)))
    }

    /// Where the next line of a plain log that may matter has a mark, at or behind `from`.
    pub(crate) fn next_text(&self, block: &[u8], from: usize) -> Option<usize> {
        next(self.text.as_ref(), block, from)
    }

    /// The same for JSON.
    pub(crate) fn next_json(&self, block: &[u8], from: usize) -> Option<usize> {
        next(self.json.as_ref(), block, from)
    }

    /// Whether an entry can belong to the pod or workload that was asked for.
    pub(crate) fn in_scope(&self, entry: &[u8]) -> bool {
        match (&self.scope, &self.escaped) {
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
