//! What a fuzzer hands bytes to: parsers that nothing outside of this crate reaches, each with what
//! has to hold whatever the bytes are. No part of the program: it is built for fuzzing, and for the
//! tests of inputs that once broke something.

pub use crate::follow::fuzz::changes;
pub use crate::list::fuzz::page;
pub use crate::request::fuzz::refusal;
