//! The data plane: sidecar and gateway.
//!
//! Its first act is to bind every socket, so that connections queue instead of failing; of the
//! configuration only the ports are looked at before. What *ready* means is said by `sunup-startup`; packets are captured by others. It
//! reads no environment variable itself and prints nothing: both are handed in.
#![cfg(target_os = "linux")]

mod accept;
mod access;
mod agent;
pub mod config;
mod copy;
mod destination;
mod dns;
mod flow;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gateway;
mod http;
mod idle;
mod listen;
mod log;
mod metrics;
mod observe;
mod probe;
mod run;
mod sockets;
mod state;
mod tls;
pub mod wait;
mod workers;

pub use log::Level;
pub use run::{Options, Role, effective, run};
