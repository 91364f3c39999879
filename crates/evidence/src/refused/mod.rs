//! The connection-refused recogniser: log text in, what it says about a refused connection out.
//!
//! Families are errno words and numbers in context, not whole sentences, so that a library
//! nobody listed is still recognised. Pure: no IO, no clock. Must not know pods, proxies or time
//! windows; whether a refusal means anything is the doctor's business.
//!
//! # Sources
//! The literals collected in RULES.md 5; glibc's `strerror`; errno 111 of Linux's
//! `asm-generic/errno.h`.

mod address;
mod friends;
mod join;
mod line;
mod literals;
mod message;
mod peer;
mod plain;
mod reading;
mod telling;
mod weaker;

pub use join::{Joined, Joiner};
pub(crate) use literals::WORDS;
pub use literals::{LITERALS, find_literal, may_matter};
pub use message::{read, recognise};
pub use reading::{Destination, FalseFriend, Host, Reading, Refused, Strength};
