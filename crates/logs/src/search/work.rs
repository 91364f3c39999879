//! Searching one piece of the input. Runs on any thread; knows nothing of other pieces.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::source::{Framing, Margin, Piece};
use crate::entry::Entry;
use crate::filter::Filter;
use crate::prefilter::Prefilter;
use crate::scan::{Block, Broken, BrokenReason, ElementChunk, Layout, Splitter, Step};

/// How many broken pieces are kept with their reasons; more are only counted.
pub const BROKEN_MAX: usize = 100;

pub(super) struct Worker<'a> {
    pub(super) filter: &'a Filter,
    pub(super) alternatives: &'a [Filter],
    /// Lets matches of the filter and of its alternatives through.
    pub(super) wide: &'a Prefilter,
    /// Lets matches of the filter through.
    pub(super) narrow: &'a Prefilter,
    /// There have been hits: alternatives are of no interest any more.
    pub(super) any: &'a AtomicBool,
    pub(super) framing: Framing,
    pub(super) entry_bytes_max: usize,
    /// Whether times of hits are wanted.
    pub(super) timed: bool,
}

/// What one piece held.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<FoundEntry>,
    pub(super) hits: u64,
    pub(super) alternatives: Vec<u64>,
    pub(super) broken: Vec<Broken>,
    pub(super) broken_total: u64,
    /// Line breaks in the piece.
    pub(super) lines: u64,
    /// Line numbers are those of the whole input, not counted from the piece's first line.
    pub(super) absolute: bool,
}

#[derive(Debug)]
pub(super) struct FoundEntry {
    pub(super) range: Range<usize>,
    pub(super) line: u64,
    pub(super) time: Option<Timestamp>,
}

impl Found {
    fn broken(&mut self, line: u64, reason: BrokenReason) {
        self.broken_total += 1;
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(Broken { line, reason });
        }
    }
}

