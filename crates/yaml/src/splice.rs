//! What an edit comes to: pieces of text that change.

use std::ops::Range;

use crate::error::EditError;
use crate::layout::Layout;
use crate::tree::Kind;
use crate::write::Quote;

/// A piece of the old text and what takes its place.
pub(crate) type Splice = (Range<usize>, String);

/// What is to be done for one edit.
pub(crate) type Plan = Result<Vec<Splice>, EditError>;

/// The quotes that all keys of a map have.
pub(crate) fn key_quote(layout: &Layout<'_>, map: u32) -> Quote {
    let kinds: Vec<_> = layout.tree.entries(map).map(|(k, _)| layout.tree.node(k).kind).collect();
    match kinds.first() {
        Some(Kind::Single) if kinds.iter().all(|k| *k == Kind::Single) => Quote::Single,
        Some(Kind::Double) if kinds.iter().all(|k| *k == Kind::Double) => Quote::Double,
        _ => Quote::Plain,
    }
}
