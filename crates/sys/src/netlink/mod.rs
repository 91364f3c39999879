//! Netlink: messages out, acknowledgements and dumps in. Knows no subsystem.

mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod message;
mod socket;

pub use error::NetlinkError;
pub(crate) use message::{
    Attrs, Message, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, answers,
};
pub(crate) use socket::Socket;
