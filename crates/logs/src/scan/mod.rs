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
mod broken;
mod elements;
mod layout;
mod limits;
mod split;

pub use blocks::{Chunk, Chunks};
pub use broken::{Broken, BrokenReason};
pub use elements::{Element, ElementChunk, Elements};
pub use layout::{HEAD_BYTES, Layout};
pub use limits::Limits;

pub(crate) use blocks::{Block, Blocks};
pub(crate) use split::{Splitter, Step};

use std::io::{self, Read};

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
