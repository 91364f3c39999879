//! The sidecar as a process of its own, behind real capture and its start gate, in network
//! namespaces: what applications, kubelets and strangers see of it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod agent;
mod attacks;
mod clients;
mod data;
mod edge;
mod endpoints;
mod envoy;
mod gateway;
mod http;
mod passthrough;
mod peers;
mod ports;
mod seed;
mod start;
mod tls;
mod world;
