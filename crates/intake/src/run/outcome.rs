//! What may become of a text.

use crate::form::Form;

/// What became of a text.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was read, or what is wrong with it has been told.
    Read,
    /// It is no evidence.
    Passed,
    /// A part of a text of which so many lines could not be placed.
    Unplaced(u64),
    /// It looks like evidence: what it is, and the form that it comes nearest to.
    Strange(&'static str, &'static Form),
}

/// Whether a file is named as pages that people write are.
pub(super) fn is_page(label: &str) -> bool {
    [".md", ".markdown", ".mdx", ".rst", ".adoc"].iter().any(|ending| label.ends_with(ending))
}
