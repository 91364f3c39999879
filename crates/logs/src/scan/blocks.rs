//! Blocks of whole lines from a reader. Knows newlines and nothing of JSON.

use std::io::{self, Read};

use super::broken::{Broken, BrokenReason};
use super::limits::Limits;

/// A block of bytes that ends at a newline (the last one of a stream may not).
#[derive(Debug, Default)]
pub struct Chunk {
    /// Whole lines.
    pub bytes: Vec<u8>,
    /// Number of the first line in `bytes`, from 1.
    pub first_line: u64,
    /// Where `bytes` begins in the stream, counted in bytes behind a byte order mark.
    pub offset: u64,
    /// Lines that were skipped because they are too long.
    pub broken: Vec<Broken>,
}

impl Chunk {
    /// Lines that are not blank, with their numbers, without their line ends.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        numbered(&self.bytes, self.first_line)
    }
}

/// Lines of `bytes` that are not blank, numbered from `first`.
pub(crate) fn numbered(bytes: &[u8], first: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let ends = memchr::memchr_iter(b'\n', bytes).chain(std::iter::once(bytes.len()));
    let mut start = 0;
    let mut line = first;
    ends.filter_map(move |end| {
        let text = bytes[start..end].trim_ascii();
        let number = line;
        start = (end + 1).min(bytes.len());
        line += 1;
        (!text.is_empty()).then_some((number, text))
    })
}

/// One piece as it came off the reader.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    pub(crate) offset: u64,
    /// A line longer than the limit lies before `bytes` and was skipped. It may still go on
    /// into the next block, which then does not count its newline a second time.
    pub(crate) skipped: u64,
}

/// Blocks cut behind the last newline, without counting lines: the cheapest way to read.
#[derive(Debug)]
pub(crate) struct Blocks<R> {
    reader: R,
    limits: Limits,
    carry: Vec<u8>,
    spare: Vec<Vec<u8>>,
    offset: u64,
    done: bool,
    /// What went wrong behind the last byte that could be read.
    failure: Option<io::Error>,
}

/// What is read of a stream at first.
const FIRST_BYTES: usize = 64 << 10;

impl<R: Read> Blocks<R> {
    pub(crate) fn new(reader: R, limits: Limits) -> Self {
        Self {
            reader,
            limits,
            carry: Vec::new(),
            spare: Vec::new(),
            offset: 0,
            done: false,
            failure: None,
        }
    }

    /// Takes a buffer back for the next blocks.
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < 16 {
            self.spare.push(buffer);
        }
    }

    /// The next block whose end is found by `cut`: the index behind the last whole piece.
    ///
    /// `cut` sees everything read so far and says `None` where no piece is complete yet; at the
    /// end of the stream the rest is handed out as it is.
    pub(crate) fn next_cut(
        &mut self,
        cut: impl Fn(&[u8]) -> Option<usize>,
    ) -> Option<io::Result<Block>> {
        if self.done && self.carry.is_empty() {
            return self.failure.take().map(Err);
        }
        let mut skipped = 0;
        let mut skipping = false;
        let mut wanted = self.limits.block_bytes.max(1);
        let mut buf = self.spare.pop().unwrap_or_default();
        let mut len = self.carry.len();
        if buf.len() < len {
            buf.resize(len, 0);
        }
        buf[..len].copy_from_slice(&self.carry);
        self.carry.clear();
        loop {
            if !self.done {
                (len, self.done, self.failure) = read_on(&mut self.reader, &mut buf, len, wanted);
            }
            if skipping {
                // The rest of an over-long line: gone up to and including its newline.
                let Some(end) = memchr::memchr(b'\n', &buf[..len]) else {
                    self.offset += len as u64;
                    len = 0;
                    if self.done {
                        return (skipped > 0).then(|| Ok(self.block(Vec::new(), skipped)));
                    }
                    continue;
                };
                buf.copy_within(end + 1..len, 0);
                len -= end + 1;
                self.offset += end as u64 + 1;
                skipping = false;
                if !self.done {
                    continue;
                }
            }
            let end = if self.done { Some(len) } else { cut(&buf[..len]) };
            if let Some(end) = end {
                self.carry.extend_from_slice(&buf[end..len]);
                buf.truncate(end);
                if buf.is_empty() && skipped == 0 {
                    return self.failure.take().map(Err);
                }
                return Some(Ok(self.block(buf, skipped)));
            }
            if len >= self.limits.entry_bytes_max {
                skipped += 1;
                skipping = true;
                self.offset += len as u64;
                len = 0;
                wanted = self.limits.block_bytes.max(1);
            } else {
                wanted = len + self.limits.block_bytes.max(1);
            }
        }
    }

    fn block(&mut self, bytes: Vec<u8>, skipped: u64) -> Block {
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        Block { bytes, offset, skipped }
    }
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_cut(|bytes| memchr::memrchr(b'\n', bytes).map(|at| at + 1))
    }
}

