//! Rules from outside: on evidence handed over directly, and all of them on all their fixtures.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blind;
mod hostile;
mod judgement;
mod pages;
mod redact;
mod refusals;
mod rules;
mod texts;
