//! Rules that name a start-up fault, prove it and fix it; and the report.
//!
//! Pure: frozen evidence in, a report and edits out. No file, no clock, no terminal, no cluster.

mod call;
mod case;
mod chain;
mod engine;
mod fault;
mod fix;
mod fixes;
mod heard;
mod ignore;
mod injected;
mod known;
mod look_alikes;
mod mesh;
pub mod pages;
mod proxy;
mod quantity;
mod ranges;
pub mod redact;
mod refusals;
pub mod report;
mod rule;
mod rules;
mod said;
mod story;
mod work;

pub use engine::{Diagnosis, diagnose};
pub use fix::FileEdit;
pub use rule::{Meta, Need, Stage, Status};
pub use rules::{RETIRED, rules};
pub use story::{End, Lane, Role, Span, State, Story, Tick, TickKind, stories};
