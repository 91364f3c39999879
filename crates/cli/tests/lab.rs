//! The lab's kubelet against Kubernetes' documented behaviour, with real processes in real
//! namespaces.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

#[path = "lab/kit.rs"]
mod kit;
#[path = "lab/network.rs"]
mod network;
#[path = "lab/order.rs"]
mod order;
#[path = "lab/pods.rs"]
mod pods;
#[path = "lab/scenarios.rs"]
mod scenarios;
