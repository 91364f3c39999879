//! The injector from outside: against Istio's facts, against properties, and on hostile pods.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod facts;
mod golden;
