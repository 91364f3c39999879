//! Reading a stream in pieces that can be searched by themselves.
//!
//! Three ways of cutting: behind a newline (JSON lines); behind a closing brace at the margin of
//! the elements (pretty-printed arrays, where the first element shows that the margin is kept);
//! and by counting braces, which works always and is slowest.

use std::io::{self, Read};

use memchr::memmem;

use crate::scan::{
    Block, Blocks, ElementChunk, Elements, HEAD_BYTES, Layout, Limits, Prefixed, Splitter, Step,
    sniff,
};

/// What is searched at once: small enough to stay in a core's cache between the passes over it.
const BLOCK_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) enum Piece {
    Block(Block),
    Elements(ElementChunk),
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Piece::Block(block) => &block.bytes,
            Piece::Elements(chunk) => &chunk.bytes,
        }
    }
}

/// How entries lie in a [`Piece::Block`].
#[derive(Debug, Clone)]
pub(super) enum Framing {
    Lines,
    Margin(Box<Margin>),
}

/// Line break, white space and brace that end an element, and nothing else, in this stream.
#[derive(Debug, Clone)]
pub(super) struct Margin {
    pub(super) close: memmem::Finder<'static>,
    pub(super) close_before: memmem::FinderRev<'static>,
}

pub(super) struct Source<R> {
    reader: Reader<R>,
    framing: Framing,
    /// What went wrong behind the last piece handed out.
    failure: Option<io::Error>,
}

enum Reader<R> {
    Blocks(Blocks<Prefixed<R>>),
    Elements(Elements<Prefixed<R>>),
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R, limits: Limits) -> io::Result<Self> {
        let (layout, mut input) = sniff(input)?;
        let mut framing = Framing::Lines;
        let blocks = Limits { block_bytes: limits.block_bytes.min(BLOCK_BYTES), ..limits };
        let reader = if layout == Layout::Lines {
            Reader::Blocks(Blocks::new(input, blocks))
        } else if let Some(margin) = margin(layout, input.get_mut().0.get_ref()) {
            framing = Framing::Margin(Box::new(margin));
            Reader::Blocks(Blocks::new(input, blocks))
        } else {
            Reader::Elements(Elements::new(input, layout, blocks))
        };
        Ok(Self { reader, framing, failure: None })
    }

    pub(super) fn framing(&self) -> Framing {
        self.framing.clone()
    }

    /// Up to `count` pieces; none at the end of the stream.
    pub(super) fn read(&mut self, count: usize) -> io::Result<Vec<Piece>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let mut pieces = Vec::with_capacity(count);
        while pieces.len() < count {
            let next = match &mut self.reader {
                Reader::Elements(elements) => elements.next().map(|c| c.map(Piece::Elements)),
                Reader::Blocks(blocks) => {
                    let block = match &self.framing {
                        Framing::Lines => blocks.next(),
                        Framing::Margin(margin) => blocks.next_cut(|bytes| {
                            let at = margin.close_before.rfind(bytes)?;
                            Some(at + margin.close_before.needle().len())
                        }),
                    };
                    block.map(|block| block.map(Piece::Block))
                }
            };
            match next {
                None => break,
                Some(Ok(piece)) => pieces.push(piece),
                Some(Err(error)) if pieces.is_empty() => return Err(error),
                Some(Err(error)) => {
                    // What was read before the failure is searched first.
                    self.failure = Some(error);
                    break;
                }
            }
        }
        Ok(pieces)
    }

    pub(super) fn recycle(&mut self, pieces: Vec<Piece>) {
        if let Reader::Blocks(blocks) = &mut self.reader {
            for piece in pieces {
                if let Piece::Block(block) = piece {
                    blocks.recycle(block.bytes);
                }
            }
        }
    }
}

/// The margin of a stream's elements, where its first element is laid out so that nothing but an
/// element can end there: everything inside is indented deeper.
fn margin(layout: Layout, head: &[u8]) -> Option<Margin> {
    if !matches!(layout, Layout::Array | Layout::Objects) {
        return None;
    }
    let mut splitter = Splitter::new(layout, HEAD_BYTES);
    let Step::Element { start, end } = splitter.step(head, 0, true) else { return None };
    let line = memchr::memrchr(b'\n', &head[..start]).map_or(0, |newline| newline + 1);
    let indent = &head[line..start];
    // At the very start of an array there must be a line break before the first element.
    let alone = line > 0 || layout == Layout::Objects;
    let blank = indent.iter().all(|byte| matches!(byte, b' ' | b'\t'));
    let element = &head[start..end];
    let mut close = b"\n".to_vec();
    close.extend_from_slice(indent);
    close.push(b'}');
    if !alone || !blank || !element.ends_with(&close) {
        return None;
    }
    let inner = &element[..element.len() - close.len()];
    let deeper = inner.split(|byte| *byte == b'\n').skip(1).all(|line| {
        let line = line.strip_prefix(indent);
        line.is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'\t')))
    });
    (deeper && memchr::memchr(b'\n', inner).is_some()).then(|| Margin {
        close: memmem::Finder::new(&close).into_owned(),
        close_before: memmem::FinderRev::new(&close).into_owned(),
    })
}
