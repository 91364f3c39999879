//! Reports: one file per format. A report is data; here it becomes text.
//!
//! Pure: no terminal, no file, no clock. Whether styles reach the reader, how wide the page is and
//! what can be typed is said by the caller in [`Look`] and [`Seen`].

mod github;
mod html;
mod json;
mod markdown;
mod paint;
mod place;
mod sarif;
mod scale;
mod snippet;
mod text;
mod timeline;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use sunup_api::report::{Finding, Severity, Subject, Verdict};

pub use github::github;
pub use html::html;
pub use json::json;
pub use markdown::markdown;
pub use sarif::sarif;
pub use text::{headline, headlines, text};

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

/// `Deployment shop/checkout`.
fn subject(subject: &Subject) -> String {
    match &subject.namespace {
        Some(namespace) => format!("{} {namespace}/{}", subject.kind, subject.name),
        None => format!("{} {}", subject.kind, subject.name),
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Likely => "likely",
        Verdict::Possible => "possible",
    }
}

/// The fix to show first: the one `--fix` would take, else the best there is.
fn first_fix(finding: &Finding) -> Option<usize> {
    let safe = |fix: &sunup_api::report::Fix| fix.safety == sunup_api::report::Safety::Safe;
    let best = finding.fixes.iter().position(safe);
    best.or_else(|| (!finding.fixes.is_empty()).then_some(0))
}
