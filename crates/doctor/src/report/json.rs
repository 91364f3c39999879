//! The report as JSON: the contract of `sunup_api::report`, pretty-printed.

use sunup_api::report::Report;
use sunup_api::show;

/// The report as JSON, with a newline at the end.
#[must_use]
pub fn json(report: &Report) -> String {
    let text =
        serde_json::to_string_pretty(report).expect("a report has only string keys and no floats");
    // On a terminal it is text of evidence as well.
    show::json(&text).into_owned() + "\n"
}
