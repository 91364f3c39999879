//! Linux calls: nf_tables over netlink, routes, network namespaces, original destinations.
//!
//! The only crate with `unsafe`, each block with its reason. It carries plans out and reads
//! state back; what the rules are is decided in `sunup-capture`. Nothing here prints.
#![cfg(target_os = "linux")]

pub mod capture;
pub mod container;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gate;
pub mod host;
mod iptables;
pub mod listeners;
mod netlink;
pub mod nft;
pub mod ns;
pub mod probe;
pub mod route;
pub mod services;
pub mod signal;
pub mod socket;
pub mod standin;

pub use netlink::NetlinkError;
