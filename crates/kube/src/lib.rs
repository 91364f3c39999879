//! Cluster access: evidence collected, patches applied, pods watched. It knows no rule and no proxy.
//!
//! Kubernetes is the distributed engine: lists, watches and server-side apply; no state of our own
//! is kept in a cluster. What is asked of the API server is listed once, in [`need`]: the collector
//! runs on that list and the roles are printed from it. Reads no environment and prints nothing.

pub mod change;
pub mod client;
pub mod collect;
pub mod events;
mod follow;
pub mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod kubelet;
mod list;
pub mod mesh;
pub mod need;
pub mod provider;
pub mod rbac;
mod request;
pub mod standby;
pub mod watch;
pub mod webhook_config;

pub use client::{Cluster, ConnectError, Named, Wanted, connect};
pub use request::{Cause, Refusal, Trouble};
