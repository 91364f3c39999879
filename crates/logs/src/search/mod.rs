//! All entries of a stream that match a filter: the scanner, the prefilter and the filter put
//! together. Opens nothing and prints nothing.
//!
//! Blocks are read one after another and searched in parallel; what is found is handed out in
//! the order of the input. Entries that the prefilter rejects are never parsed, so a broken one
//! among them is named only where its line shows that it is none.

mod select;
mod source;
mod work;

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::filter::Filter;
use crate::prefilter::Prefilter;
use crate::scan::{Broken, Limits};
use select::Selection;
use source::{Piece, Source};
use work::{Found, Worker};

pub use work::BROKEN_MAX;

/// What to search for and how much of it to hand out.
#[derive(Debug, Clone, Default)]
pub struct SearchOptions {
    /// Hand out the earliest entries only, oldest first: by `timestamp`, else by
    /// `receiveTimestamp`; entries without either come last.
    pub first: Option<usize>,
    /// Hand out the latest entries only, oldest first.
    pub last: Option<usize>,
    /// Count without handing anything out.
    pub count: bool,
    /// Filters to be counted where this one has found nothing so far.
    pub alternatives: Vec<Filter>,
    /// Block size and longest entry.
    pub limits: Limits,
}

/// A matching entry.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// Line on which it begins, from 1.
    pub line: u64,
    /// Its JSON as it stands in the input.
    pub bytes: &'a [u8],
}

/// What a search came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Matching entries, handed out or not.
    pub hits: u64,
    /// Bytes searched.
    pub bytes: u64,
    /// Pieces that are no entries. Of each input the first [`BROKEN_MAX`] are named.
    pub broken_total: u64,
    /// Matches of each alternative, counted only while there were no hits.
    pub alternatives: Vec<u64>,
}

/// Why a search could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// What the reader reported; hits before that place have been handed out.
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl Hit<'_> {
    /// The entry on one line: white space between its tokens is dropped, nothing else changes.
    #[must_use]
    pub fn compact(&self) -> std::borrow::Cow<'_, [u8]> {
        work::compact(self.bytes)
    }
}

/// A search over one input after another, as if they were one.
#[derive(Debug)]
pub struct Search<'f> {
    filter: &'f Filter,
    options: SearchOptions,
    wide: Prefilter,
    narrow: Prefilter,
    any: AtomicBool,
    stats: SearchStats,
    selection: Option<Selection>,
}

impl<'f> Search<'f> {
    /// A search that has read nothing so far.
    #[must_use]
    pub fn new(filter: &'f Filter, options: SearchOptions) -> Self {
        let all: Vec<&Filter> = std::iter::once(filter).chain(&options.alternatives).collect();
        let ordered = options.first.is_some() || options.last.is_some();
        let alternatives = vec![0; options.alternatives.len()];
        Self {
            filter,
            wide: Prefilter::either(&all),
            narrow: filter.prefilter(),
            any: AtomicBool::new(options.alternatives.is_empty()),
            stats: SearchStats { alternatives, ..SearchStats::default() },
            selection: (ordered && !options.count)
                .then(|| Selection::new(options.first, options.last)),
            options,
        }
    }

    /// Searches `input`, which may be of any layout that [`crate::scan`] knows. The sink is
    /// called for each hit in turn and may end the search; with `first` or `last` hits come from
    /// [`Search::finish`] only. Yields the pieces of this input that are no entries.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn read<R: Read + Send>(
        &mut self,
        input: R,
        sink: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Broken>, SearchError> {
        let mut source = Source::new(input, self.options.limits)?;
        let (mut wide, mut narrow) = (self.wide.clone(), self.narrow.clone());
        let mut batch = source.read(1);
        if let Ok(pieces) = &batch
            && let Some(piece) = pieces.first()
        {
            let sample = &piece.bytes()[..piece.bytes().len().min(SAMPLE_BYTES)];
            wide.tune(sample);
            narrow.tune(sample);
        }
        let worker = Worker {
            filter: self.filter,
            alternatives: &self.options.alternatives,
            wide: &wide,
            narrow: &narrow,
            any: &self.any,
            framing: source.framing(),
            entry_bytes_max: self.options.limits.entry_bytes_max,
            timed: self.selection.is_some(),
        };
        let mut out = Output {
            stats: &mut self.stats,
            selection: self.selection.as_mut(),
            count: self.options.count,
            broken: Vec::new(),
            line: 1,
        };
        let at_once = rayon::current_num_threads() * 4;
        loop {
            let pieces = batch?;
            if pieces.is_empty() {
                return Ok(out.broken);
            }
            let (found, next) = rayon::join(
                || pieces.par_iter().map(|piece| worker.search(piece)).collect::<Vec<Found>>(),
                || source.read(at_once),
            );
            for (piece, found) in pieces.iter().zip(found) {
                if found.hits > 0 {
                    self.any.store(true, Ordering::Relaxed);
                }
                if out.take(piece, found, sink).is_break() {
                    return Ok(out.broken);
                }
            }
            source.recycle(pieces);
            batch = next;
        }
    }

    /// Hands out what `first` and `last` have kept, and says what the search came to.
    pub fn finish(mut self, sink: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>) -> SearchStats {
        if let Some(selection) = self.selection.take() {
            for (line, bytes) in selection.into_sorted() {
                if sink(Hit { line, bytes: &bytes }).is_break() {
                    break;
                }
            }
        }
        self.stats
    }
}

/// Searches one input: [`Search`] for the usual case.
///
/// # Errors
/// See [`SearchError`].
pub fn search<R: Read + Send>(
    input: R,
    filter: &Filter,
    options: &SearchOptions,
    sink: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>,
) -> Result<(SearchStats, Vec<Broken>), SearchError> {
    let mut search = Search::new(filter, options.clone());
    let broken = search.read(input, sink)?;
    Ok((search.finish(sink), broken))
}

/// How much of the first block the prefilter is tuned by.
const SAMPLE_BYTES: usize = 512 << 10;

struct Output<'s> {
    stats: &'s mut SearchStats,
    selection: Option<&'s mut Selection>,
    count: bool,
    broken: Vec<Broken>,
    line: u64,
}

impl Output<'_> {
    fn take(
        &mut self,
        piece: &Piece,
        found: Found,
        sink: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // Pieces that count their own lines say so in absolute numbers.
        let base = if found.absolute { 0 } else { self.line };
        self.stats.bytes += piece.bytes().len() as u64;
        self.stats.hits += found.hits;
        self.stats.broken_total += found.broken_total;
        let room = BROKEN_MAX.saturating_sub(self.broken.len());
        let broken = found.broken.into_iter().take(room);
        self.broken.extend(broken.map(|b| Broken { line: base + b.line, ..b }));
        for (sum, more) in self.stats.alternatives.iter_mut().zip(&found.alternatives) {
            *sum += more;
        }
        if !self.count {
            for entry in found.entries {
                let (line, bytes) = (base + entry.line, &piece.bytes()[entry.range]);
                match &mut self.selection {
                    Some(selection) => selection.offer(entry.time, line, bytes),
                    None => sink(Hit { line, bytes })?,
                }
            }
        }
        self.line += found.lines;
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
