//! Objects out of arrays, pages and pretty-printed streams, in blocks. Knows no line format.

use std::io::{self, Read};
use std::ops::Range;

use super::blocks::read_on;
use super::broken::Broken;
use super::layout::Layout;
use super::limits::Limits;
use super::split::{Splitter, Step};

/// One object and the line on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Where its bytes are in the chunk.
    pub range: Range<usize>,
    /// Line of its opening brace, from 1.
    pub line: u64,
}

/// Whole objects that were read together.
#[derive(Debug, Default)]
pub struct ElementChunk {
    /// The buffer; between the elements it holds separators and what was skipped.
    pub bytes: Vec<u8>,
    /// The objects in it, in order.
    pub elements: Vec<Element>,
    /// What could not be cut into objects.
    pub broken: Vec<Broken>,
}

impl ElementChunk {
    /// The objects with their line numbers.
    pub fn entries(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.elements.iter().map(|element| (element.line, &self.bytes[element.range.clone()]))
    }
}

/// Iterator of [`ElementChunk`]s over a stream.
#[derive(Debug)]
pub struct Elements<R> {
    reader: R,
    limits: Limits,
    splitter: Splitter,
    carry: Vec<u8>,
    /// Line of the first byte of `carry`.
    line: u64,
    done: bool,
    finished: bool,
    /// What went wrong behind the last byte that could be read.
    failure: Option<io::Error>,
}

impl<R: Read> Elements<R> {
    /// Cuts `reader`, whose layout is known, into chunks of about [`Limits::block_bytes`].
    pub fn new(reader: R, layout: Layout, limits: Limits) -> Self {
        let splitter = Splitter::new(layout, limits.entry_bytes_max);
        Self {
            reader,
            limits,
            splitter,
            carry: Vec::new(),
            line: 1,
            done: false,
            finished: false,
            failure: None,
        }
    }

    fn chunk(&mut self) -> ElementChunk {
        let mut chunk =
            ElementChunk { bytes: std::mem::take(&mut self.carry), ..Default::default() };
        let mut wanted = self.limits.block_bytes.max(1);
        let mut at = 0;
        let mut lines = Lines { at: 0, line: self.line };
        loop {
            self.more(&mut chunk.bytes, wanted);
            loop {
                match self.splitter.step(&chunk.bytes, at, self.done) {
                    Step::Element { start, end } => {
                        let line = lines.of(&chunk.bytes, start);
                        chunk.elements.push(Element { range: start..end, line });
                        at = end;
                    }
                    Step::Broken { at: start, resume, reason } => {
                        let line = lines.of(&chunk.bytes, start);
                        chunk.broken.push(Broken { line, reason });
                        at = resume;
                    }
                    Step::More { from } => {
                        at = from;
                        break;
                    }
                }
            }
            let something = !chunk.elements.is_empty() || !chunk.broken.is_empty();
            if self.done || something {
                self.line = lines.of(&chunk.bytes, at);
                self.carry.extend_from_slice(&chunk.bytes[at..]);
                self.finished = self.done;
                return chunk;
            }
            // Nothing complete so far: what has been passed is dropped, the rest is kept.
            self.line = lines.of(&chunk.bytes, at);
            chunk.bytes.drain(..at);
            at = 0;
            lines = Lines { at: 0, line: self.line };
            wanted = chunk.bytes.len() + self.limits.block_bytes.max(1);
        }
    }

    fn more(&mut self, bytes: &mut Vec<u8>, wanted: usize) {
        let len = bytes.len();
        if self.done || wanted <= len {
            return;
        }
        let (len, done, failure) = read_on(&mut self.reader, bytes, len, wanted);
        bytes.truncate(len);
        (self.done, self.failure) = (done, failure);
    }
}

impl<R: Read> Iterator for Elements<R> {
    type Item = io::Result<ElementChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.finished {
            let chunk = self.chunk();
            if !chunk.elements.is_empty() || !chunk.broken.is_empty() {
                return Some(Ok(chunk));
            }
        }
        self.failure.take().map(Err)
    }
}

/// Counts newlines up to places that only move forward.
struct Lines {
    at: usize,
    line: u64,
}

impl Lines {
    fn of(&mut self, bytes: &[u8], place: usize) -> u64 {
        if let Some(passed) = bytes.get(self.at..place) {
            self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
            self.at = place;
        }
        self.line
    }
}
