//! Sunup's own sidecar and gateway as overlays, built from settings and pod without templates.
//!
//! Everything users see of Istio's injection is the same: container names, arguments, probes,
//! labels, annotations that decide. Where Istio has a trap, [`Way`] says which side is taken.

mod common;
mod gateway;
pub(crate) mod grpc;
mod inputs;
mod resources;
mod sidecar;
pub(crate) mod vault;

pub(crate) use gateway::gateway;
pub(crate) use inputs::{Inputs, Way};
pub(crate) use sidecar::sidecar;
