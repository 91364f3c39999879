//! Finding the objects in a buffer of JSON by counting braces outside strings.
//!
//! JSON strings hold no raw line break, so a newline is always outside one: that is what lets a
//! broken entry be left behind at the next line that looks like the start of an entry.

use super::broken::BrokenReason;
use super::layout::{BOM, Layout, skip_space, string_end};

/// After this many starts in a row that led nowhere the rest of the buffer is given up:
/// a file of opening braces would otherwise be scanned once per brace.
const FAILURES_MAX: u32 = 32;

/// What lies next in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A whole object.
    Element { start: usize, end: usize },
    /// Something else; the search goes on at `resume`.
    Broken { at: usize, resume: usize, reason: BrokenReason },
    /// Nothing more is complete: keep the bytes from `from` on and read more.
    More { from: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where entries stand: outside everything, or inside the array.
    Entries,
    /// Outside a page's object.
    BeforePage,
    /// Behind the array of a page, before its closing brace.
    PageTail,
}

/// What the first element looked like, by which a later one is recognised after a broken one.
#[derive(Debug, Default)]
struct Shape {
    /// White space before the first brace of an element at the start of its line.
    indent: Option<Vec<u8>>,
    /// The first key with its quotes.
    key: Option<Vec<u8>>,
}

/// Where in a stream of one layout we are. Fed with consecutive buffers.
#[derive(Debug)]
pub(crate) struct Splitter {
    pages: bool,
    place: Place,
    shape: Shape,
    resyncing: bool,
    failures: u32,
    entry_bytes_max: usize,
}

enum Object {
    End(usize),
    Incomplete,
    OpenString(usize),
}

impl Splitter {
    pub(crate) fn new(layout: Layout, entry_bytes_max: usize) -> Self {
        let pages = layout == Layout::Pages;
        let place = if pages { Place::BeforePage } else { Place::Entries };
        let shape = Shape::default();
        Self { pages, place, shape, resyncing: false, failures: 0, entry_bytes_max }
    }

    /// Finds the next object at or behind `at`. With `done` no more bytes follow `buf`.
    pub(crate) fn step(&mut self, buf: &[u8], mut at: usize, done: bool) -> Step {
        // A piece that has reached the limit is not waited for either.
        if self.resyncing {
            let last = done || buf.len() - at >= self.entry_bytes_max;
            match self.resync(buf, at, last) {
                Some(start) => {
                    self.resyncing = false;
                    self.place = Place::Entries;
                    at = start;
                }
                None => return Step::More { from: tail_line(buf, at, last) },
            }
        }
        loop {
            at = skip_space(buf, at);
            let Some(&byte) = buf.get(at) else { return Step::More { from: keep_margin(buf, at) } };
            let last = done || buf.len() - at >= self.entry_bytes_max;
            match (self.place, byte) {
                _ if buf[at..].starts_with(BOM) => at += BOM.len(), // files joined by `cat`
                (_, 0x1e) => at += 1,                               // RFC 7464 record separator
                (Place::Entries, b']') if self.pages => {
                    self.place = Place::PageTail;
                    at += 1;
                }
                (Place::Entries, b',' | b'[' | b']') | (Place::BeforePage, b',' | b'[' | b']') => {
                    at += 1;
                }
                (Place::Entries, b'{') => return self.element(buf, at, last),
                (Place::BeforePage, b'{') => match page_list(buf, at) {
                    Page::List(inside) => {
                        self.place = Place::Entries;
                        at = inside;
                    }
                    Page::Incomplete if !last => return Step::More { from: keep_margin(buf, at) },
                    Page::None | Page::Incomplete => return self.element(buf, at, last),
                },
                (Place::PageTail, b'}') => {
                    self.place = Place::BeforePage;
                    at += 1;
                }
                (Place::PageTail, b'{') => match object_end(buf, at) {
                    Object::End(end) => at = end,
                    Object::Incomplete if !last => return Step::More { from: at },
                    _ => return self.junk(buf, at, last),
                },
                (Place::PageTail, b'"') => match string_end(buf, at) {
                    Some(end) => at = end,
                    None if last => return self.junk(buf, at, last),
                    None => return Step::More { from: at },
                },
                (Place::PageTail, _) => at += 1,
                _ => return self.junk(buf, at, last),
            }
        }
    }

    fn element(&mut self, buf: &[u8], start: usize, last: bool) -> Step {
        match object_end(buf, start) {
            Object::End(end) if end - start >= self.entry_bytes_max => {
                let reason = BrokenReason::TooLong(self.entry_bytes_max);
                Step::Broken { at: start, resume: end, reason }
            }
            Object::End(end) => {
                self.failures = 0;
                self.learn(buf, start);
                Step::Element { start, end }
            }
            Object::Incomplete if !last => Step::More { from: keep_margin(buf, start) },
            Object::Incomplete => {
                let reason = match buf.len() - start {
                    len if len >= self.entry_bytes_max => {
                        BrokenReason::TooLong(self.entry_bytes_max)
                    }
                    _ => BrokenReason::CutOff,
                };
                self.broken(buf, start, start + 1, reason)
            }
            Object::OpenString(newline) => {
                self.broken(buf, start, newline, BrokenReason::OpenString)
            }
        }
    }

    fn broken(&mut self, buf: &[u8], at: usize, from: usize, reason: BrokenReason) -> Step {
        self.failures += 1;
        self.resyncing = true;
        let resume = if self.failures > FAILURES_MAX { buf.len() } else { from };
        Step::Broken { at, resume, reason }
    }

