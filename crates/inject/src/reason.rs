//! Why an injection looks as it does, for people.

use std::fmt;

/// Whether a reason asks for attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What was chosen, and why.
    Note,
    /// Something the user wrote does not have the effect it looks like.
    Warning,
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Note or warning.
    pub level: Level,
    /// One sentence, without a full stop.
    pub text: String,
}

impl Reason {
    pub(crate) fn note(text: impl Into<String>) -> Self {
        Reason { level: Level::Note, text: text.into() }
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Reason { level: Level::Warning, text: text.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
