//! Texts that tools print for people: tables, descriptions, dumps, and what is copied out of a
//! console. Held in memory while they are read.

pub(crate) mod describe;
pub(crate) mod dump;
pub(crate) mod pasted;
pub(crate) mod reason;
pub(crate) mod table;
