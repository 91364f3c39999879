//! Cluster access: evidence collected, patches applied, pods watched. It knows no rule and no proxy.
//!
//! Kubernetes is the distributed engine: lists, watches and server-side apply; no state of our own
//! is kept in a cluster. Reads no environment and prints nothing.

pub mod client;

pub use client::{Cluster, ConnectError, Named, Wanted, connect};
