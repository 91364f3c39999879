//! Lists of Kubernetes objects, cut into their items without reading them.

use std::ops::Range;

use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `each` with every item of a JSON array.
pub(crate) fn raw_items(array: &RawValue, mut each: impl FnMut(&str)) {
    struct Items<'f, F>(&'f mut F);
    impl<'de, F: FnMut(&str)> Visitor<'de> for Items<'_, F> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while let Some(item) = seq.next_element::<&RawValue>()? {
                (self.0)(item.get());
            }
            Ok(())
        }
    }
    let mut parser = serde_json::Deserializer::from_str(array.get());
    // The text is valid JSON already, so nothing can go wrong but the type, which is known too.
    let _ = serde::Deserializer::deserialize_seq(&mut parser, Items(&mut each));
}

/// One value of a text of concatenated JSON values.
pub(crate) struct Document {
    /// The list's own fields with an empty `items`, or the whole value.
    pub(crate) frame: Vec<u8>,
    /// Items, where it is a list, with the line each begins on.
    pub(crate) items: Option<Vec<(Range<usize>, u64)>>,
    /// Line on which it begins.
    pub(crate) line: u64,
    /// What is wrong with its end, and where.
    pub(crate) broken: Option<(u64, String)>,
}

/// Walks a text of JSON values one after another (`kubectl get … -o json`, several times into
/// the same file too), cutting `items` of objects at the top.
pub(crate) struct Documents<'t> {
    text: &'t [u8],
    at: usize,
    lines: Lines,
}

impl<'t> Documents<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Documents { text, at: 0, lines: Lines { at: 0, line: 1 } }
    }

    fn object(&mut self, start: usize) -> Document {
        let line = self.lines.of(self.text, start);
        let mut document = Document { frame: vec![b'{'], items: None, line, broken: None };
        let mut at = start + 1;
        loop {
            at = skip_space(self.text, at);
            match self.text.get(at) {
                Some(b',') => at += 1,
                Some(b'}') => {
                    document.frame.push(b'}');
                    self.at = at + 1;
                    return document;
                }
                Some(b'"') => match self.field(at, &mut document) {
                    Ok(end) => at = end,
                    Err(place) => return self.cut(document, place),
                },
                _ => return self.cut(document, at),
            }
        }
    }

    /// One field of the frame: the index behind it, or where it breaks off.
    fn field(&mut self, at: usize, document: &mut Document) -> Result<usize, usize> {
        let key_end = string_end(self.text, at).ok_or(at)?;
        let colon = skip_space(self.text, key_end);
        if self.text.get(colon) != Some(&b':') {
            return Err(colon);
        }
        let value = skip_space(self.text, colon + 1);
        let key = &self.text[at..key_end];
        if key == b"\"items\"" && self.text.get(value) == Some(&b'[') {
            return self.items(value, document);
        }
        let end = value_end(self.text, value).ok_or(value)?;
        if document.frame.len() > 1 {
            document.frame.push(b',');
        }
        document.frame.extend_from_slice(&self.text[at..end]);
        Ok(end)
    }

    fn items(&mut self, bracket: usize, document: &mut Document) -> Result<usize, usize> {
        let items = document.items.get_or_insert_default();
        let mut at = bracket + 1;
        loop {
            at = skip_space(self.text, at);
            match self.text.get(at) {
                Some(b',') => at += 1,
                Some(b']') => return Ok(at + 1),
                Some(_) => {
                    let end = value_end(self.text, at).ok_or(at)?;
                    items.push((at..end, self.lines.of(self.text, at)));
                    at = end;
                }
                None => return Err(at),
            }
        }
    }

    /// The value breaks off at `place`: what came before counts, the rest of the text is lost.
    fn cut(&mut self, mut document: Document, place: usize) -> Document {
        let line = self.lines.of(self.text, place.min(self.text.len()));
        let why = if place >= self.text.len() || value_end(self.text, place).is_none() {
            "cut off: the JSON ends before its last bracket is closed"
        } else {
            "not valid JSON from here on"
        };
        document.broken = Some((line, why.to_owned()));
        document.frame.push(b'}');
        self.at = self.text.len();
        document
    }
}

impl Iterator for Documents<'_> {
    type Item = Document;

    fn next(&mut self) -> Option<Document> {
        self.at = skip_space(self.text, self.at);
        match self.text.get(self.at)? {
            b'{' => Some(self.object(self.at)),
            _ => {
                let line = self.lines.of(self.text, self.at);
                // Something between two objects (a shell prompt): go on at the next one.
                let from = memchr::memmem::find(&self.text[self.at..], b"\n{");
                self.at = from.map_or(self.text.len(), |n| self.at + n + 1);
                let why = "not a JSON object".to_owned();
                let broken = Some((line, why));
                Some(Document { frame: b"{}".to_vec(), items: None, line, broken })
            }
        }
    }
}

/// Whether the object at the start of `head` has a list of `items`, as far as the head shows.
pub(crate) fn is_list(head: &[u8]) -> bool {
    let Some(start) = head.iter().position(|b| !b.is_ascii_whitespace()) else { return false };
    if head[start] != b'{' {
        return false;
    }
    let mut at = start + 1;
    loop {
        at = skip_space(head, at);
        match head.get(at) {
            Some(b',') => at += 1,
            Some(b'"') => {
                let Some(end) = string_end(head, at) else { return false };
                let colon = skip_space(head, end);
                let value = skip_space(head, colon + 1);
                if &head[at..end] == b"\"items\"" {
                    return head.get(value) == Some(&b'[');
                }
                let Some(end) = value_end(head, value) else { return false };
                at = end;
            }
            _ => return false,
        }
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The index behind the JSON value at `at`, by its brackets; whether it is valid is for the
/// parser to say.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => brackets_end(bytes, at),
        b'}' | b']' | b',' | b':' => None,
        _ => {
            let rest = &bytes[at..];
            let len = rest.iter().position(|b| b",}] \t\r\n".contains(b))?;
            Some(at + len)
        }
    }
}

fn brackets_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (open, close) = if bytes[start] == b'{' { (b'{', b'}') } else { (b'[', b']') };
    let mut depth = 0usize;
    let mut at = start;
    // Only the outer kind of bracket is counted: balanced inner ones cannot hide it.
    loop {
        at += memchr::memchr3(b'"', open, close, bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => at = string_end(bytes, at)?,
            byte => {
                at += 1;
                if byte == open {
                    depth += 1;
                } else {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
            }
        }
    }
}

struct Lines {
    at: usize,
    line: u64,
}

impl Lines {
    fn of(&mut self, text: &[u8], place: usize) -> u64 {
        if let Some(passed) = text.get(self.at..place) {
            self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
            self.at = place;
        }
        self.line
    }
}

/// A frame as its type.
pub(crate) fn frame_type(frame: &[u8]) -> Option<sunup_evidence::decode::TypeMeta> {
    Deserialize::deserialize(&mut serde_json::Deserializer::from_slice(frame)).ok()
}
