//! What is wrong with a filter, where, and what to type instead. Prints nothing.

use std::ops::Range;

/// A filter that is not of the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct FilterError {
    /// Bytes of the filter that the message is about.
    pub span: Range<usize>,
    /// Column of `span`'s start on its line, counted in characters from 1.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to type instead, where that is known.
    pub help: Option<String>,
}

/// Something valid that is probably not what its writer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Bytes of the filter that the message is about.
    pub span: Range<usize>,
    /// What the language makes of it, and what to type for the likelier meaning.
    pub message: String,
}

impl FilterError {
    pub(crate) fn new(source: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor(source, span.start);
        let line = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let column = source[line..start].chars().count() + 1;
        Self { span, column, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The filter's line with carets under the place, ready to be printed.
    #[must_use]
    pub fn caret(&self, source: &str) -> String {
        caret(source, &self.span)
    }
}

impl Warning {
    /// The filter's line with carets under the place, ready to be printed.
    #[must_use]
    pub fn caret(&self, source: &str) -> String {
        caret(source, &self.span)
    }
}

fn floor(source: &str, mut at: usize) -> usize {
    at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn caret(source: &str, span: &Range<usize>) -> String {
    let start = floor(source, span.start);
    let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = source[start..].find('\n').map_or(source.len(), |at| start + at);
    let end = floor(source, span.end.clamp(start, line_end));
    let line = source[line_start..line_end].trim_end();
    // Tabs are kept in the margin so that the carets stand below their text.
    let margin: String =
        source[line_start..start].chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let carets = "^".repeat(source[start..end].chars().count().max(1));
    format!("  {line}\n  {margin}{carets}")
}
