//! Answers of log services that hold their entries in a list: everything around the list is
//! passed over as it streams by, so that a long answer is read as an array is.

use std::io::Read;

use crate::ready::Ready;

/// A list within an answer: the keys that lead to it, and a text that its first element has.
struct Shape {
    path: &'static [&'static str],
    mark: &'static [&'static str],
}

/// Lists that hold log entries. `entries` of Cloud Logging is not here: pages of it are a layout
/// of their own.
const SHAPES: &[Shape] = &[
    // Elasticsearch, OpenSearch
    Shape { path: &["hits", "hits"], mark: &["\"_source\"", "\"fields\""] },
    // CloudWatch get-log-events and filter-log-events
    Shape { path: &["events"], mark: &["\"message\""] },
    // Datadog
    Shape { path: &["data"], mark: &["\"attributes\""] },
    Shape { path: &["logs"], mark: &["\"content\"", "\"message\""] },
    // Loki
    Shape { path: &["data", "result"], mark: &["\"values\""] },
    // Splunk
    Shape { path: &["results"], mark: &["\"_raw\""] },
    // Azure's event hubs and storage
    Shape {
        path: &["records"],
        mark: &["\"LogMessage\"", "\"LogEntry\"", "\"message\"", "\"log\""],
    },
];

/// How many of its keys a list may lie below, and how long they are.
const PATH_MAX: usize = 2;
const KEY_MAX: usize = 32;

/// How much of a list's first element is looked at.
const MARK_WITHIN: usize = 16 << 10;

/// What is shorter, the head has cut off.
const NEXT_MIN: usize = 512;

/// Where in an answer its entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope {
    shape: usize,
}

/// Recognises an answer by its head.
pub(crate) fn of(head: &[u8]) -> Option<Envelope> {
    let (shape, behind, walk) = find(head)?;
    // Lines of JSON that hold lists too are no answers: what follows must be another of the same.
    let same = match next_object(behind, walk) {
        Some(next) => find(next).is_some_and(|(other, ..)| other == shape),
        None => true,
    };
    same.then_some(Envelope { shape })
}

/// The list of the first object, what stands behind its bracket, and the walk up to there.
fn find(head: &[u8]) -> Option<(usize, &[u8], Walk)> {
    if head.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let mut walk = Walk::default();
    let mut begun = false;
    for (at, byte) in head.iter().enumerate() {
        let seen = walk.step(*byte);
        begun |= walk.depth > 0;
        if begun && walk.depth == 0 {
            return None;
        }
        let behind = &head[at + 1..];
        if seen != Seen::List || behind.trim_ascii_start().first() != Some(&b'{') {
            continue;
        }
        let within = &behind[..behind.len().min(MARK_WITHIN)];
        let marked = |shape: &Shape| {
            shape.mark.iter().any(|m| memchr::memmem::find(within, m.as_bytes()).is_some())
        };
        let found = SHAPES.iter().position(|shape| walk.is_at(shape.path) && marked(shape));
        if let Some(shape) = found {
            return Some((shape, behind, walk));
        }
    }
    None
}

/// The object that follows the one that is being walked through, as far as it shows what it is.
fn next_object(rest: &[u8], mut walk: Walk) -> Option<&[u8]> {
    let end = rest.iter().position(|byte| {
        walk.step(*byte);
        walk.depth == 0
    })?;
    let behind = rest[end + 1..].trim_ascii_start();
    (behind.first() == Some(&b'{') && behind.len() > NEXT_MIN).then_some(behind)
}

/// What a byte begins.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// A list, below the keys of the walk.
    List,
}

/// The place in an answer: which keys it lies below, as far as they matter.
#[derive(Default)]
struct Walk {
    depth: usize,
    /// Whether each level is an object; beyond what matters they are only counted.
    keys: [Vec<u8>; PATH_MAX],
    /// The text that was read last: a key if a value follows.
    last: Vec<u8>,
    quoted: bool,
    escaped: bool,
}

