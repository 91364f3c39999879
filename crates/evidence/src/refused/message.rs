//! One log message read.
//!
//! Must not know that an error can come in several messages; `join` does.

use super::line::Whole;
use super::literals;
use super::plain::{Plain, parts};
use super::reading::{Reading, Refused};

/// Recognises a refused connection in one log message, which may be a whole stack trace.
///
/// Linear in the text's length; only the surroundings of telling words are read closely.
#[must_use]
pub fn recognise(text: &str) -> Option<Refused> {
    match read(text) {
        Reading::Refused(refused) => Some(refused),
        Reading::FalseFriend(..) | Reading::Nothing => None,
    }
}

/// Like [`recognise`], and says why a look-alike was set aside.
#[must_use]
pub fn read(text: &str) -> Reading {
    let mut whole = Whole::default();
    for part in parts(text, literals::hits(text)) {
        whole.add(&Plain::new(text, part));
    }
    whole.judge()
}
