//! Rules that name a start-up fault, prove it and fix it; and the report.
//!
//! Pure: frozen evidence in, a report and edits out. No file, no clock, no terminal, no cluster.

mod case;
mod engine;
mod fault;
mod fix;
mod fixes;
mod mesh;
mod refusals;
pub mod report;
mod rules;

pub use engine::{Diagnosis, diagnose};
pub use fix::FileEdit;
