//! Admission server around `sunup-inject`: it mutates pods as they are created, guards those that
//! Istio's injector injected, and warns in the doctor's words. It knows no proxy and no cluster:
//! whoever runs it hands it settings, certificates and what is known of nodes and namespaces.
//!
//! A request's way: [`serve`] takes TLS connections, [`Reviewer`] answers a body with a body.

mod body;
mod ca;
mod certs;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod metrics;
mod path;
mod policy;
mod review;
mod reviewer;
mod server;

pub use body::BODY_MAX;
pub use ca::{Authority, CaError, Kept, Leaf};
pub use certs::{CertError, Certificates, Files};
pub use metrics::Metrics;
pub use policy::{DENY, LABEL};
pub use reviewer::Reviewer;
pub use server::{Stop, TIMES, serve, serve_health};