    /// Anything that is no object: reported once, left behind at the next comma, bracket or line.
    fn junk(&mut self, buf: &[u8], at: usize, last: bool) -> Step {
        let mut end = at;
        while let Some(&byte) = buf.get(end) {
            match byte {
                b'"' => match string_end(buf, end) {
                    Some(behind) => end = behind,
                    None if last || memchr::memchr(b'\n', &buf[end..]).is_some() => end += 1,
                    None => return Step::More { from: at },
                },
                b'\n' | b',' | b'[' | b']' | b'{' => break,
                _ => end += 1,
            }
        }
        if end == buf.len() && !last {
            return Step::More { from: at };
        }
        let resume = end.max(at + 1);
        Step::Broken { at, resume, reason: BrokenReason::NotAnObject }
    }

    /// The next place behind a broken entry where one seems to begin.
    fn resync(&self, buf: &[u8], at: usize, last: bool) -> Option<usize> {
        let key = self.shape.key.as_deref();
        let mut from = at;
        while let Some(found) = memchr::memchr(b'{', buf.get(from..)?) {
            let brace = from + found;
            from = brace + 1;
            let line = memchr::memrchr(b'\n', &buf[..brace]).map_or(0, |n| n + 1);
            let leading = &buf[line..brace];
            let fits = match &self.shape.indent {
                Some(indent) => leading == indent.as_slice(),
                None => key.is_some() || leading.trim_ascii().is_empty(),
            };
            if !fits {
                continue;
            }
            // The key alone is asked for where no line break tells entries apart.
            let Some(key) = key.filter(|_| self.shape.indent.is_none()) else { return Some(brace) };
            let first = skip_space(buf, brace + 1);
            if buf.get(first..).is_some_and(|rest| rest.starts_with(key)) {
                return Some(brace);
            }
            if first + key.len() > buf.len() && !last {
                return None;
            }
        }
        None
    }

    fn learn(&mut self, buf: &[u8], start: usize) {
        if self.shape.key.is_some() {
            return;
        }
        let line = memchr::memrchr(b'\n', &buf[..start]);
        if let Some(line) = line {
            let leading = &buf[line + 1..start];
            if leading.trim_ascii().is_empty() {
                self.shape.indent = Some(leading.to_vec());
            }
        }
        let first = skip_space(buf, start + 1);
        if buf.get(first) == Some(&b'"') {
            let end = string_end(buf, first).unwrap_or(first);
            self.shape.key = Some(buf[first..end].to_vec());
        }
    }
}

/// The line break before the white space before `at`: the margin is known only together with it.
fn keep_margin(buf: &[u8], at: usize) -> usize {
    let blank = buf[..at].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match buf[..at - blank].last() {
        Some(b'\n') => at - blank - 1,
        _ => at,
    }
}

/// While looking for a new start, whole lines are let go; the last one may go on.
fn tail_line(buf: &[u8], at: usize, last: bool) -> usize {
    if last {
        return buf.len();
    }
    memchr::memrchr(b'\n', &buf[at..]).map_or(at, |newline| at + newline)
}

fn object_end(buf: &[u8], start: usize) -> Object {
    let mut depth = 0u32;
    let mut at = start;
    while let Some(found) = buf.get(at..).and_then(|rest| memchr::memchr3(b'"', b'{', b'}', rest)) {
        at += found;
        match buf[at] {
            b'"' => match string_end(buf, at) {
                Some(end) => at = end,
                None => {
                    return match memchr::memchr(b'\n', &buf[at..]) {
                        Some(newline) => Object::OpenString(at + newline),
                        None => Object::Incomplete,
                    };
                }
            },
            b'{' => {
                depth += 1;
                at += 1;
            }
            _ => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    return Object::End(at);
                }
            }
        }
    }
    Object::Incomplete
}

enum Page {
    /// Index behind the bracket that opens the entries.
    List(usize),
    Incomplete,
    None,
}

/// Looks for `"entries": [` among the keys of the object at `at`.
fn page_list(buf: &[u8], at: usize) -> Page {
    let mut at = at + 1;
    loop {
        at = skip_space(buf, at);
        match buf.get(at) {
            Some(b'"') => {}
            Some(b',') => {
                at += 1;
                continue;
            }
            Some(_) => return Page::None,
            None => return Page::Incomplete,
        }
        let Some(end) = string_end(buf, at) else { return Page::Incomplete };
        let key = &buf[at..end];
        let colon = skip_space(buf, end);
        match buf.get(colon) {
            Some(b':') => {}
            Some(_) => return Page::None,
            None => return Page::Incomplete,
        }
        let value = skip_space(buf, colon + 1);
        match buf.get(value) {
            Some(b'[') if key == b"\"entries\"" => return Page::List(value + 1),
            Some(b'"') => match string_end(buf, value) {
                Some(end) => at = end,
                None => return Page::Incomplete,
            },
            Some(b'{') => match object_end(buf, value) {
                Object::End(end) => at = end,
                _ => return Page::Incomplete,
            },
            Some(b'[') | None => return Page::None,
            Some(_) => {
                let rest = &buf[value..];
                match rest.iter().position(|byte| matches!(byte, b',' | b'}' | b'\n')) {
                    Some(end) => at = value + end,
                    None => return Page::Incomplete,
                }
            }
        }
    }
}
