//! Which bytes cannot belong to a matching entry, told without parsing them.
//!
//! A filter's texts must stand in an entry's bytes, unless JSON hides them: behind a `\u` escape,
//! or in a form that only folding turns into ASCII (`ſ`, a no-break space, an invisible
//! character between two letters). Entries with anything of that kind are never rejected.
//! Literals are made of characters that JSON encoders leave alone in practice.

mod cached;
mod finder;
mod hidden;
mod literals;

use crate::filter::Filter;
use cached::Cached;
use finder::Finder;
use hidden::Hidden;

/// Byte-level conditions that each matching entry fulfils. Sound: [`Prefilter::may_match`] says
/// no only about bytes of entries that the filter does not match.
#[derive(Debug, Clone)]
pub struct Prefilter {
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct Group {
    /// Lower case; one of them stands in the entry, in any letter case.
    literals: Vec<String>,
    finder: Finder,
}

impl Filter {
    /// The byte-level conditions that follow from this filter; there may be none.
    #[must_use]
    pub fn prefilter(&self) -> Prefilter {
        let groups = self.expr.as_ref().map(literals::required).unwrap_or_default();
        Prefilter::new(groups)
    }
}

impl Prefilter {
    fn new(groups: Vec<Vec<String>>) -> Self {
        let mut groups: Vec<Group> = groups
            .into_iter()
            .filter_map(|literals| Some(Group { finder: Finder::new(&literals)?, literals }))
            .collect();
        groups.sort_by_key(|group| group.finder.commonness());
        groups.dedup_by(|a, b| a.literals == b.literals);
        Self { groups }
    }

    /// Conditions of which one of two filters' must hold.
    pub(crate) fn either(filters: &[&Filter]) -> Self {
        let exprs = filters.iter().map(|filter| filter.expr.as_ref());
        let all: Option<Vec<_>> = exprs.collect();
        Self::new(all.map(|all| literals::required_by_any(&all)).unwrap_or_default())
    }

    /// For each condition the texts of which one must be present, rarest first by guess.
    /// Without any every entry has to be parsed.
    pub fn literals(&self) -> impl Iterator<Item = &[String]> {
        self.groups.iter().map(|group| group.literals.as_slice())
    }

    /// Whether no bytes can be rejected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether the bytes of one entry may belong to a match.
    #[must_use]
    pub fn may_match(&self, entry: &[u8]) -> bool {
        self.groups.iter().all(|group| group.finder.find(entry, 0).is_some())
            || (!self.groups.is_empty() && Hidden::new(entry).next_at(0).is_some())
            || self.groups.is_empty()
    }

    /// Puts the condition first that is rarest in `sample`, by counting; drops all of them where
    /// even that one would let nearly everything through.
    pub(crate) fn tune(&mut self, sample: &[u8]) {
        let count = |group: &Group| {
            let mut from = 0;
            let mut count = 0usize;
            while let Some(at) = group.finder.find(sample, from) {
                count += 1;
                // Literals of one entry count once or little more.
                from = at + 64;
            }
            count
        };
        self.groups.sort_by_cached_key(|group| (count(group), group.finder.commonness()));
        if self.groups.first().is_some_and(|first| count(first) * 400 > sample.len()) {
            self.groups.clear();
        }
    }

    /// Places in `block` whose entries have to be looked at.
    pub(crate) fn candidates<'b>(&'b self, block: &'b [u8]) -> Candidates<'b> {
        Candidates {
            block,
            finder: self.groups.first().map(|group| &group.finder),
            hidden: Hidden::new(block),
            literal: Cached::Unknown,
        }
    }
}

/// See [`Prefilter::candidates`].
pub(crate) struct Candidates<'b> {
    block: &'b [u8],
    finder: Option<&'b Finder>,
    hidden: Hidden<'b>,
    literal: Cached,
}

impl Candidates<'_> {
    /// The next place at or behind `from`.
    pub(crate) fn next_at(&mut self, from: usize) -> Option<usize> {
        let finder = self.finder?;
        let block = self.block;
        let literal = self.literal.next_at(from, |from| finder.find(block, from));
        let hidden = self.hidden.next_at(from);
        match (literal, hidden) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests;