impl Walk {
    fn step(&mut self, byte: u8) -> Seen {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ if self.last.len() < KEY_MAX => self.last.push(byte),
                _ => {}
            }
            return Seen::Nothing;
        }
        match byte {
            b'"' => {
                self.quoted = true;
                self.last.clear();
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth >= 2
                    && let Some(key) = self.keys.get_mut(self.depth - 2)
                {
                    key.clone_from(&self.last);
                }
                if byte == b'[' {
                    return Seen::List;
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' => self.last.clear(),
            _ => {}
        }
        Seen::Nothing
    }

    /// Whether the bracket that was just opened lies below these keys.
    fn is_at(&self, path: &[&str]) -> bool {
        self.depth == path.len() + 1
            && path.iter().zip(&self.keys).all(|(key, seen)| key.as_bytes() == seen)
    }
}

/// An answer's stream without what stands around its entries: arrays of them, with every line
/// break where it was. Several answers may follow each other.
pub(crate) struct Rows<R> {
    inner: R,
    path: &'static [&'static str],
    walk: Walk,
    /// The depth of the list that is being passed on.
    inside: Option<usize>,
    raw: Vec<u8>,
    ready: Ready,
}

const BUFFER: usize = 64 << 10;

impl<R: Read> Rows<R> {
    pub(crate) fn new(inner: R, envelope: Envelope) -> Self {
        Rows {
            inner,
            path: SHAPES[envelope.shape].path,
            walk: Walk::default(),
            inside: None,
            raw: vec![0; BUFFER],
            ready: Ready::default(),
        }
    }

    fn pass(&mut self, len: usize) {
        let ready = self.ready.refill();
        for byte in &self.raw[..len] {
            let seen = self.walk.step(*byte);
            match self.inside {
                None if seen == Seen::List && self.walk.is_at(self.path) => {
                    self.inside = Some(self.walk.depth);
                    ready.push(b'[');
                }
                Some(depth) if self.walk.depth < depth => {
                    self.inside = None;
                    ready.push(b']');
                }
                Some(_) => ready.push(*byte),
                None if *byte == b'\n' => ready.push(b'\n'),
                None => {}
            }
        }
    }
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.ready.is_empty() {
            let len = self.inner.read(&mut self.raw)?;
            if len == 0 {
                return Ok(0);
            }
            self.pass(len);
        }
        Ok(self.ready.give(buf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Option<String> {
        let envelope = of(text.as_bytes())?;
        let mut out = String::new();
        Rows::new(text.as_bytes(), envelope).read_to_string(&mut out).ok()?;
        Some(out)
    }

    #[test]
    fn what_stands_around_the_entries_is_passed_over() {
        for (answer, want) in [
            (
                r#"{"took":1,"hits":{"total":{"value":1},"hits":[{"_source":{"a":[1]}}]},"x":[2]}"#,
                r#"[{"_source":{"a":[1]}}]"#,
            ),
            (
                "{\n \"events\": [\n  {\"message\": \"a ] \\\" }\"}\n ],\n \"nextToken\": \"b\"\n}\n{\"events\":[{\"message\":\"c\"}]}",
                "\n[\n  {\"message\": \"a ] \\\" }\"}\n ]\n\n\n[{\"message\":\"c\"}]",
            ),
            (
                r#"{"status":"success","data":{"resultType":"streams","result":[{"stream":{},"values":[]}]}}"#,
                r#"[{"stream":{},"values":[]}]"#,
            ),
            (r#"{"results":[{"_raw":"x"}]}"#, r#"[{"_raw":"x"}]"#),
        ] {
            assert_eq!(rows(answer).as_deref(), Some(want), "{answer}");
        }
    }

    #[test]
    fn other_objects_are_left_alone() {
        for text in [
            r#"{"events":[]}"#,
            r#"{"events":["message"]}"#,
            r#"{"a":{"events":[{"message":"x"}]}}"#,
            r#"{"data":[{"id":1}]}"#,
            r#"{"hits":[{"_source":1}]}"#,
            r#"[{"events":[{"message":1}]}]"#,
            "{",
            "",
        ] {
            assert_eq!(rows(text), None, "{text}");
        }
    }
}
