//! The query language and the search: what is printed of a query is that query, the prefilter
//! rejects nothing that matches, and streams are cut alike however they arrive.

use std::io::{self, Read};
use std::ops::ControlFlow;

use sunup_logs::scan::{Limits, Scanner};
use sunup_logs::{Entry, Filter, SearchOptions, search};

const ENTRY: &str = r#"{"textPayload":"dial tcp 10.0.0.1:6379: connect: connection refused","severity":"ERROR","timestamp":"2026-10-02T07:14:05Z","labels":{"k8s-pod/app":"web"},"resource":{"type":"k8s_container","labels":{"pod_name":"web-0","namespace_name":"shop"}},"httpRequest":{"status":503,"latency":"0.5s"},"jsonPayload":{"a":[1,2.5,{"b":null}],"message":"Ümlaut"}}"#;

/// A query, and behind a NUL an entry.
pub fn query(text: &str) {
    let (query, entry) = text.split_once('\0').unwrap_or((text, ENTRY));
    let filter = match Filter::parse(query) {
        Ok(filter) => filter,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let printed = filter.to_string();
    let again = match Filter::parse(&printed) {
        Ok(again) => again,
        Err(error) => panic!("{query:?} is printed as {printed:?}, which is none: {error}"),
    };
    assert_eq!(again.to_string(), printed, "of {query:?}");
    let _ = (filter.warnings(), filter.alternatives());
    let prefilter = filter.prefilter();
    for text in [ENTRY, entry] {
        let Ok(parsed) = Entry::parse(text.as_bytes()) else { continue };
        let _ = (parsed.timestamp(), parsed.summary(), parsed.event_field_path());
        let matches = filter.matches(&parsed);
        assert_eq!(again.matches(&parsed), matches, "{query:?} printed as {printed:?}");
        let passed = prefilter.may_match(text.as_bytes());
        assert!(passed || !matches, "{query:?} matches what it rejects unread: {text}");
    }
}

/// Small blocks, so that cuts are met often.
const LIMITS: Limits = Limits { block_bytes: 256, entry_bytes_max: 2048 };

/// A stream: the same entries whole and in pieces. A search finds those that match, and no others; where
/// a printed array is damaged it may find some behind the damage that counting braces has lost, for it goes
/// by the margin of the elements, and begins anew at each.
pub fn stream(bytes: &[u8]) {
    let whole = cut(bytes, LIMITS);
    let size = 1 + (crate::dice(bytes) % 61) as usize;
    assert_eq!(cut(Pieces { bytes, size }, LIMITS), whole, "in pieces of {size}");
    let filter = Filter::parse("textPayload:\"refused\" OR severity>=WARNING").expect("a query");
    let mut hits = Vec::new();
    let options = SearchOptions { limits: LIMITS, ..SearchOptions::default() };
    let found = search(bytes, &filter, &options, &mut |hit| {
        hits.push((hit.line, hit.bytes.to_vec()));
        let _ = hit.compact();
        ControlFlow::Continue(())
    });
    let Ok((stats, _)) = found else { return assert!(whole.is_none()) };
    assert_eq!(stats.hits, hits.len() as u64);
    let matches = |bytes: &[u8]| Entry::parse(bytes).is_ok_and(|entry| filter.matches(&entry));
    for (line, hit) in &hits {
        assert!(matches(hit), "line {line} is no match: {}", String::from_utf8_lossy(hit));
    }
    let Some(Cut { entries, broken, by_lines }) = whole else { return };
    let sound = !broken && entries.iter().all(|(_, bytes)| Entry::parse(bytes).is_ok());
    if by_lines || sound {
        let want: Vec<_> = entries.into_iter().filter(|(_, bytes)| matches(bytes)).collect();
        assert_eq!(hits, want);
    }
}

/// What a stream is cut into.
#[derive(Debug, PartialEq)]
struct Cut {
    /// With their lines.
    entries: Vec<(u64, Vec<u8>)>,
    /// Some pieces are none.
    broken: bool,
    by_lines: bool,
}

/// Cuts a stream; none where it can't be read.
fn cut(reader: impl Read, limits: Limits) -> Option<Cut> {
    let scanner = Scanner::new(reader, limits).ok()?;
    let by_lines = matches!(scanner, Scanner::Lines(_));
    let mut cut = Cut { entries: Vec::new(), broken: false, by_lines };
    for batch in scanner {
        let batch = batch.ok()?;
        cut.broken |= !batch.broken().is_empty();
        cut.entries.extend(batch.entries().map(|(line, bytes)| (line, bytes.to_vec())));
    }
    Some(cut)
}

struct Pieces<'b> {
    bytes: &'b [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.len().min(self.size).min(buf.len());
        let (now, rest) = self.bytes.split_at(len);
        buf[..len].copy_from_slice(now);
        self.bytes = rest;
        Ok(len)
    }
}
