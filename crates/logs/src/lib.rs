//! The Cloud Logging query language, evaluated on exported entries.
//!
//! [`scan`] cuts a stream of bytes into log entries
//! in constant memory. No file is opened and nothing is printed here: callers hand over readers
//! and get values back.

pub mod scan;
