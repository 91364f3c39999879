//! What the caller says of the reader and of the run: how to look, and what was looked at.

use std::collections::BTreeSet;

/// How a report for people is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns, at least 60. Commands, diffs and paths are never cut to it: they are copied.
    pub width: usize,
    /// Only ASCII signs, for terminals and logs that know no others.
    pub ascii: bool,
    /// Everything rather than the telling part.
    pub verbose: bool,
}

impl Default for Look {
    fn default() -> Self {
        Look { width: 80, ascii: false, verbose: false }
    }
}

/// What was looked at, for the last lines of the report and for what to type next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many of what were read, such as `(120331, "log line")`; the order is kept.
    pub counts: Vec<(u64, &'static str)>,
    /// Whether none of it was anything to judge by.
    pub empty: bool,
    /// Kinds of evidence that were not among the inputs, each with the command that gets it.
    pub gaps: Vec<(String, String)>,
    /// The arguments of this run but for `--fix`, quoted for a shell; `None` where it can't be
    /// repeated (standard input).
    pub arguments: Option<String>,
    /// Findings (by index) and fix ids whose manifest `--fix` can edit.
    pub editable: BTreeSet<(usize, String)>,
    /// Findings (by index) whose first fix `--fix` has put in place: the evidence is older than the
    /// fix, so they are told in short.
    pub settled: BTreeSet<usize>,
}
