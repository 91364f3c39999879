//! What every message of nf_tables begins with.

use sunup_capture::ruleset::Family;

const SUBSYSTEM: u16 = 10 << 8;

/// Message types.
pub(super) mod kind {
    use super::SUBSYSTEM;
    pub(crate) const NEW_TABLE: u16 = SUBSYSTEM;
    pub(crate) const GET_TABLE: u16 = SUBSYSTEM | 1;
    pub(crate) const DEL_TABLE: u16 = SUBSYSTEM | 2;
    pub(crate) const NEW_CHAIN: u16 = SUBSYSTEM | 3;
    pub(crate) const NEW_RULE: u16 = SUBSYSTEM | 6;
    pub(crate) const GET_RULE: u16 = SUBSYSTEM | 7;
    pub(crate) const NEW_SET: u16 = SUBSYSTEM | 9;
    pub(crate) const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
    pub(crate) const GET_ELEMENTS: u16 = SUBSYSTEM | 13;
    pub(crate) const GET_GENERATION: u16 = SUBSYSTEM | 16;
    pub(crate) const NEW_OBJECT: u16 = SUBSYSTEM | 18;
    pub(crate) const GET_OBJECT: u16 = SUBSYSTEM | 19;
    pub(crate) const BATCH_BEGIN: u16 = 0x10;
    pub(crate) const BATCH_END: u16 = 0x11;
}

/// The fixed header of every message: family, version 0, resource.
pub(super) fn header(family: u8, resource: u16) -> [u8; 4] {
    let resource = resource.to_be_bytes();
    [family, 0, resource[0], resource[1]]
}

/// The number of an address family.
pub(super) fn number(family: Family) -> u8 {
    match family {
        Family::Ip => 2,
        Family::Ip6 => 10,
    }
}