impl Worker<'_> {
    pub(super) fn search(&self, piece: &Piece) -> Found {
        let mut found =
            Found { alternatives: vec![0; self.alternatives.len()], ..Found::default() };
        match (piece, &self.framing) {
            (Piece::Elements(chunk), _) => self.elements(chunk, &mut found),
            (Piece::Block(block), Framing::Lines) => self.lines(block, &mut found),
            (Piece::Block(block), Framing::Margin(margin)) => {
                self.margin(block, margin, &mut found);
            }
        }
        found
    }

    fn prefilter(&self) -> &Prefilter {
        if self.any.load(Ordering::Relaxed) { self.narrow } else { self.wide }
    }

    fn elements(&self, chunk: &ElementChunk, found: &mut Found) {
        found.absolute = true;
        found.broken_total = chunk.broken.len() as u64;
        found.broken.extend(chunk.broken.iter().take(BROKEN_MAX).cloned());
        let prefilter = self.prefilter();
        for element in &chunk.elements {
            if prefilter.may_match(&chunk.bytes[element.range.clone()]) {
                self.entry(&chunk.bytes, element.range.clone(), element.line, found);
            }
        }
    }

    fn lines(&self, block: &Block, found: &mut Found) {
        let bytes = block.bytes.as_slice();
        for skipped in 0..block.skipped {
            found.broken(skipped, BrokenReason::TooLong(self.entry_bytes_max));
        }
        found.lines = block.skipped;
        let prefilter = self.prefilter();
        let all = prefilter.is_empty();
        let mut candidates = prefilter.candidates(bytes);
        let mut next = candidates.next_at(0);
        let mut start = 0;
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |n| start + n);
            let wanted = all || next.is_some_and(|at| at < end);
            if wanted || !looks_whole(&bytes[start..end]) {
                let range = trimmed(bytes, start..end);
                let line = found.lines;
                if range.len() >= self.entry_bytes_max {
                    found.broken(line, BrokenReason::TooLong(self.entry_bytes_max));
                } else if wanted && !range.is_empty() {
                    self.entry(bytes, range, line, found);
                } else if !range.is_empty() && !looks_whole(&bytes[range.clone()]) {
                    found.broken(line, shape_reason(&bytes[range]));
                }
            }
            if end < bytes.len() {
                found.lines += 1;
            }
            start = end + 1;
            if next.is_some_and(|at| at < start) {
                next = candidates.next_at(start);
            }
        }
    }

    /// Elements of a pretty-printed stream: between two closing braces at the margin.
    fn margin(&self, block: &Block, margin: &Margin, found: &mut Found) {
        let bytes = block.bytes.as_slice();
        for skipped in 0..block.skipped {
            found.broken(skipped, BrokenReason::TooLong(self.entry_bytes_max));
        }
        let prefilter = self.prefilter();
        let close = margin.close.needle().len();
        let mut candidates = prefilter.candidates(bytes);
        let mut start = 0;
        let mut counted = 0;
        let mut line = block.skipped;
        while start < bytes.len() {
            let at = if prefilter.is_empty() { Some(start) } else { candidates.next_at(start) };
            let Some(at) = at else { break };
            let from = match margin.close_before.rfind(&bytes[start..at]) {
                Some(before) => start + before + close,
                None => start,
            };
            line += newlines(&bytes[counted..from]);
            counted = from;
            start = self.region(bytes, from, at, line, margin, found);
        }
        // A stream that ends inside an element shows it in what is left behind the last brace.
        if start < bytes.len() {
            let tail =
                margin.close_before.rfind(&bytes[start..]).map_or(start, |n| start + n + close);
            let rest = bytes[tail..].trim_ascii();
            if rest.contains(&b'{') {
                line += newlines(&bytes[counted..tail]);
                counted = tail;
                self.region(bytes, tail, bytes.len(), line, margin, found);
            }
        }
        found.lines = line + newlines(&bytes[counted..]);
    }

    /// Searches the elements around `at`, the first of which begins behind `from`. Says where
    /// the search goes on.
    fn region(
        &self,
        bytes: &[u8],
        from: usize,
        at: usize,
        line: u64,
        margin: &Margin,
        found: &mut Found,
    ) -> usize {
        let close = margin.close.needle().len();
        let mut splitter = Splitter::new(Layout::Array, self.entry_bytes_max);
        // The marker may overlap the place: it begins with the line break before the brace.
        let search_from = at.saturating_sub(close);
        let mut end = margin
            .close
            .find_iter(&bytes[search_from..])
            .map(|n| search_from + n + close)
            .find(|end| *end > at)
            .unwrap_or(bytes.len());
        let mut place = from;
        let mut counted = from;
        let mut line = line;
        loop {
            match splitter.step(&bytes[..end], place, end == bytes.len()) {
                Step::Element { start, end: behind } => {
                    line += newlines(&bytes[counted..start]);
                    counted = start;
                    if self.prefilter().may_match(&bytes[start..behind]) {
                        self.entry(bytes, start..behind, line, found);
                    }
                    place = behind;
                }
                Step::Broken { at, resume, reason } => {
                    line += newlines(&bytes[counted..at]);
                    counted = at;
                    found.broken(line, reason);
                    place = resume;
                }
                Step::More { from: rest } => {
                    if bytes[rest..end].trim_ascii().is_empty() || end == bytes.len() {
                        return end;
                    }
                    // An object is still open: the brace was not the end of an element.
                    place = rest;
                    let next = margin.close.find(&bytes[end..]);
                    end = next.map_or(bytes.len(), |n| end + n + close);
                }
            }
        }
    }

    fn entry(&self, bytes: &[u8], range: Range<usize>, line: u64, found: &mut Found) {
        let entry = match Entry::parse(&bytes[range.clone()]) {
            Ok(entry) => entry,
            Err(reason) => {
                let text = &bytes[range];
                let reason = match looks_whole(text) {
                    true => BrokenReason::Json(reason),
                    false => shape_reason(text),
                };
                return found.broken(line, reason);
            }
        };
        if self.filter.matches(&entry) {
            found.hits += 1;
            let time = if self.timed { entry.timestamp() } else { None };
            found.entries.push(FoundEntry { range, line, time });
        } else if !self.any.load(Ordering::Relaxed) {
            for (count, other) in found.alternatives.iter_mut().zip(self.alternatives) {
                *count += u64::from(other.matches(&entry));
            }
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Begins and ends as an object does.
fn looks_whole(line: &[u8]) -> bool {
    matches!(line, [b'{', .., b'}'] | [b'{', .., b'}', b'\r'])
}

fn shape_reason(text: &[u8]) -> BrokenReason {
    match text.first() {
        Some(b'{') => BrokenReason::CutOff,
        _ => BrokenReason::NotAnObject,
    }
}

fn trimmed(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &bytes[range.clone()];
    let leading = text.len() - text.trim_ascii_start().len();
    let kept = text.trim_ascii().len();
    range.start + leading..range.start + leading + kept
}

/// Drops white space between the tokens.
pub(super) fn compact(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\n', b'\r', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut quoted = false;
    let mut escaped = false;
    for byte in bytes {
        if quoted {
            out.push(*byte);
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if !byte.is_ascii_whitespace() {
            quoted = *byte == b'"';
            out.push(*byte);
        }
    }
    Cow::Owned(out)
}
