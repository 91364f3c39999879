//! Capture in real network namespaces: against Istio's own rules, against the model, and the
//! start gate with real sockets. Needs root or user namespaces; what is missing is listed.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "what was run is part of the record")]

mod differential;
mod gate;
mod lifecycle;
mod peer;
mod standin;
mod world;
