//! What a fuzzer hands bytes to: parsers that nothing outside of this crate reaches, each with what
//! has to hold whatever the bytes are. No part of the program: it is built for fuzzing, and for the
//! tests of inputs that once broke something.

pub use crate::listeners::fuzz::listeners;
pub use crate::netlink::fuzz::answers as netlink;
pub use crate::nft::fuzz::tables;
