//! Cutting a byte stream into log entries, in constant memory.
//!
//! Knows how exports are laid out (lines, arrays, pretty-printed objects, pages of the REST API)
//! and must not know what an entry means: contents are judged by whoever parses the pieces.
//!
//! [`Scanner`] is the front door: it looks at the first bytes, chooses the layout and yields
//! [`Batch`]es whose entries carry their line numbers. [`Chunks`] and [`Elements`] are the two
//! ways of cutting for callers who already know the layout. Where a piece ends depends on the
//! bytes and on [`Limits`] only, never on how the reader portions them out.

mod blocks;
mod elements;
mod layout;
mod split;

pub use blocks::{Chunk, Chunks};
pub use elements::{Element, ElementChunk, Elements};
pub use layout::{HEAD_BYTES, Layout};

pub(crate) use blocks::{Block, Blocks};
pub(crate) use split::{Splitter, Step};

use std::io::{self, Read};

/// How much is read at once and how long one entry may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes per block. Default 4 MiB.
    pub block_bytes: usize,
    /// Longest entry, or line, that is taken; longer ones are reported and skipped.
    /// Default 16 MiB (Cloud Logging itself takes no entry above 256 KiB).
    pub entry_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { block_bytes: 4 << 20, entry_bytes_max: 16 << 20 }
    }
}

/// A piece of the input that is no entry, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Line on which the piece begins, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: BrokenReason,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Why a piece of the input is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenReason {
    /// The entry is longer than the limit in force, in bytes.
    #[error("longer than {0} bytes: skipped")]
    TooLong(usize),
    /// The input ends, or the next entry begins, before this one is complete.
    #[error("the entry is cut off: its closing brace is missing")]
    CutOff,
    /// A line break inside a JSON string.
    #[error("a quoted text is not closed at the end of its line")]
    OpenString,
    /// Something other than an object where an entry belongs.
    #[error("not a JSON object")]
    NotAnObject,
    /// UTF-16 or UTF-32 by its byte order mark.
    #[error("encoded as UTF-16 or UTF-32: convert it to UTF-8 first (iconv -t UTF-8)")]
    Encoding,
    /// The JSON parser's reason.
    #[error("{0}")]
    Json(String),
}

/// Whole entries (or whole lines) that lie together in one buffer.
#[derive(Debug)]
pub enum Batch {
    /// Lines: one entry on each.
    Lines(Chunk),
    /// Elements of an array, of a page, or objects one after another.
    Elements(ElementChunk),
}

impl Batch {
    /// The pieces with their 1-based line numbers. Blank lines are left out.
    pub fn entries(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let (lines, elements) = match self {
            Self::Lines(chunk) => (Some(chunk.lines()), None),
            Self::Elements(chunk) => (None, Some(chunk.entries())),
        };
        lines.into_iter().flatten().chain(elements.into_iter().flatten())
    }

    /// Pieces of this batch that could not be cut into entries.
    #[must_use]
    pub fn broken(&self) -> &[Broken] {
        match self {
            Self::Lines(chunk) => &chunk.broken,
            Self::Elements(chunk) => &chunk.broken,
        }
    }
}

/// Entries of a stream whose layout is found from its first bytes.
#[derive(Debug)]
pub enum Scanner<R> {
    /// JSON lines, or any text by lines.
    Lines(Chunks<Prefixed<R>>),
    /// Anything that needs its braces counted.
    Elements(Elements<Prefixed<R>>),
}

/// A reader with the bytes in front of it that were read to recognise the layout.
pub type Prefixed<R> = io::Chain<io::Cursor<Vec<u8>>, Resumed<R>>;

/// A reader of which the head has been read; a failure there is reported behind it.
#[derive(Debug)]
pub struct Resumed<R> {
    reader: R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Resumed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.reader.read(buf),
        }
    }
}

impl<R: Read> Scanner<R> {
    /// Reads up to [`HEAD_BYTES`] to recognise the layout.
    ///
    /// # Errors
    /// What the reader reports; [`io::ErrorKind::InvalidData`] for UTF-16 and UTF-32.
    pub fn new(reader: R, limits: Limits) -> io::Result<Self> {
        let (layout, input) = sniff(reader)?;
        Ok(match layout {
            Layout::Lines => Self::Lines(Chunks::new(input, limits)),
            layout => Self::Elements(Elements::new(input, layout, limits)),
        })
    }
}

/// Reads the head of a stream, recognises its layout, and gives the bytes back in front of it.
pub(crate) fn sniff<R: Read>(mut reader: R) -> io::Result<(Layout, Prefixed<R>)> {
    let mut head = vec![0; HEAD_BYTES];
    let (len, failure) = blocks::fill(&mut reader, &mut head);
    head.truncate(len);
    if let (0, Some(error)) = (len, failure.as_ref()) {
        return Err(io::Error::new(error.kind(), error.to_string()));
    }
    if layout::is_utf16(&head) {
        let why = BrokenReason::Encoding.to_string();
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let layout = Layout::of(&head);
    let bom = usize::from(head.starts_with(layout::BOM)) * layout::BOM.len();
    let mut cursor = io::Cursor::new(head);
    cursor.set_position(bom as u64);
    Ok((layout, cursor.chain(Resumed { reader, failure })))
}

impl<R: Read> Iterator for Scanner<R> {
    type Item = io::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self {
            Self::Lines(chunks) => chunks.next()?.map(Batch::Lines),
            Self::Elements(elements) => elements.next()?.map(Batch::Elements),
        })
    }
}

#[cfg(test)]
mod tests;
