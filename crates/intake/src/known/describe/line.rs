//! A line of a description.

/// A line with its place; an empty one has no text.
pub(super) struct Line<'t> {
    pub(super) number: u64,
    pub(super) indent: usize,
    pub(super) text: &'t str,
}
