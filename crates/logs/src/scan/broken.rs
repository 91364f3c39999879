//! Pieces of an input that are no entries.

/// A piece of the input that is no entry, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Line on which the piece begins, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: BrokenReason,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Why a piece of the input is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenReason {
    /// The entry is longer than the limit in force, in bytes.
    #[error("longer than {0} bytes: skipped")]
    TooLong(usize),
    /// The input ends, or the next entry begins, before this one is complete.
    #[error("the entry is cut off: its closing brace is missing")]
    CutOff,
    /// A line break inside a JSON string.
    #[error("a quoted text is not closed at the end of its line")]
    OpenString,
    /// Something other than an object where an entry belongs.
    #[error("not a JSON object")]
    NotAnObject,
    /// UTF-16 or UTF-32 by its byte order mark.
    #[error("encoded as UTF-16 or UTF-32: convert it to UTF-8 first (iconv -t UTF-8)")]
    Encoding,
    /// The JSON parser's reason.
    #[error("{0}")]
    Json(String),
}
