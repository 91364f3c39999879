//! Log entries and events as people copy them out of a logging console: run together on one
//! line, wrapped over several, with prose in any language around them.
//!
//! An entry is a severity letter and a time, then either `CONTAINER POD text CONTAINER POD`
//! (the console repeats its summary fields) or `spec.containers{NAME} message
//! spec.containers{NAME}`. The repetition is where an entry ends.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use sunup_evidence::decode::field_path;
use sunup_evidence::record::{ContainerRef, Event, Place};

use super::reason;
use crate::attribution::is_random_name;
use crate::file::File;
use crate::message;
use crate::out::Out;
use crate::time;

/// Severity (Debug, Info, Notice, Warning, Error, Critical, Alert, Fatal; `*` for default) and
/// time of an entry.
static ENTRY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?:^|[\s>|(\[“”«»'‘’\x22\u{200b}])([DINWECAFV*])\s+(\d{4}-\d\d-\d\d[T\s]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d))\s+",
    )
    .ok()
});

static FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^spec\.(?:initC|c|ephemeralC)ontainers\{([^}\s]+)\}").ok());

/// One entry of a text.
struct Entry<'t> {
    letter: &'t str,
    at: Timestamp,
    body: &'t str,
    /// Byte at which its severity letter stands.
    start: usize,
}

fn entries(text: &str) -> Vec<Entry<'_>> {
    let Some(pattern) = ENTRY.as_ref() else { return Vec::new() };
    let heads: Vec<_> = pattern
        .captures_iter(text)
        .filter_map(|found| {
            let (letter, stamp) = (found.get(1)?, found.get(2)?);
            let stamp = stamp.as_str().replacen(char::is_whitespace, "T", 1).replace(',', ".");
            let at = time::parse(&stamp)?;
            Some((letter, at, found.get(0)?.end()))
        })
        .collect();
    let ends: Vec<usize> = heads.iter().skip(1).map(|(letter, ..)| letter.start()).collect();
    heads
        .into_iter()
        .enumerate()
        .map(|(i, (letter, at, behind))| {
            let end = ends.get(i).copied().unwrap_or(text.len()).max(behind);
            Entry { letter: letter.as_str(), at, body: &text[behind..end], start: letter.start() }
        })
        .collect()
}

/// What an entry says.
enum Said {
    Log { container: String, pod: String, text: String },
    Event { container: String, init: bool, message: String },
}

impl Entry<'_> {
    fn said(&self) -> Option<Said> {
        let words: Vec<&str> = self.body.split_whitespace().collect();
        let first = words.first()?;
        if let Some(found) = FIELD.as_ref().and_then(|f| f.captures(first)) {
            let field = found.get(0)?.as_str();
            let (container, init) = field_path(field);
            let rest = &words[1..];
            let end =
                rest.iter().position(|w| w.trim_end_matches(['.', ',', '"', '”', '»']) == field);
            // Without the repetition an entry ends with its line.
            let message = match end {
                Some(end) => rest[..end].join(" "),
                None => first_line(self.body.trim_start().get(field.len()..)?),
            };
            return Some(Said::Event { container: container?, init, message });
        }
        let (container, pod) = (*first, *words.get(1)?);
        if !is_label(container) || !is_label(pod) {
            return None;
        }
        let rest = &words[2..];
        let again = rest.windows(2).position(|pair| {
            pair[0] == container && pair[1].trim_end_matches(['.', ',', '"', '”', '»', ')']) == pod
        });
        let text = match again {
            Some(end) => rest[..end].join(" "),
            // Its pod's name is proof enough; the text ends with its line then.
            None if is_random_name(pod) => {
                let line = first_line(self.body);
                line.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
            }
            None => return None,
        };
        Some(Said::Log { container: container.to_owned(), pod: pod.to_owned(), text })
    }
}

fn first_line(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_label(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    word.len() >= 2 && word.chars().all(fits) && !word.starts_with(['-', '.'])
}

/// Whether a text holds at least one such entry.
pub(crate) fn is_pasted(text: &str) -> bool {
    entries(text).iter().any(|entry| entry.said().is_some())
}

/// Reads the entries of a text; prose around them is passed over.
pub(crate) fn read(file: &File<'_>, text: &str, out: &mut Out) {
    let mut line = 1;
    let mut counted = 0;
    for entry in entries(text) {
        line += memchr::memchr_iter(b'\n', &text.as_bytes()[counted..entry.start]).count() as u64;
        counted = entry.start;
        match entry.said() {
            Some(Said::Log { container, pod, text }) => {
                let container = ContainerRef {
                    pod: Some(Cow::Owned(pod)),
                    container: Some(Cow::Owned(container)),
                    ..ContainerRef::default()
                };
                message::log(file, container, Some(entry.at), Cow::Owned(text), line, out);
            }
            Some(Said::Event { container, init, message }) => {
                out.event(Event {
                    kind: "Pod".to_owned(),
                    container: Some(container),
                    init,
                    reason: reason::of_message(&message).to_owned(),
                    message,
                    warning: matches!(entry.letter, "W" | "E"),
                    first: Some(entry.at),
                    last: Some(entry.at),
                    count: 1,
                    place: Some(Place::new(&file.label, line)),
                    ..Event::default()
                });
            }
            None => {}
        }
    }
}
