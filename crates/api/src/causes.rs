//! An error together with what caused it.

use std::error::Error;

/// An error and its causes in one line, each said once.
#[must_use]
pub fn text(error: &dyn Error) -> Box<str> {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !said.contains(&more) {
            said.push_str(": ");
            said.push_str(&more);
        }
        cause = next.source();
    }
    said.into()
}
