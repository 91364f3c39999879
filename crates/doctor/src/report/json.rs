//! The report as JSON: the contract of `sunup_api::report`, pretty-printed.

use sunup_api::report::Report;

/// The report as JSON, with a newline at the end.
#[must_use]
pub fn json(report: &Report) -> String {
    let mut text =
        serde_json::to_string_pretty(report).expect("a report has only string keys and no floats");
    text.push('\n');
    text
}
