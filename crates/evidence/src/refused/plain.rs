//! Text as a person would read it: colour codes dropped, JSON escapes undone, offsets kept.
//!
//! Must not know what the words mean.

use std::ops::Range;

/// Texts up to this size are read whole, longer ones only around their hits.
const WHOLE_BYTES_MAX: usize = 16 * 1024;
/// How far around a hit a long text is read.
const AROUND_BYTES: usize = 2048;
/// How much of a long text is read in all, so that time stays bounded on any input.
const READ_BYTES_MAX: usize = 256 * 1024;
/// A colour code longer than this is taken for text.
const ANSI_BYTES_MAX: usize = 64;

/// A part of a text without escapes and colour codes.
pub(super) struct Plain {
    /// The readable text.
    pub(super) text: String,
    /// The same in ASCII lowercase; every offset fits both.
    pub(super) lower: String,
    base: usize,
    /// Original offset of each byte of `text`; empty where the two are equal.
    map: Vec<u32>,
}

impl Plain {
    /// Reads `part` of `text`.
    pub(super) fn new(text: &str, part: Range<usize>) -> Plain {
        let (raw, base) = (&text[part.clone()], part.start);
        let (plain, map) = if raw.bytes().any(|b| b == b'\\' || b == 0x1b) {
            Unescape::run(raw)
        } else {
            (raw.to_owned(), Vec::new())
        };
        let lower = plain.to_ascii_lowercase();
        // A page's copy breaks lines between any two words; the same length keeps every offset.
        let lower = match lower.contains("connection\nrefused") {
            true => lower.replace("connection\nrefused", "connection refused"),
            false => lower,
        };
        Plain { text: plain, lower, base, map }
    }

    /// The bytes of the original text that `range` of the plain text came from.
    pub(super) fn original(&self, range: Range<usize>) -> Range<usize> {
        if self.map.is_empty() {
            return self.base + range.start..self.base + range.end;
        }
        let at = |i: usize| self.map.get(i).map_or(0, |o| *o as usize);
        let last = range.end.saturating_sub(1).max(range.start);
        self.base + at(range.start)..self.base + at(last) + 1
    }
}

/// The parts of a text worth reading, given where its literals are.
pub(super) fn parts(text: &str, hits: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut hits = hits.peekable();
    if hits.peek().is_none() {
        return Vec::new();
    }
    if text.len() <= WHOLE_BYTES_MAX {
        return std::iter::once(0..text.len()).collect();
    }
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut total = 0;
    for hit in hits {
        let from = hit.saturating_sub(AROUND_BYTES);
        let to = (hit + AROUND_BYTES).min(text.len());
        if let Some(last) = parts.last_mut()
            && from <= last.end
        {
            total += to - last.end;
            last.end = to;
        } else {
            total += to - from;
            parts.push(from..to);
        }
        if total >= READ_BYTES_MAX {
            break;
        }
    }
    for part in &mut parts {
        part.start = whole_word(text, part.start);
        part.end = floor_char(text, part.end);
        part.start = part.start.min(part.end);
    }
    parts
}

/// Moves a cut behind the word it lies in, so that half an address is never read as one.
fn whole_word(text: &str, at: usize) -> usize {
    if at == 0 {
        return 0;
    }
    let bytes = text.as_bytes();
    let stop = (at + 256).min(bytes.len());
    let gap = bytes[at..stop].iter().position(|b| b" \n\t,\"'".contains(b));
    floor_char(text, gap.map_or(at, |n| at + n))
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Copies a text without escapes; one pass, any nesting of backslashes.
struct Unescape {
    out: String,
    map: Vec<u32>,
    /// Length of the colour code being skipped, counted from its escape character.
    skipping: usize,
    csi: bool,
}

impl Unescape {
    fn run(raw: &str) -> (String, Vec<u32>) {
        let size = raw.len();
        let mut to = Unescape {
            out: String::with_capacity(size),
            map: Vec::with_capacity(size),
            skipping: 0,
            csi: false,
        };
        let bytes = raw.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            if bytes[i] == b'\\' {
                i = to.escape(raw, i);
            } else {
                let c = raw[i..].chars().next().unwrap_or(' ');
                to.put(c, i);
                i += c.len_utf8();
            }
        }
        (to.out, to.map)
    }

    /// Undoes one escape that begins at `at`; returns where the text goes on.
    fn escape(&mut self, raw: &str, at: usize) -> usize {
        let bytes = raw.as_bytes();
        // A run of backslashes is one escape, escaped again by each layer of JSON around it.
        let mut i = at;
        while i < bytes.len() && bytes[i] == b'\\' {
            i += 1;
        }
        match bytes.get(i) {
            Some(b'"' | b'\'' | b'/') => {
                self.put(char::from(bytes[i]), i);
                i + 1
            }
            Some(b'n' | b'r') => {
                self.put('\n', i);
                i + 1
            }
            Some(b't') => {
                self.put(' ', i);
                i + 1
            }
            Some(b'u') => match raw.get(i + 1..i + 5).and_then(|h| u32::from_str_radix(h, 16).ok())
            {
                Some(code) => {
                    self.put(char::from_u32(code).unwrap_or('\u{fffd}'), i);
                    i + 5
                }
                None => self.keep(at, i),
            },
            Some(b'x') if raw[i..].len() >= 3 && raw[i + 1..].starts_with("1b") => {
                self.put('\u{1b}', i);
                i + 3
            }
            Some(b'0') if raw[i..].starts_with("033") => {
                self.put('\u{1b}', i);
                i + 3
            }
            _ => self.keep(at, i),
        }
    }

    /// Keeps one backslash of a run that escapes nothing.
    fn keep(&mut self, at: usize, next: usize) -> usize {
        self.put('\\', at);
        next
    }

    fn put(&mut self, c: char, at: usize) {
        if self.skipping > 0 {
            self.skipping += 1;
            let ends = if self.csi { ('@'..='~').contains(&c) } else { c != '[' };
            if self.skipping == 2 && c == '[' {
                self.csi = true;
            } else if ends || self.skipping > ANSI_BYTES_MAX {
                self.skipping = 0;
            }
            return;
        }
        if c == '\u{1b}' {
            (self.skipping, self.csi) = (1, false);
            return;
        }
        let before = self.out.len();
        self.out.push(c);
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        self.map.extend(std::iter::repeat_n(at, self.out.len() - before));
    }
}
