//! Rules that name a start-up fault, prove it and fix it; and the report.

pub mod report;
