//! What a fuzzer hands bytes to: parsers that nothing outside of this crate reaches, each with what
//! has to hold whatever the bytes are. No part of the program: it is built for fuzzing, and for the
//! tests of inputs that once broke something.

pub use crate::config::fuzz::settings;
pub use crate::dns::fuzz::resolv_conf;
pub use crate::gateway::fuzz::{chunks, greeting, request, response, routes};
pub use crate::observe::fuzz::observed;
