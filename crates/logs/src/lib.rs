//! The Cloud Logging query language, evaluated on exported entries, at the speed of a text search.
//!
//! [`scan`] cuts streams of bytes into log entries in constant memory, [`Filter`] says which
//! entries match, [`Prefilter`] rejects bytes that cannot belong to a match without parsing
//! them, and [`search`] puts the three together. Nothing is opened and nothing is printed here:
//! callers hand over readers and get values back.

mod entry;
mod filter;
mod prefilter;
pub mod scan;
mod search;
mod text;

pub use entry::Entry;
pub use filter::{Alternative, Filter, FilterError, Warning};
pub use prefilter::Prefilter;
pub use search::{BROKEN_MAX, Hit, Search, SearchError, SearchOptions, SearchStats, search};
