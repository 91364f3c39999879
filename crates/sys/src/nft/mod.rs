//! nf_tables over netlink: one transaction that makes, replaces or removes Sunup's own tables,
//! and reading them back.
//!
//! # Sources
//! `include/uapi/linux/netfilter/nf_tables.h`, `nfnetlink.h`; kernel `net/netfilter/nft_*.c`.

mod encode;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod message;
mod read;
mod transaction;

pub(crate) use read::{Existing, compare, existing, gate_state};
pub use read::{GateState, PortState, TableState};
pub(crate) use transaction::{generation, replace};
