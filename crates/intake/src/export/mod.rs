//! What log services hand out: tables with a head, and answers of their interfaces.
//!
//! What a field means, [`roles`] says for all of them. Knows formats, not what a line means.

pub(crate) mod answers;
pub(crate) mod ci;
pub(crate) mod dress;
pub(crate) mod entry;
pub(crate) mod envelope;
pub(crate) mod journal;
pub(crate) mod readers;
pub(crate) mod records;
pub(crate) mod roles;
pub(crate) mod stamp;
pub(crate) mod table;
