//! A place in a text, and whether what stands there is a word of its own.

use std::ops::Range;

use super::class::Class;

/// A place, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) range: Range<usize>,
    pub(super) class: Class,
}

/// Whether a known word is a word here: names are not replaced inside of other words.
pub(super) fn stands_alone(text: &str, range: &Range<usize>, class: Class) -> bool {
    if class.is_secret() && range.len() >= 8 {
        return true;
    }
    let part = |c: char| c.is_alphanumeric();
    let before = text[..range.start].chars().next_back();
    let after = text[range.end..].chars().next();
    !before.is_some_and(part) && !after.is_some_and(part)
}
