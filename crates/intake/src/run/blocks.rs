//! Blocks of a stream: read on one thread, parsed on the others, folded in their order.

use std::io::Read;

use sunup_logs::scan::{Broken, Chunk, Chunks, ElementChunk, Elements};

use super::Run;
use crate::export::records::{RecordChunk, Records};
use crate::file::File;
use crate::out::Out;

/// Bytes of blocks that are in flight together: most are of one size, but an entry may be long.
const AT_ONCE_BYTES: usize = 32 << 20;

/// A buffer grown beyond this by a long entry is not kept for the next block.
const BUFFER_MAX: usize = 2 << 20;

/// Whole lines or entries that lie together in one buffer.
pub(crate) trait Block: Send + Sync {
    fn broken(&self) -> &[Broken];
    /// Bytes that it holds.
    fn len(&self) -> usize;
}

impl Block for Chunk {
    fn broken(&self) -> &[Broken] {
        &self.broken
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Block for ElementChunk {
    fn broken(&self) -> &[Broken] {
        &self.broken
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Block for RecordChunk {
    fn broken(&self) -> &[Broken] {
        &self.broken
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// What cuts a stream into blocks.
pub(crate) trait Blocks<B>: Iterator<Item = std::io::Result<B>> {
    /// Takes a block's buffer back: one that has been written to is cheaper than a new one.
    fn recycle(&mut self, _: B) {}
}

impl<R: Read> Blocks<Chunk> for Chunks<R> {
    fn recycle(&mut self, chunk: Chunk) {
        if chunk.bytes.capacity() <= BUFFER_MAX {
            Chunks::recycle(self, chunk);
        }
    }
}

impl<R: Read> Blocks<ElementChunk> for Elements<R> {}

impl<R: Read> Blocks<RecordChunk> for Records<R> {}

impl Run<'_> {
    /// Reads blocks on this thread while the others parse those before, and folds those before
    /// these, in order.
    pub(crate) fn batches<B: Block>(
        &mut self,
        file: &mut File<'_>,
        mut blocks: impl Blocks<B>,
        broken: &mut usize,
        parse: impl Fn(&File<'_>, &B, &mut Out) + Sync,
    ) {
        let at_once = (self.threads * 2).clamp(2, 16);
        let mut next: Vec<B> = Vec::new();
        let fetch = |blocks: &mut dyn Iterator<Item = std::io::Result<B>>, into: &mut Vec<B>| {
            let mut bytes = 0;
            while into.len() < at_once && bytes < AT_ONCE_BYTES {
                let Some(Ok(block)) = blocks.next() else { break };
                bytes += block.len();
                into.push(block);
            }
        };
        fetch(&mut blocks, &mut next);
        let pool = self.pool.take();
        let mut parsed: Vec<Out> = Vec::new();
        while !next.is_empty() {
            let now = std::mem::take(&mut next);
            let before = std::mem::take(&mut parsed);
            let mut outs: Vec<Out> = now.iter().map(|_| Out::default()).collect();
            match &pool {
                Some(pool) => pool.in_place_scope(|scope| {
                    for (block, out) in now.iter().zip(&mut outs) {
                        let (parse, file) = (&parse, &*file);
                        scope.spawn(move |_| parse(file, block, out));
                    }
                    fetch(&mut blocks, &mut next);
                    self.fold_all(file, broken, before);
                }),
                None => {
                    for (block, out) in now.iter().zip(&mut outs) {
                        parse(file, block, out);
                    }
                    fetch(&mut blocks, &mut next);
                    self.fold_all(file, broken, before);
                }
            }
            for (block, out) in now.into_iter().zip(&mut outs) {
                out.broken_first(block.broken());
                file.proxies.extend(out.proxies.drain());
                file.seen.extend(out.seen.drain());
                blocks.recycle(block);
            }
            parsed = outs;
        }
        self.pool = pool;
        self.fold_all(file, broken, parsed);
    }

    fn fold_all(&mut self, file: &File<'_>, broken: &mut usize, outs: Vec<Out>) {
        for out in outs {
            self.fold(file, broken, out);
        }
    }
}
