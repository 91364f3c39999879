//! Cluster access against an API server that misbehaves on purpose, and against a real one where
//! `SUNUP_TEST_KUBECONFIG` names it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connecting;
mod following;
mod front;
mod robust;
mod roles;
mod world;