/// Lines of `bytes` at or above the limit, counted from 0. There are none in a block that is
/// itself below it, which is the usual case.
pub(crate) fn long_lines(bytes: &[u8], limit: usize) -> Vec<(u64, std::ops::Range<usize>)> {
    if bytes.len() < limit {
        return Vec::new();
    }
    let ends = memchr::memchr_iter(b'\n', bytes).chain(std::iter::once(bytes.len()));
    let mut start = 0;
    let ranges = ends.map(|end| std::mem::replace(&mut start, end + 1)..end);
    (0..).zip(ranges).filter(|(_, range)| range.len() >= limit).collect()
}

/// Reads on behind the first `len` bytes until there are `wanted`, the stream ends or fails. Says how many
/// there are, and whether they are the last.
///
/// Buffers are reused at the length that they have, so that no block is zeroed twice; a new one grows
/// with what is read: to zero all of it would cost a small file more than everything else.
pub(crate) fn read_on(
    reader: &mut impl Read,
    buf: &mut Vec<u8>,
    mut len: usize,
    wanted: usize,
) -> (usize, bool, Option<io::Error>) {
    while len < wanted {
        let room = buf.len().max(len * 4).max(FIRST_BYTES).min(wanted);
        if buf.len() < room {
            buf.resize(room, 0);
        }
        let (read, failure) = fill(reader, &mut buf[len..room]);
        len += read;
        if len < room {
            return (len, true, failure);
        }
    }
    (len, false, None)
}

/// Reads until `buf` is full, the stream ends or fails: what a block holds must not depend on
/// how the reader portions its bytes, and what was read before a failure counts.
pub(crate) fn fill(reader: &mut impl Read, buf: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut len = 0;
    while len < buf.len() {
        match reader.read(&mut buf[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (len, Some(error)),
        }
    }
    (len, None)
}

/// Blocks of whole lines with their line numbers.
#[derive(Debug)]
pub struct Chunks<R> {
    blocks: Blocks<R>,
    line: u64,
}

impl<R: Read> Chunks<R> {
    /// Cuts `reader` into blocks of [`Limits::block_bytes`] that end at a newline.
    pub fn new(reader: R, limits: Limits) -> Self {
        Self { blocks: Blocks::new(reader, limits), line: 1 }
    }

    /// Takes a chunk's buffer back, which saves allocating the next one.
    pub fn recycle(&mut self, chunk: Chunk) {
        self.blocks.recycle(chunk.bytes);
    }
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = io::Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = match self.blocks.next()? {
            Ok(block) => block,
            Err(error) => return Some(Err(error)),
        };
        let reason = BrokenReason::TooLong(self.blocks.limits.entry_bytes_max);
        let mut broken: Vec<Broken> = (0..block.skipped)
            .map(|n| Broken { line: self.line + n, reason: reason.clone() })
            .collect();
        let first_line = self.line + block.skipped;
        let Block { mut bytes, offset, .. } = block;
        self.line = first_line + memchr::memchr_iter(b'\n', &bytes).count() as u64;
        for (line, range) in long_lines(&bytes, self.blocks.limits.entry_bytes_max) {
            bytes[range].fill(b' ');
            broken.push(Broken { line: first_line + line, reason: reason.clone() });
        }
        Some(Ok(Chunk { bytes, first_line, offset, broken }))
    }
}
