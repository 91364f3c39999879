//! Rules that name a start-up fault, prove it and fix it; and the report.
//!
//! Pure: frozen evidence in, a report and edits out. No file, no clock, no terminal, no cluster.

mod fix;
mod judging;
mod knowledge;
pub mod pages;
pub mod redact;
pub mod report;
mod round;
mod rules;

pub use fix::remedies::{HOLD, NATIVE};
pub use fix::{FileEdit, unified};
pub use judging::meta::{Meta, Need, Stage, Status};
pub use report::lanes::{End, Lane, Role, Span, State, Story, Tick, TickKind, stories};
pub use round::engine::{Diagnosis, diagnose};
pub use rules::{RETIRED, rules};
