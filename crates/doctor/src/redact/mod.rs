//! Takes out of reports and evidence what is nobody else's business: tokens, environment values,
//! addresses, names of objects and hosts, mail addresses. The same text becomes the same stand-in
//! everywhere, so that what belongs together still does.
//!
//! A report is redacted as data, before any format draws it: no format can leak. Evidence is read
//! twice: values that are removed from fields the first time are removed wherever they stand the
//! second. Pure; what is known of an input comes from its snapshot and its fields, what is not is
//! recognised by its form.

mod address;
mod at;
mod class;
mod disguise;
mod fields;
mod find;
mod forms;
mod gate;
mod json;
mod kept;
mod known;
mod lead;
#[cfg(test)]
mod leaks;
mod lines;
mod mesh;
mod needs;
mod opened;
mod parts;
mod redactor;
mod report;
mod settings;
mod sheet;
mod span;
mod table;
#[cfg(test)]
mod tests;
mod words;
mod yaml;

pub use at::Says;
pub use class::Addresses;
pub use redactor::{RedactError, Redactor};
pub use sheet::Sheet;
