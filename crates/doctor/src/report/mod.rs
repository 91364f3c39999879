//! Reports: one file per format. A report is data; here it becomes text.
//!
//! Pure: no terminal, no file, no clock. Whether styles reach the reader, how wide the page is and
//! what can be typed is said by the caller in [`Look`] and [`Seen`]. What formats share lies in
//! files of its own, so that a format knows no other.

mod account;
mod github;
mod html;
mod json;
pub(crate) mod lanes;
mod look;
mod markdown;
mod paint;
mod place;
mod sarif;
mod scale;
mod snippet;
mod terms;
mod text;
mod timeline;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use github::github;
pub use html::html;
pub use json::json;
pub use look::{Look, Seen};
pub use markdown::markdown;
pub use sarif::sarif;
pub use text::{headline, headlines, text};
