//! The end of looking.

/// The bytes aren't what they seemed: no more looking.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;
