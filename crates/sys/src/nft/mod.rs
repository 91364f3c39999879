//! nf_tables over netlink: one transaction that makes, replaces or removes Sunup's own tables,
//! and reading them back.
//!
//! # Sources
//! `include/uapi/linux/netfilter/nf_tables.h`, `nfnetlink.h`; kernel `net/netfilter/nft_*.c`.

mod encode;
mod read;
mod transaction;

pub(crate) use read::{Existing, compare, existing, gate_state};
pub use read::{GateState, PortState, TableState};
pub(crate) use transaction::{generation, replace};

const SUBSYSTEM: u16 = 10 << 8;

/// Message types.
mod kind {
    use super::SUBSYSTEM;
    pub(super) const NEW_TABLE: u16 = SUBSYSTEM;
    pub(super) const GET_TABLE: u16 = SUBSYSTEM | 1;
    pub(super) const DEL_TABLE: u16 = SUBSYSTEM | 2;
    pub(super) const NEW_CHAIN: u16 = SUBSYSTEM | 3;
    pub(super) const NEW_RULE: u16 = SUBSYSTEM | 6;
    pub(super) const GET_RULE: u16 = SUBSYSTEM | 7;
    pub(super) const NEW_SET: u16 = SUBSYSTEM | 9;
    pub(super) const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
    pub(super) const GET_ELEMENTS: u16 = SUBSYSTEM | 13;
    pub(super) const GET_GENERATION: u16 = SUBSYSTEM | 16;
    pub(super) const NEW_OBJECT: u16 = SUBSYSTEM | 18;
    pub(super) const GET_OBJECT: u16 = SUBSYSTEM | 19;
    pub(super) const BATCH_BEGIN: u16 = 0x10;
    pub(super) const BATCH_END: u16 = 0x11;
}

/// The fixed header of every message: family, version 0, resource.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let resource = resource.to_be_bytes();
    [family, 0, resource[0], resource[1]]
}

fn number(family: sunup_capture::ruleset::Family) -> u8 {
    match family {
        sunup_capture::ruleset::Family::Ip => 2,
        sunup_capture::ruleset::Family::Ip6 => 10,
    }
}
